"""Any program as a synthesizer: `command:FILE.yaml`; see `config` for the file and `batch` for what the program reads.

The program is run once per batch, in a temporary folder for everything that it is given and writes. What temperature
and the other settings mean is its business. From a run that ended badly nothing is believed: the batch is run again
in halves until the culprits stand alone, which is counted in the candidates' time and retries. From a run
that ended well every file is judged by itself: a missing one and one that is no audio are failed candidates.

A program that takes long to start is better kept running behind a small server; see `openai`.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tts_eval.errors import AudioError, ConfigError
from tts_eval.execution import isolate_counting
from tts_eval.synthesizers.command.batch import run_batch
from tts_eval.synthesizers.command.config import CommandConfig, read_command
from tts_eval.synthesizers.failed import failed_candidate
from tts_eval.synthesizers.received import MOST_BYTES, decode_received
from tts_eval.types import Candidate, Cost, FailureKind, Job, Limit


def create(argument: str) -> CommandSynthesizer:
    """The program that `command:FILE.yaml` describes.

    Raises:
        ConfigError: no such file, or settings in it are wrong.
    """
    if not argument:
        raise ConfigError(["Synthesizer 'command' needs a file that describes the program: command:FILE.yaml."])
    return CommandSynthesizer(read_command(Path(argument).expanduser()))


class CommandSynthesizer:
    """One program."""

    name = "command"

    def __init__(self, config: CommandConfig) -> None:
        self._config = config
        self.revision = config.identity
        can = {Limit.NO_CLONING: config.clones, Limit.NOT_REPRODUCIBLE: config.reproducible}
        self.limits = frozenset(limit for limit, has_none in can.items() if not has_none)

    def generate(self, jobs: Sequence[Job]) -> list[Candidate]:
        """One candidate per job; all of them share the time that passed."""
        started = time.perf_counter()
        made = isolate_counting(self._run, jobs, lambda job, error: _failed(job, FailureKind.SYNTHESIS, str(error)))
        share = (time.perf_counter() - started) / max(len(jobs), 1)
        return [
            replace(each, cost=each.cost + Cost(generator_seconds=share, retries=retries)) for each, retries, _ in made
        ]

    def _run(self, jobs: Sequence[Job]) -> list[Candidate]:
        with tempfile.TemporaryDirectory(prefix="tts-eval-") as folder:
            outputs, said = run_batch(self._config, jobs, Path(folder))
            return [_heard(job, path, said) for job, path in zip(jobs, outputs, strict=True)]


def _heard(job: Job, path: Path, said: str) -> Candidate:
    if path.is_symlink() or not path.is_file():
        message = f"the program ended without an error but wrote no {path.name}. It said last: {said or 'nothing'}"
        return _failed(job, FailureKind.MISSING, message)
    if path.stat().st_size > MOST_BYTES:
        return _failed(job, FailureKind.UNREADABLE, f"the audio is longer than {MOST_BYTES // 2**20} MiB")
    try:
        return decode_received(path.read_bytes(), job.sampling.max_seconds).candidate(job)
    except AudioError as error:
        return _failed(job, FailureKind.UNREADABLE, f"{error}. The program said last: {said or 'nothing'}")


def _failed(job: Job, kind: FailureKind, message: str) -> Candidate:
    return failed_candidate(job, kind, f"Request '{job.request.id}': {message}")
