"""What a selection rule ranks by: combinations of metrics, limits, and the stages they make up.

A step gives one number per candidate of a pool, higher is better; NaN where a verifier gave none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from search.combination import POOL_SCALES, goodness, harmonic_mean, has_goodness
from tts_eval.errors import ConfigError
from tts_eval.scales import Scale, Scales
from tts_eval.types import Metric, Score

PoolScores = Sequence[Mapping[str, Score]]
"""Scores of each candidate of one pool by verifier spec, in order of candidate index."""
Metrics = Mapping[str, Sequence[Metric]]
"""The metrics of each verifier spec."""


class Judge(Protocol):
    """What a rule asks of a verifier before it judges; a recorded verifier will do."""

    @property
    def judge(self) -> str:
        """The checkpoint that judges."""
        ...

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """What it reports."""
        ...


@dataclass(frozen=True, slots=True)
class Term:
    """One metric of one verifier inside a rule."""

    verifier: str
    """Verifier spec, e.g. `asr:tiny.en`."""
    metric: str = ""
    """Empty is the verifier's first metric."""
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Combination:
    """One number from one or more terms."""

    terms: tuple[Term, ...]
    kind: Literal["plain", "z", "minmax", "rank", "harmonic"]
    """`plain` is the one term's own value, times its weight."""
    reference: str = ""
    """File of the scales that its z-scores are taken with; empty takes the pool's."""
    scales: Scales | None = None
    """What is in that file; see `load_rule`."""

    @property
    def is_relative(self) -> bool:
        """Whether the number says how a candidate compares with its siblings, and nothing alone."""
        return self.kind in POOL_SCALES and not self.reference

    def values(self, pool: PoolScores, metrics: Metrics) -> np.ndarray:
        """One number per candidate, higher is better; NaN where a verifier gave none."""
        found = [find_metric(term, metrics[term.verifier]) for term in self.terms]
        columns = [
            [_value(scores, term, metric) for scores in pool] for term, metric in zip(self.terms, found, strict=True)
        ]
        table = np.array(columns, dtype=np.float64).T
        valid = np.isfinite(table).all(axis=1)
        values = np.full(len(pool), np.nan)
        if valid.any():
            values[valid] = self._combined(table[valid], found)
        return values

    def _combined(self, table: np.ndarray, metrics: Sequence[Metric]) -> np.ndarray:
        weights = np.array([term.weight for term in self.terms])
        if self.kind == "harmonic":
            shares = [[goodness(value, metric) for value, metric in zip(row, metrics, strict=True)] for row in table]
            return harmonic_mean(np.array(shares), weights)
        signs = np.array([1.0 if metric.higher_is_better else -1.0 for metric in metrics])
        if self.reference:
            scales = [self._scale(term, metric) for term, metric in zip(self.terms, metrics, strict=True)]
            table = (table - [scale.mean for scale in scales]) / [scale.deviation for scale in scales]
        table = table * signs
        scaled = POOL_SCALES[self.kind](table) if self.is_relative else table
        summed: np.ndarray = scaled @ weights
        # In a pool in another order the same sum may differ in its last digits, and would not tie.
        return np.round(summed, 12) if self.is_relative else summed

    def _scale(self, term: Term, metric: Metric) -> Scale:
        if self.scales is None:
            raise ConfigError([f"The scales of {self.reference} have not been read. Use load_rule for this rule."])
        key = f"{term.verifier}#{metric.name}"
        if key not in self.scales:
            raise ConfigError([f"{self.reference} has no scale of '{key}'. It has: {', '.join(self.scales)}."])
        return self.scales[key]

    def problems(self, term: Term, judge: Judge) -> list[str]:
        """What speaks against this term of it with this verifier."""
        metric = find_metric(term, judge.metrics)
        name = f"{term.verifier}#{metric.name}"
        if self.kind == "harmonic" and not has_goodness(metric):
            return [f"'{name}' has no place in harmonic(...): it has no scale from 0 to 1. Use z, minmax or rank."]
        if not self.reference:
            return []
        try:
            scale = self._scale(term, metric)
        except ConfigError as error:
            return list(error.problems)
        problems = [
            f"{self.reference} has the scale of '{name}' for the {what} '{then}', but it is '{now}' now. "
            "Measure it again with 'tts-eval calibrate'."
            for what, then, now in (("judge", scale.judge, judge.judge), ("protocol", scale.protocol, metric.protocol))
            if then != now
        ]
        if scale.deviation == 0:
            problems.append(f"{self.reference}: '{name}' was the same on all {scale.n} clips, so it gives no scale.")
        return problems


@dataclass(frozen=True, slots=True)
class Limit:
    """What a metric must reach (`>=`) or may not exceed (`<=`), in its own unit."""

    term: Term
    sense: Literal[">=", "<="]
    number: float

    @property
    def terms(self) -> tuple[Term, ...]:
        """Its only term."""
        return (self.term,)

    def values(self, pool: PoolScores, metrics: Metrics) -> np.ndarray:
        """0 where it is kept, less the further it is missed; NaN where the verifier gave no number."""
        metric = find_metric(self.term, metrics[self.term.verifier])
        found = np.array([_value(scores, self.term, metric) for scores in pool], dtype=np.float64)
        found[~np.isfinite(found)] = np.nan
        margin = found - self.number if self.sense == ">=" else self.number - found
        kept: np.ndarray = np.minimum(margin, 0.0)
        return kept

    def problems(self, term: Term, judge: Judge) -> list[str]:
        """What speaks against it with this verifier."""
        find_metric(term, judge.metrics)
        return []


@dataclass(frozen=True, slots=True)
class Stage:
    """One round of ranking."""

    steps: tuple[Combination | Limit, ...]
    """Each decides only where all before it tie."""
    keep: int | None = None
    """How many go on to the next stage; None in the last one."""

    @property
    def verifiers(self) -> tuple[str, ...]:
        """Specs of the verifiers that take part, each once, in order."""
        return tuple(dict.fromkeys(term.verifier for step in self.steps for term in step.terms))

    def keys(self, pool: PoolScores, metrics: Metrics) -> list[tuple[float, ...] | None]:
        """What to sort each candidate by, higher is better; None cannot be ranked."""
        table = np.column_stack([step.values(pool, metrics) for step in self.steps])
        valid = np.isfinite(table).all(axis=1)
        return [tuple(row) if ok else None for row, ok in zip(table.tolist(), valid, strict=True)]

    def survivors(self, pool: PoolScores, metrics: Metrics) -> list[int]:
        """Positions of those that go on, ascending; ties go to the lower one."""
        keys = {position: key for position, key in enumerate(self.keys(pool, metrics)) if key is not None}
        return sorted(sorted(keys, key=keys.__getitem__, reverse=True)[: self.keep])


def find_metric(term: Term, metrics: Sequence[Metric]) -> Metric:
    """The metric that a term means.

    Raises:
        ConfigError: the verifier has no metric of that name.
    """
    if not term.metric:
        return metrics[0]
    for metric in metrics:
        if metric.name == term.metric:
            return metric
    raise ConfigError(
        [f"Verifier '{term.verifier}' has no metric '{term.metric}'. It has: {', '.join(m.name for m in metrics)}."]
    )


def _value(scores: Mapping[str, Score], term: Term, metric: Metric) -> float:
    """The metric's own value; NaN where the verifier has none."""
    score = scores.get(term.verifier)
    return float("nan") if score is None or score.failure is not None else score.values[metric.name]
