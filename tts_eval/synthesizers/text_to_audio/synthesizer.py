"""Checkpoints of transformers that turn text into audio: `transformers:FOLDER_OR_HUB_NAME`; see `options`.

Candidates are made one after the other, each behind torch generators seeded with its own job, so that it is
the same in any order and batch. What temperature means, each model's module says.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from tts_eval.audio import Clip
from tts_eval.errors import SynthesisError
from tts_eval.synthesizers.failed import failed_candidate
from tts_eval.synthesizers.text_to_audio.loading import Loaded, load
from tts_eval.synthesizers.text_to_audio.options import parse_options
from tts_eval.synthesizers.text_to_audio.voice import Said
from tts_eval.types import Candidate, Cost, FailureKind, FinishReason, Job, Limit


def create(argument: str) -> TextToAudio:
    """The checkpoint that `transformers:SOURCE[@REVISION][,KEY=VALUE ...]` names.

    Raises:
        ConfigError: the options are wrong.
        WeightsError: the checkpoint cannot be used.
        MissingDependencyError: transformers is not installed.
    """
    return TextToAudio(load(parse_options(argument)))


class TextToAudio:
    """One loaded checkpoint."""

    name = "transformers"
    limits = frozenset({Limit.NO_CLONING})

    def __init__(self, loaded: Loaded) -> None:
        self._voice = loaded.voice
        self._device = loaded.device
        self.revision = loaded.revision

    def generate(self, jobs: Sequence[Job]) -> list[Candidate]:
        """One candidate per job; a text that the model cannot read is a failed one."""
        return [self._candidate(job) for job in jobs]

    def _candidate(self, job: Job) -> Candidate:
        started = time.perf_counter()
        try:
            said = self._say(job)
        except SynthesisError as error:
            return failed_candidate(job, FailureKind.SYNTHESIS, str(error), time.perf_counter() - started)
        limit = int(job.sampling.max_seconds * self._voice.rate)
        samples = said.samples.float().cpu().numpy()
        clip = Clip(samples[:limit].clip(-1.0, 1.0), self._voice.rate)
        return Candidate(
            index=job.index,
            seed=job.seed,
            sampling=job.sampling,
            finish=FinishReason.LENGTH if said.is_cut or len(samples) > limit else FinishReason.EOS,
            clip=clip,
            cost=Cost(audio_seconds=clip.seconds, generator_seconds=time.perf_counter() - started),
        )

    def _say(self, job: Job) -> Said:
        import torch

        # The models draw from torch's global generators; these are as they were afterwards.
        devices = [self._device] if self._device.type == "cuda" else []
        with torch.inference_mode(), torch.random.fork_rng(devices):
            torch.manual_seed(job.seed)
            return self._voice.say(job.request, job.sampling)
