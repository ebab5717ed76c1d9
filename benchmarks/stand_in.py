"""A synthesizer and verifiers that only cost: a plan runs its strategies on them to learn what they would spend.

A sample of a request costs what one of the same request once did, or what its text lets expect. Scores are
those that were measured with it; where there are none, noise guides (what is dropped or kept hardly changes
how much is said), and nothing is said of whole candidates, so that a search goes on to its last one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from benchmarks.measured import USUAL_SPEECH, Measured
from tts_eval.audio import Clip
from tts_eval.manifest import VerifierRecord
from tts_eval.types import (
    Candidate,
    Cost,
    Failure,
    FailureKind,
    FinishReason,
    Item,
    Job,
    Metric,
    Request,
    Sampling,
    Score,
)

SampleKey = tuple[Sampling, str, int]
"""How it is sampled, the request's id, and which of its candidates it is."""


@dataclass(slots=True, eq=False)
class Ledger:
    """What has been made and heard with one seed, so that it is not paid for twice."""

    made: set[SampleKey] = field(default_factory=set)
    heard: set[tuple[str, Sampling, str, int]] = field(default_factory=set)

    @classmethod
    def of(cls, measured: Measured) -> Ledger:
        """What lies in a run's own folder: all of it was paid for."""
        found = [(sample.sampling, name, sample) for name, samples in measured.samples.items() for sample in samples]
        return cls(
            made={(sampling, name, sample.index) for sampling, name, sample in found},
            heard={(spec, sampling, name, sample.index) for sampling, name, sample in found for spec in sample.scores},
        )


class StandInSynthesizer:
    """Costs what was measured."""

    name, revision, most_rows = "stand-in", "1", 256

    def __init__(self, measured: Measured, tokens_per_second: float | None, ledger: Ledger) -> None:
        self._measured = measured
        self._ledger = ledger
        self.new = Cost()
        """Of the samples that nobody had made before, and of all that was said step by step."""
        self.fresh: dict[SampleKey, Cost] = {}
        """The samples that nobody had made before."""
        self._total = total = measured.total
        self._pace = measured.seconds_per_character or 1.0 / USUAL_SPEECH
        rate = total.tokens / total.audio_seconds if total.tokens and total.audio_seconds else tokens_per_second
        self._rate = rate or 10.0
        self._counts_tokens = bool(rate)
        self.step_seconds = 1.0 / self._rate

    def sample(self, job: Job) -> Cost:
        """What a sample costs."""
        request = job.request
        if known := self._measured.like(request.id, job.sampling):
            return known[job.index % len(known)].cost
        seconds, total = self._pace * len(request.text), self._total
        share = seconds / total.audio_seconds if total.audio_seconds else 0.0
        return Cost(
            tokens=max(round(seconds * self._rate), 1) if self._counts_tokens else 0,
            audio_seconds=seconds,
            generator_seconds=share * total.generator_seconds,
            flops=None if total.flops is None else share * total.flops,
        )

    def generate(self, jobs: Sequence[Job]) -> list[Candidate]:
        """One candidate per job."""
        made = []
        for job in jobs:
            cost = self.sample(job)
            key = (job.sampling, job.request.id, job.index)
            if key not in self._ledger.made:
                self._ledger.made.add(key)
                self.new += cost
                self.fresh[key] = cost
            made.append(candidate(job, cost))
        return made

    def begin(self, jobs: Sequence[Job]) -> StandInGeneration:
        """Rows of which each costs a sample when it is through."""
        return StandInGeneration(self, [self._row(job) for job in jobs])

    def _row(self, job: Job) -> _Row:
        whole = self.sample(job)
        return _Row(job, whole, whole.tokens or max(round(whole.audio_seconds / self.step_seconds), 1))


@dataclass(frozen=True, slots=True)
class _Row:
    """What one row will have cost when it is through, and how far it is."""

    job: Job
    whole: Cost
    steps: int
    said: int = 0

    @property
    def cost(self) -> Cost:
        share, whole = self.said / self.steps, self.whole
        return Cost(
            tokens=round(share * whole.tokens),
            audio_seconds=share * whole.audio_seconds,
            generator_seconds=share * whole.generator_seconds,
            flops=None if whole.flops is None else share * whole.flops,
        )


class StandInGeneration:
    """Rows that say nothing: a token a step, where there are tokens."""

    def __init__(self, synthesizer: StandInSynthesizer, rows: Sequence[_Row]) -> None:
        self._synthesizer = synthesizer
        self._rows = list(rows)

    @property
    def spent(self) -> Cost:
        """Kept by the synthesizer."""
        return self._synthesizer.new

    def advance(self, steps: int) -> None:
        """Every row says up to `steps` more."""
        later = [replace(row, said=min(row.said + steps, row.steps)) for row in self._rows]
        for before, after in zip(self._rows, later, strict=True):
            self._synthesizer.new += after.cost - before.cost
        self._rows = later

    def select(self, rows: Sequence[int]) -> None:
        """Go on with these."""
        self._rows = [self._rows[row] for row in rows]

    def branch(self) -> StandInGeneration:
        """The same once more."""
        return StandInGeneration(self._synthesizer, self._rows)

    def audio(self) -> list[Candidate]:
        """What each row has cost so far."""
        return [candidate(row.job, row.cost) for row in self._rows]

    def finished(self) -> list[FinishReason | None]:
        """Who is through."""
        return [FinishReason.EOS if row.said >= row.steps else None for row in self._rows]


class StandInVerifier:
    """One verifier as it was measured; `noise` where only its seconds matter."""

    version, supports_partial = "1", True

    def __init__(self, spec: str, measured: Measured, ledger: Ledger, *, is_noise: bool) -> None:
        self.name = spec
        record = measured.verifiers.get(spec)
        self._record: VerifierRecord | None = None if is_noise else record
        self.judge = self._record.judge if self._record else spec
        self.metrics = (
            self._record.metrics if self._record else (Metric(name="noise", higher_is_better=True, worst=0.0),)
        )
        self.seconds = measured.verifier_seconds.get(spec, 0.0)
        self._measured, self._ledger, self._is_noise = measured, ledger, is_noise
        self.new_seconds = 0.0
        """For clips that it had not heard before."""
        self.fresh: list[SampleKey] = []
        """Whole samples that it had not heard before."""

    def score(self, items: Sequence[Item]) -> list[Score]:
        """One score per item."""
        return [self._one(item) for item in items]

    def hear(self, sampling: Sampling, request: Request, index: int) -> None:
        """Pay for a whole sample, once."""
        key = (self.name, sampling, request.id, index)
        if key not in self._ledger.heard:
            self._ledger.heard.add(key)
            self.hear_anew(sampling, request, index)

    def hear_anew(self, sampling: Sampling, request: Request, index: int) -> None:
        """Pay for a whole sample that no other search has."""
        self.fresh.append((sampling, request.id, index))
        self.new_seconds += self.seconds

    def _one(self, item: Item) -> Score:
        made = item.candidate
        if self._is_noise:
            self.new_seconds += self.seconds
            value = _noise(item.request.id, made.seed, made.cost.tokens)
            return Score(
                verifier=self.name, judge=self.judge, value=value, values={"noise": value}, seconds=self.seconds
            )
        self.hear(made.sampling, item.request, made.index)
        samples = self._measured.like(item.request.id, made.sampling)
        known = samples[made.index % len(samples)].scores.get(self.name) if samples else None
        if known is not None:
            return replace(known, seconds=self.seconds, embedding=np.zeros(1))
        failure = Failure(FailureKind.VERIFIER, "Nothing was measured.")
        return Score(verifier=self.name, judge=self.judge, value=None, failure=failure, seconds=self.seconds)


class Together:
    """Verifiers whose word does not matter, as one: all of them hear everything."""

    name, version, judge, supports_partial = "stand-in", "1", "stand-in", True

    def __init__(self, parts: Sequence[StandInVerifier]) -> None:
        self.metrics = parts[0].metrics
        self._parts = parts

    def score(self, items: Sequence[Item]) -> list[Score]:
        """The first one's word."""
        scores = [part.score(items) for part in self._parts]
        return scores[0]


def candidate(job: Job, cost: Cost) -> Candidate:
    """A candidate of that cost; its audio is as long as it says, and no other's."""
    level = (1 + job.index % 30_000) / 32_768
    rate = 100
    return Candidate(
        index=job.index,
        seed=job.seed,
        sampling=job.sampling,
        finish=FinishReason.EOS,
        clip=Clip(np.full(max(round(cost.audio_seconds * rate), 1), level, dtype=np.float32), rate),
        cost=cost,
    )


def _noise(*parts: object) -> float:
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
