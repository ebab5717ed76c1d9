"""Outcome verification: judge finished candidates, with one verifier or several, as one verifier.

An `OutcomeVerifier` runs each verifier of a selection rule at most once per candidate and ranks within
each request's pool, so `score` must be given whole pools. It follows the `Verifier` protocol, which is
all that a search strategy sees. Of a cascade, a later stage's verifiers hear only what the earlier ones
passed on, of all pools in one call; a score says how far its candidate came and what that spared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from search.selection import Rule, Spared, Verdict
from tts_eval.types import Failure, FailureKind, Item, Metric, Score, Verifier


class OutcomeVerifier:
    """A selection rule with its verifiers loaded."""

    name = "selection"
    version = "3"
    metrics = (Metric(name="selection", higher_is_better=True, worst=float("-inf")),)

    def __init__(self, rule: Rule, verifiers: Mapping[str, Verifier]) -> None:
        rule.check(verifiers)
        self._rule = rule
        self._verifiers = verifiers
        self._metrics = {spec: verifiers[spec].metrics for spec in rule.verifiers}
        self.judge = rule.text
        self.is_absolute = rule.is_absolute
        self.supports_partial = all(verifiers[spec].supports_partial for spec in rule.verifiers)

    @property
    def parts(self) -> list[Verifier]:
        """The verifiers that take part, in the rule's order; of what several give, the first's counts."""
        return [self._verifiers[spec] for spec in self._rule.verifiers]

    def score(self, items: Sequence[Item]) -> list[Score]:
        """One score per item, in order; `value` is the selection score within the item's pool."""
        pools: dict[str, list[int]] = {}
        for position, item in enumerate(items):
            pools.setdefault(item.request.id, []).append(position)
        parts = self._parts(items, list(pools.values()))
        result: dict[int, Score] = {}
        for positions in pools.values():
            pool = [parts[position] for position in positions]
            verdicts = self._rule.judge(pool, self._metrics)
            spared = self._rule.spared(pool, verdicts)
            for position, verdict, saving in zip(positions, verdicts, spared, strict=True):
                result[position] = self._score(parts[position], verdict, saving)
        return [result[position] for position in range(len(items))]

    def _parts(self, items: Sequence[Item], pools: Sequence[Sequence[int]]) -> list[dict[str, Score]]:
        """What each verifier said of each item that the rule shows it."""
        parts: list[dict[str, Score]] = [{} for _ in items]
        alive = pools
        for stage in self._rule.stages:
            for spec in stage.verifiers:
                asked = [position for pool in alive for position in pool if spec not in parts[position]]
                scores = self._verifiers[spec].score([items[position] for position in asked]) if asked else []
                for position, score in zip(asked, scores, strict=True):
                    parts[position][spec] = score
            alive = [
                [pool[place] for place in stage.survivors([parts[position] for position in pool], self._metrics)]
                for pool in alive
            ]
        return parts

    def _score(self, parts: Mapping[str, Score], verdict: Verdict, spared: Spared) -> Score:
        value = verdict.score
        failure = next((part.failure for part in parts.values() if part.failure), None)
        if verdict.undecided:
            failure = Failure(
                FailureKind.UNDECIDED,
                f"'{self._rule.text}' compares a candidate with its siblings, and there are none. "
                "Use stored scales, z(..., FILE), for a score of its own.",
            )
        elif value is None:
            failure = failure or Failure(FailureKind.VERIFIER, "A verifier of the selection rule gave no number.")
        stages = len(self._rule.stages)
        details = {key: text for part in reversed(list(parts.values())) for key, text in part.details.items()}
        if stages > 1:
            details["stage"] = f"{verdict.stage + 1} of {stages}"
        if spared.verifiers:
            details["not asked"] = ", ".join(spared.verifiers)
        return Score(
            verifier=self.name,
            judge=self.judge,
            value=value,
            values={} if value is None else {"selection": value},
            details=details,
            failure=failure if value is None else None,
            embedding=next((part.embedding for part in parts.values() if part.embedding is not None), None),
            seconds=sum(part.seconds for part in parts.values()),
            spared_calls=len(spared.verifiers),
            spared_seconds=spared.seconds,
        )
