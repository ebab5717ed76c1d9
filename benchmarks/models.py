"""Suites, synthesizers and verifiers by name, each loaded once however many runs ask for it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.lacking import Lacking
from benchmarks.layout import raise_problems, unusable_audio
from benchmarks.scored_folder import require_some, without_missing
from benchmarks.suite import Suite, load_suite
from tts_eval.config import RunConfig
from tts_eval.registry import parse_spec
from tts_eval.synthesizers import load_synthesizer
from tts_eval.types import Synthesizer, Verifier
from verifiers.requirements import load_verifiers


class Models:
    """What was loaded so far, in this process; a context manager, as others have something to put away."""

    def __init__(self) -> None:
        self._suites: dict[tuple[object, ...], Suite] = {}
        self._synthesizers: dict[str, Synthesizer] = {}
        self._verifiers: dict[str, Verifier] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave everything as it is."""

    def complete(self, lacking: Lacking) -> bool:
        """Whether somebody else has made and judged all that the run lacked; here nobody does."""
        return False

    def suite(self, config: RunConfig) -> Suite:
        """The suite of a config; see `load_suite` and `without_missing`.

        Raises:
            DataError: the synthesizer would speak without prompts or recordings that the suite names, or a folder of
                audio has none of what is to be judged.
        """
        synth = parse_spec(config.synth)
        wavs = Path(synth.argument).expanduser() if synth.name == "wavs" else None
        key = (config.suite, config.data_dir, config.limit, config.sample, config.official_skip, wavs)
        if key not in self._suites:
            folder = Path(config.data_dir) if config.data_dir else None
            suite = load_suite(config.suite, data_dir=folder, limit=config.limit, sample=config.sample)
            if wavs is None:
                raise_problems(
                    f"Suite '{config.suite}' names audio that cannot be used", unusable_audio(suite.requests)
                )
            elif wavs.is_dir():  # what was said elsewhere may be judged where the prompts are not
                require_some(suite, wavs)
                suite = without_missing(suite, wavs) if config.official_skip else suite
            self._suites[key] = suite
        return self._suites[key]

    def synthesizer(self, spec: str) -> Synthesizer:
        """The synthesizer of a spec; see `load_synthesizer`."""
        if spec not in self._synthesizers:
            self._synthesizers[spec] = load_synthesizer(spec)
        return self._synthesizers[spec]

    def verifiers(self, specs: Iterable[str]) -> dict[str, Verifier]:
        """The verifiers of some specs; see `load_verifiers`."""
        wanted = list(dict.fromkeys(specs))
        self._verifiers |= load_verifiers(spec for spec in wanted if spec not in self._verifiers)
        return {spec: self._verifiers[spec] for spec in wanted}
