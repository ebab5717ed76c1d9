"""Speech that already exists: a folder of files named after the requests.

`wavs:FOLDER` takes `ID.wav` (or .flac, .ogg, .opus, .mp3) for a request, so any system can be
scored without running it here. Candidate i > 0 is `i/ID.wav`, for pools made elsewhere. A missing
or broken file is a failed candidate, not a shorter run.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from tts_eval.audio import find_audio, read_audio
from tts_eval.errors import AudioError, ConfigError
from tts_eval.synthesizers.failed import failed_candidate
from tts_eval.types import Candidate, Cost, FailureKind, FinishReason, Job


def create(argument: str) -> WavsSynthesizer:
    """The folder that `wavs:FOLDER` names."""
    if not argument:
        raise ConfigError(["Synthesizer 'wavs' needs a folder: wavs:FOLDER."])
    return WavsSynthesizer(Path(argument).expanduser())


class WavsSynthesizer:
    """Reads candidates from `folder`."""

    name = "wavs"
    revision = ""  # files may be mended or replaced between two runs; scores go by their content anyway

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise ConfigError([f"No folder of audio at {folder}."])
        self._folder = folder.resolve()

    def generate(self, jobs: Sequence[Job]) -> list[Candidate]:
        """One candidate per job; the seed and the sampling are ignored."""
        return [self._read(job) for job in jobs]

    def _read(self, job: Job) -> Candidate:
        started = time.perf_counter()
        stem = job.request.id
        folder = self._folder if job.index == 0 else self._folder / str(job.index)
        if Path(stem).name != stem or stem in ("", ".", ".."):
            return failed_candidate(job, FailureKind.MISSING, f"The id {stem!r} is not a plain file name.")
        path = find_audio(folder, stem)
        if path is None:
            return failed_candidate(job, FailureKind.MISSING, f"No {stem}.wav (or .flac, .ogg ...) in {folder}.")
        try:
            clip = read_audio(path)
        except AudioError as error:
            return failed_candidate(job, FailureKind.UNREADABLE, str(error))
        seconds = time.perf_counter() - started
        return Candidate(
            index=job.index,
            seed=job.seed,
            sampling=job.sampling,
            finish=FinishReason.EOS,
            clip=clip,
            cost=Cost(audio_seconds=clip.seconds, generator_seconds=seconds),
        )
