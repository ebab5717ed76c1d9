"""Outcome verification: judge finished candidates, with one verifier or several, as one verifier.

An `OutcomeVerifier` runs each verifier of a selection rule once per candidate and ranks within each
request's pool, so `score` must be given whole pools. It follows the `Verifier` protocol, which is
all that a search strategy sees.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from search.selection import Rule, find_metric
from tts_eval.types import Failure, FailureKind, Item, Metric, Score, Verifier


class OutcomeVerifier:
    """A selection rule with its verifiers loaded."""

    name = "selection"
    version = "1"
    supports_partial = False
    metrics = (Metric(name="selection", higher_is_better=True, worst=float("-inf")),)

    def __init__(self, rule: Rule, verifiers: Mapping[str, Verifier]) -> None:
        for term in rule.terms:
            find_metric(term, verifiers[term.verifier].metrics)
        self._rule = rule
        self._verifiers = verifiers
        self._metrics = {spec: verifiers[spec].metrics for spec in rule.verifiers}
        self.judge = rule.text

    def score(self, items: Sequence[Item]) -> list[Score]:
        """One score per item, in order; `value` is the selection score within the item's pool."""
        by_verifier = {spec: self._verifiers[spec].score(items) for spec in self._rule.verifiers}
        scores = [{spec: by_verifier[spec][i] for spec in by_verifier} for i in range(len(items))]
        pools: dict[str, list[int]] = {}
        for position, item in enumerate(items):
            pools.setdefault(item.request.id, []).append(position)
        result: dict[int, Score] = {}
        for positions in pools.values():
            values = self._rule.selection_scores([scores[p] for p in positions], self._metrics)
            result |= {p: self._score(value, scores[p]) for p, value in zip(positions, values, strict=True)}
        return [result[position] for position in range(len(items))]

    def _score(self, value: float | None, parts: Mapping[str, Score]) -> Score:
        failure = next((part.failure for part in parts.values() if part.failure), None)
        if value is None:
            failure = failure or Failure(FailureKind.VERIFIER, "A verifier of the selection rule gave no number.")
        return Score(
            verifier=self.name,
            judge=self.judge,
            value=value,
            values={} if value is None else {"selection": value},
            failure=failure if value is None else None,
            seconds=sum(part.seconds for part in parts.values()),
        )
