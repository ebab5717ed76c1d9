"""A synthesizer without a model, for tests of pipelines: seeded tones, and every way to fail.

The "speech" is a tone per word whose pitch wobble grows with the temperature; how far a candidate
strays from the text is readable from its audio by `verifiers.fake`. A request whose metadata has
`fake: KIND` gets that failure: `raise`, `silent`, `empty`, `nan`, `length`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tts_eval import seeds
from tts_eval.audio import Clip
from tts_eval.errors import ConfigError
from tts_eval.types import Candidate, Cost, FinishReason, Job

RATE = 16_000
WORD_SECONDS = 0.1


def create(argument: str) -> FakeSynthesizer:
    """`fake` takes no argument."""
    if argument:
        raise ConfigError([f"Synthesizer 'fake' takes no argument, got '{argument}'."])
    return FakeSynthesizer()


class FakeSynthesizer:
    """Deterministic tones instead of speech."""

    name = "fake"
    revision = "1"

    def generate(self, jobs: Sequence[Job]) -> list[Candidate]:
        """One candidate per job. Raises for a request marked `fake: raise`."""
        return [self._candidate(job) for job in jobs]

    def _candidate(self, job: Job) -> Candidate:
        fate = job.request.metadata.get("fake", "")
        if fate == "raise":
            raise RuntimeError(f"asked to fail on {job.request.id}")
        clip = Clip(self._samples(job, fate), RATE)
        return Candidate(
            index=job.index,
            seed=job.seed,
            sampling=job.sampling,
            finish=FinishReason.LENGTH if fate == "length" else FinishReason.EOS,
            clip=clip,
            cost=Cost(audio_seconds=clip.seconds, generator_seconds=0.001),
        )

    def _samples(self, job: Job, fate: str) -> np.ndarray:
        words = max(len(job.request.text.split()), 1)
        if fate == "empty":
            return np.zeros(0, dtype=np.float32)
        random = seeds.generator(job.seed)
        wobble = 1.0 + 0.1 * job.sampling.temperature * random.standard_normal(words)
        time = np.arange(int(RATE * WORD_SECONDS)) / RATE
        tones = [0.3 * np.sin(2 * np.pi * 220.0 * factor * time) for factor in wobble]
        samples = np.concatenate(tones).astype(np.float32)
        samples = samples[: int(job.sampling.max_seconds * RATE)]
        if fate == "silent":
            samples[:] = 0.0
        if fate == "nan":
            samples[len(samples) // 2] = np.nan
        return samples
