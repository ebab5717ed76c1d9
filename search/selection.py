"""Which candidate of a pool is best: one metric, a weighted sum, or one metric after another.

A rule is written as

    asr:tiny.en                                       the verifier's first metric
    asr:tiny.en#likelihood                            another of its metrics
    asr:tiny.en#wer + 0.5*quality#ovrl                weighted sum of z-scores within the pool
    min(speaker,0.3) > asr:tiny.en#wer > quality      lexicographic; a capped metric counts up to the cap

Directions are taken care of: of a metric that is better when lower, the negative is ranked. z-scores
use the mean and deviation of the request's own pool, so a term says how a candidate compares with
its siblings; a term on which all agree says nothing. The capped lexicographic rule is that of
VALL-E 2 (arXiv 2406.05370, eq. 23). Candidates that a verifier could not judge rank last, and ties
go to the lower index.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tts_eval.errors import ConfigError
from tts_eval.types import Metric, Score

_JOIN = re.compile(r"(?:^|(?<=\s))([+>])(?=\s|$)")
"""A plus or > between spaces; inside a path it is just a character."""
_CAPPED = re.compile(r"min\((?P<term>.+),\s*(?P<cap>[-+.\deE]+)\)")
_WEIGHTED = re.compile(r"(?P<weight>[-+]?[.\d]+(?:[eE][-+]?\d+)?)\s*\*\s*(?P<term>.+)")


@dataclass(frozen=True, slots=True)
class Term:
    """One metric of one verifier inside a rule."""

    verifier: str
    """Verifier spec, e.g. `asr:tiny.en`."""
    metric: str = ""
    """Empty is the verifier's first metric."""
    weight: float = 1.0
    cap: float | None = None
    """Values beyond it count as it; lexicographic rules only."""


@dataclass(frozen=True, slots=True)
class Rule:
    """How a pool is ranked."""

    text: str
    kind: Literal["sum", "lexicographic"]
    terms: tuple[Term, ...]

    @property
    def verifiers(self) -> tuple[str, ...]:
        """Specs of the verifiers that take part, each once, in order."""
        return tuple(dict.fromkeys(term.verifier for term in self.terms))

    def selection_scores(
        self, pool: Sequence[Mapping[str, Score]], metrics: Mapping[str, Sequence[Metric]]
    ) -> list[float | None]:
        """One number per candidate of one pool; higher is better, None cannot be ranked.

        Args:
            pool: scores of each candidate by verifier spec, in order of candidate index.
            metrics: the metrics of each verifier spec.
        """
        table = np.array([[_value(scores, term, metrics[term.verifier]) for term in self.terms] for scores in pool])
        valid = np.isfinite(table).all(axis=1)
        ranked = table[valid]
        if not len(ranked):
            return [None] * len(pool)
        if self.kind == "lexicographic":
            values = _lexicographic(ranked)
        elif len(self.terms) == 1:
            values = ranked[:, 0] * self.terms[0].weight
        else:
            values = _standardised(ranked) @ np.array([term.weight for term in self.terms])
        scores = iter(values.tolist())
        return [next(scores) if ok else None for ok in valid]


def ranks(scores: Sequence[float | None]) -> list[int]:
    """Rank of each candidate, 0 is best; None ranks last, ties go to the lower index."""
    order = sorted(range(len(scores)), key=lambda i: (scores[i] is None, -(scores[i] or 0.0), i))
    result = [0] * len(scores)
    for rank, position in enumerate(order):
        result[position] = rank
    return result


def parse_rule(text: str) -> Rule:
    """The rule that `text` spells.

    Raises:
        ConfigError: it is empty, mixes ' + ' and ' > ', or a term is malformed; all problems at once.
    """
    joins = set(_JOIN.findall(text))
    lexicographic = ">" in joins
    if len(joins) > 1:
        raise ConfigError([f"Selection rule '{text}' mixes ' + ' and ' > '. Use one of them."])
    problems: list[str] = []
    terms = [_parse_term(part, lexicographic, problems) for part in _JOIN.sub("\n", text).split("\n")]
    if problems:
        raise ConfigError(problems)
    return Rule(text.strip(), "lexicographic" if lexicographic else "sum", tuple(terms))


def _parse_term(text: str, lexicographic: bool, problems: list[str]) -> Term:
    part, weight, cap = text.strip(), 1.0, None
    if capped := _CAPPED.fullmatch(part):
        part = capped["term"]
        cap = _number(capped["cap"], text, problems)
        if not lexicographic:
            problems.append(f"'{text}': a cap has a meaning in lexicographic rules only (min(speaker,0.3) > asr).")
    if weighted := _WEIGHTED.fullmatch(part):
        part = weighted["term"]
        weight = _number(weighted["weight"], text, problems)
        if lexicographic:
            problems.append(f"'{text}': a weight has a meaning in sums only (asr + 0.5*quality).")
    verifier, _, metric = part.strip().partition("#")
    if not verifier:
        problems.append(f"'{text}' names no verifier. Expected VERIFIER[:ARGUMENT][#METRIC], e.g. asr:tiny.en#wer.")
    return Term(verifier, metric, weight, cap)


def _number(text: str, term: str, problems: list[str]) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        problems.append(f"'{term}': '{text}' is not a number that can be reckoned with.")
    return number


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


def _value(scores: Mapping[str, Score], term: Term, metrics: Sequence[Metric]) -> float:
    """The term's value, higher is better; NaN where the verifier has none."""
    score = scores.get(term.verifier)
    if score is None or score.failure is not None:
        return float("nan")
    metric = find_metric(term, metrics)
    value = score.values[metric.name]
    if term.cap is not None:
        value = min(value, term.cap) if metric.higher_is_better else max(value, term.cap)
    return value if metric.higher_is_better else -value


def _standardised(table: np.ndarray) -> np.ndarray:
    deviation = table.std(axis=0)
    flat = deviation <= 1e-12 * np.maximum(np.abs(table).max(axis=0), 1.0)  # equal up to rounding
    scaled: np.ndarray = np.where(flat, 0.0, (table - table.mean(axis=0)) / np.where(flat, 1.0, deviation))
    return scaled


def _lexicographic(table: np.ndarray) -> np.ndarray:
    """Minus the dense rank of each row, so that rows that tie on every term stay tied."""
    _, position = np.unique(table, axis=0, return_inverse=True)
    ordered: np.ndarray = position.reshape(-1) - len(table)
    return ordered.astype(float)
