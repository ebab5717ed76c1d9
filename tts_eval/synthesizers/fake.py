"""A synthesizer without a model, for tests of pipelines and searches: seeded tones, and every way to fail.

The "speech" is a tone per word whose pitch wobble grows with the temperature; how far a candidate
strays from the text is readable from its audio by `verifiers.fake`. A step is one tone. A request whose metadata has
`fake: KIND` gets that failure: `raise`, `silent`, `empty`, `nan`, `length`, or takes its process along: `exit`, and
`hang` for an hour. `fake:SECONDS` sleeps so long over each candidate, as a model on another device would.
"""

from __future__ import annotations

import math
import os
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tts_eval import seeds
from tts_eval.audio import Clip
from tts_eval.errors import ConfigError
from tts_eval.types import Candidate, Cost, FinishReason, Job

RATE = 16_000
WORD_SECONDS = 0.1


def create(argument: str) -> FakeSynthesizer:
    """`fake` or `fake:SECONDS`."""
    try:
        seconds = float(argument or 0.0)
    except ValueError:
        seconds = math.nan
    if not 0.0 <= seconds < math.inf:
        raise ConfigError([f"Synthesizer 'fake' takes seconds per candidate (fake:0.01), got '{argument}'."])
    return FakeSynthesizer(seconds)


class FakeSynthesizer:
    """Deterministic tones instead of speech."""

    name = "fake"
    revision = "1"
    step_seconds = WORD_SECONDS
    most_rows = 256
    _seconds = 0.0

    def __init__(self, seconds: float = 0.0) -> None:
        self._seconds = seconds

    def generate(self, jobs: Sequence[Job]) -> list[Candidate]:
        """One candidate per job. Raises for a request marked `fake: raise`."""
        generation = self.begin(jobs)
        if self._seconds:
            time.sleep(self._seconds * len(jobs))
        generation.advance(max((len(row.tones) for row in generation.rows), default=0))
        slept = Cost(generator_seconds=self._seconds)
        return [replace(made, cost=made.cost + slept) for made in generation.audio()]

    def begin(self, jobs: Sequence[Job]) -> FakeGeneration:
        """Rows that have said nothing yet. Raises for a request marked `fake: raise`."""
        for job in jobs:
            if _fate(job) == "raise":
                raise RuntimeError(f"asked to fail on {job.request.id}")
            if _fate(job) == "exit":
                os._exit(1)
            if _fate(job) == "hang":
                time.sleep(3600)
        return FakeGeneration([Row(job, job.seed, _tones(job, job.seed)) for job in jobs])


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """One row: all tones that it would say if nothing else happened, and how many it has said."""

    job: Job
    seed: int
    tones: tuple[np.ndarray, ...]
    said: int = 0


class FakeGeneration:
    """A `Generation` of tones."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = list(rows)
        self._forks = 0
        self._spent = Cost()

    @property
    def spent(self) -> Cost:
        """A millisecond per candidate's worth of tones, dropped ones too."""
        return self._spent

    def advance(self, steps: int) -> None:
        """Every live row says up to `steps` more tones."""
        for index, row in enumerate(self.rows):
            said = min(row.said + steps, len(row.tones))
            self.rows[index] = replace(row, said=said)
            self._spent += Cost(tokens=said - row.said, generator_seconds=_seconds(row, said) - _seconds(row, row.said))

    def select(self, rows: Sequence[int]) -> None:
        """Go on with these rows; copies of a live row get fresh seeds and other tones from now on."""
        self._forks += 1
        copies: Counter[int] = Counter()
        chosen = []
        for index in rows:
            row = self.rows[index]
            if copies[index] and row.said < len(row.tones):
                seed = seeds.forked_seed(row.seed, self._forks, copies[index])
                row = replace(row, seed=seed, tones=(*row.tones[: row.said], *_tones(row.job, seed)[row.said :]))
            copies[index] += 1
            chosen.append(row)
        self.rows = chosen

    def branch(self) -> FakeGeneration:
        """The same rows again; what they say from here on costs them alone."""
        twin = FakeGeneration(self.rows)
        twin._forks = self._forks
        return twin

    def finished(self) -> list[FinishReason | None]:
        """How each row ended; None for a live one."""
        over = [FinishReason.LENGTH if _fate(row.job) == "length" else FinishReason.EOS for row in self.rows]
        return [finish if row.said == len(row.tones) else None for row, finish in zip(self.rows, over, strict=True)]

    def audio(self) -> list[Candidate]:
        """What each row says so far."""
        return [
            _candidate(row, finish or FinishReason.LENGTH)
            for row, finish in zip(self.rows, self.finished(), strict=True)
        ]


def _candidate(row: Row, finish: FinishReason) -> Candidate:
    clip = Clip(_samples(row), RATE)
    is_cut = sum(map(len, row.tones[: row.said])) > len(clip.samples)
    return Candidate(
        index=row.job.index,
        seed=row.seed,
        sampling=row.job.sampling,
        finish=FinishReason.LENGTH if is_cut else finish,
        clip=clip,
        cost=Cost(tokens=row.said, audio_seconds=clip.seconds, generator_seconds=_seconds(row, row.said)),
    )


def _seconds(row: Row, said: int) -> float:
    return 0.001 * said / max(len(row.tones), 1)


def _fate(job: Job) -> str:
    return job.request.metadata.get("fake", "")


def _tones(job: Job, seed: int) -> tuple[np.ndarray, ...]:
    if _fate(job) == "empty":
        return ()
    words = max(len(job.request.text.split()), 1)
    wobble = 1.0 + 0.1 * job.sampling.temperature * seeds.generator(seed).standard_normal(words)
    time = np.arange(int(RATE * WORD_SECONDS)) / RATE
    return tuple(0.3 * np.sin(2 * np.pi * 220.0 * factor * time) for factor in wobble)


def _samples(row: Row) -> np.ndarray:
    samples = np.concatenate([np.zeros(0), *row.tones[: row.said]]).astype(np.float32)
    samples = samples[: int(row.job.sampling.max_seconds * RATE)]
    if _fate(row.job) == "silent":
        samples[:] = 0.0
    if _fate(row.job) == "nan" and len(samples):
        samples[len(samples) // 2] = np.nan
    return samples
