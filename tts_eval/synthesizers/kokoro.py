"""Kokoro-82M as a synthesizer: `kokoro`, `kokoro:VOICE`, `kokoro:VOICE,voices=FOLDER`.

It has no noise: neither temperature nor seed means anything, all candidates of a request are the same (and
are made once), and best-of-N has nothing to choose from. It is there to be compared with. It does not clone. FOLDER
holds `VOICE.bin` packs; without one they come from the Hugging Face hub. Texts are read as American English by
espeak-ng, also by British voices; other languages are refused, and so are texts of more than 510 phonemes.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Protocol

from tts_eval import phonemes
from tts_eval.audio import Clip
from tts_eval.errors import ConfigError, SynthesisError
from tts_eval.execution import available_cores
from tts_eval.key_values import parse_key_values
from tts_eval.synthesizers.failed import failed_candidate
from tts_eval.synthesizers.kokoro_model import ASSET, VOICES, Kokoro, find_pack
from tts_eval.text import language_code
from tts_eval.types import Candidate, Cost, FailureKind, FinishReason, Job, Limit, Request
from tts_eval.weights import fingerprint_of

DEFAULT_VOICE = "af_heart"


class Speaks(Protocol):
    """What `Kokoro` does."""

    def say(self, phonemes: str, voice: str) -> Clip:
        """Speech."""
        ...


def create(argument: str) -> KokoroSynthesizer:
    """The voice that `kokoro:ARGUMENT` names.

    Raises:
        ConfigError: there is no such voice, or no pack of it in the folder.
        MissingDependencyError: piper-tts (phonemes) is not installed.
        WeightsError: the model or the pack cannot be had.
    """
    voice, *settings = [part.strip() for part in argument.split(",")]
    voice = voice or DEFAULT_VOICE
    values = parse_key_values(settings, ("voices",), f"kokoro:{argument}", lambda _, value: _problem(value))
    if voice not in VOICES:
        raise ConfigError([f"Kokoro has no English voice '{voice}'. It has {', '.join(VOICES)}."])
    phonemes.espeak()  # what is missing is said now, not of every candidate
    folder = Path(values["voices"]).expanduser() if "voices" in values else find_pack(voice)
    model = Kokoro(folder, [voice], available_cores())
    pack = hashlib.sha256((folder / f"{voice}.bin").read_bytes()).hexdigest()[:12]
    # Phonemes decide the audio as much as weights do, and change with the package.
    revision = f"{voice}@{fingerprint_of(ASSET)}:{pack}+phonemes{version('piper-tts')}"
    return KokoroSynthesizer(model, voice, revision, phonemes.phonemize)


class KokoroSynthesizer:
    """One voice."""

    name = "kokoro"
    limits = frozenset({Limit.NO_CLONING, Limit.DETERMINISTIC})

    def __init__(self, model: Speaks, voice: str, revision: str, phonemize: Callable[[str], str]) -> None:
        self._model = model
        self._voice = voice
        self._phonemize = phonemize
        self.revision = revision

    def generate(self, jobs: Sequence[Job]) -> list[Candidate]:
        """One candidate per job; jobs of one text share its audio and the time that it took."""
        groups: dict[tuple[str, str], list[int]] = {}
        for number, job in enumerate(jobs):
            groups.setdefault((job.request.text, job.request.language), []).append(number)
        made: dict[int, Candidate] = {}
        for numbers in groups.values():
            started = time.perf_counter()
            said = self._say(jobs[numbers[0]].request)
            share = (time.perf_counter() - started) / len(numbers)
            made.update((number, _candidate(jobs[number], said, share)) for number in numbers)
        return [made[number] for number in range(len(jobs))]

    def _say(self, request: Request) -> Clip | str:
        """The speech, or what is wrong with the request."""
        if language_code(request.language) != "en":
            return f"Kokoro reads English here, not '{request.language}'."
        try:
            return self._model.say(self._phonemize(request.text), self._voice)
        except SynthesisError as error:
            return str(error)


def _candidate(job: Job, said: Clip | str, seconds: float) -> Candidate:
    if isinstance(said, str):
        return failed_candidate(job, FailureKind.SYNTHESIS, f"Request '{job.request.id}': {said}", seconds)
    limit = int(job.sampling.max_seconds * said.rate)
    clip = Clip(said.samples[:limit], said.rate)
    return Candidate(
        index=job.index,
        seed=job.seed,
        sampling=job.sampling,
        finish=FinishReason.LENGTH if len(said.samples) > limit else FinishReason.EOS,
        clip=clip,
        cost=Cost(audio_seconds=clip.seconds, generator_seconds=seconds),
    )


def _problem(folder: str) -> str:
    return "" if Path(folder).expanduser().is_dir() else "expected a folder with VOICE.bin packs"
