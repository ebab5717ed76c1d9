"""A step synthesizer of coin-like tokens and a verifier that adds up what it hears, both with a count of their calls.

A row says `TOKENS` tokens from its own seed, each in [0, 1); a candidate's worth is their mean. So a
search that works can be restated in a few lines, and one that cheats on its costs is found out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tts_eval import seeds
from tts_eval.audio import Clip
from tts_eval.types import Candidate, Cost, Failure, FailureKind, FinishReason, Item, Metric, Sampling, Score

RATE = 100
STEP = 0.1


def drawn(seed: int, length: int) -> np.ndarray:
    return seeds.generator(seed).random(length)


@dataclass(frozen=True, eq=False)
class Line:
    job: object
    seed: int
    tokens: np.ndarray
    said: int = 0


class Planted:
    """`length` tokens per row, or what the request's metadata says."""

    name, revision, step_seconds, most_rows = "planted", "1", STEP, 256

    def __init__(self, length: int = 12, flops: float | None = None) -> None:
        self.length, self.flops = length, flops
        self.begun: list[int] = []
        self.generations: list[Growth] = []

    def begin(self, jobs):
        for job in jobs:
            if job.request.metadata.get("planted") == "raise":
                raise RuntimeError("asked to fail")
        self.begun.append(len(jobs))
        lines = [Line(job, job.seed, drawn(job.seed, self._length(job))) for job in jobs]
        self.generations.append(Growth(lines, self.flops))
        return self.generations[-1]

    def generate(self, jobs):
        if not jobs:
            return []
        growth = self.begin(jobs)
        growth.advance(10**6)
        return growth.audio()

    def _length(self, job) -> int:
        """Of the candidate's index, or the last one that is told."""
        lengths = str(job.request.metadata.get("length", self.length)).split(",")
        return int(lengths[min(job.index, len(lengths) - 1)])


class Growth:
    def __init__(self, lines: Sequence[Line], flops: float | None) -> None:
        self.lines, self.flops = list(lines), flops
        self.advances: list[int] = []
        self.rows: list[int] = [len(lines)]
        self.branches: list[Growth] = []
        self._tokens = 0
        self._forks = 0

    @property
    def spent(self) -> Cost:
        tokens = self._tokens + sum(branch.spent.tokens for branch in self.branches)
        return Cost(tokens=tokens, generator_seconds=tokens / 1000, flops=tokens * self.flops if self.flops else None)

    def advance(self, steps):
        if any(line.job.request.metadata.get("planted") == "break" and line.said for line in self.lines):
            raise RuntimeError("asked to break off")
        self.advances.append(sum(line.said < len(line.tokens) for line in self.lines))
        for index, line in enumerate(self.lines):
            said = min(line.said + steps, len(line.tokens))
            self._tokens += said - line.said
            self.lines[index] = replace(line, said=said)

    def select(self, rows):
        self._forks += 1
        seen: Counter[int] = Counter()
        lines = []
        for row in rows:
            line = self.lines[row]
            if seen[row] and line.said < len(line.tokens):
                seed = seeds.forked_seed(line.seed, self._forks, seen[row])
                tokens = np.concatenate([line.tokens[: line.said], drawn(seed, len(line.tokens))[line.said :]])
                line = replace(line, seed=seed, tokens=tokens)
            seen[row] += 1
            lines.append(line)
        self.lines = lines
        self.rows.append(len(lines))

    def branch(self):
        self.branches.append(Growth(self.lines, self.flops))
        return self.branches[-1]

    def finished(self):
        return [FinishReason.EOS if line.said == len(line.tokens) else None for line in self.lines]

    def audio(self):
        return [
            Candidate(
                index=line.job.index,
                seed=line.seed,
                sampling=line.job.sampling,
                finish=finish or FinishReason.LENGTH,
                clip=Clip(np.repeat(line.tokens[: line.said], int(RATE * STEP)).astype(np.float32), RATE),
                tokens=line.tokens[: line.said],
                cost=Cost(
                    tokens=line.said,
                    audio_seconds=line.said * STEP,
                    generator_seconds=line.said / 1000,
                    flops=line.said * self.flops if self.flops else None,
                ),
            )
            for line, finish in zip(self.lines, self.finished(), strict=True)
        ]


class Worth:
    """Mean of the tokens (`flat`: always the same); unfinished ones whose number of tokens is odd can be undecided."""

    name, version, judge, supports_partial = "worth", "1", "worth", True
    metrics = (Metric(name="worth", higher_is_better=True, worst=0.0),)

    def __init__(self, *, flat: bool = False, undecided: bool = False, lower_is_better: bool = False) -> None:
        self.flat, self.undecided = flat, undecided
        self.sign = -1.0 if lower_is_better else 1.0
        self.metrics = (Metric(name="worth", higher_is_better=not lower_is_better, worst=0.0),)
        self.heard: list[list[Item]] = []

    def score(self, items):
        self.heard.append(list(items))
        return [self._one(item) for item in items]

    def _one(self, item: Item) -> Score:
        failure = item.candidate.failure
        if self.undecided and item.partial:
            failure = Failure(FailureKind.UNDECIDED, "too early")
        value = None if failure else self.sign * (0.5 if self.flat else float(np.mean(item.candidate.tokens)))
        values = {} if value is None else {"worth": value}
        return Score(verifier="worth", judge="worth", value=value, values=values, failure=failure, seconds=0.25)


def single(request_id: str, index: int = 0, length: int = 12) -> np.ndarray:
    """What one sample says."""
    return drawn(seeds.candidate_seed(0, request_id, index), length)


SAMPLING = Sampling()
