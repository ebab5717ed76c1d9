"""Which candidate of a pool is best: what a selection rule says of a whole pool.

A rule is one line of text (`search.rule_text` has the grammar) with one or more stages, and a stage
ranks by its steps, one after another. Of several stages (a cascade) each passes its best on to the
next: what is dropped ranks behind what went on, by the stage that dropped it. What a verifier could
not judge ranks last of all, and ties go to the lower index.

With one step in one stage the selection score is that step's number. Otherwise there is no such
number, and the score is the place: 0 for the best, -1 for the next that does not tie with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from search.steps import Combination, Judge, Limit, Metrics, PoolScores, Stage, Term
from tts_eval.errors import ConfigError
from tts_eval.scales import Scales


class Verdict(NamedTuple):
    """What a rule says of one candidate."""

    score: float | None
    """Higher is better; None cannot be ranked."""
    stage: int
    """The last stage that the candidate came to, from 0."""
    dropped: bool
    """Whether that stage passed it over; it was judged, but not by the verifiers of later stages."""
    undecided: bool = False
    """Whether its score is missing because nothing is there to compare it with: z-scores, ranks and min-max of a
    pool of one."""


class Spared(NamedTuple):
    """What a cascade did not spend on one candidate."""

    verifiers: tuple[str, ...] = ()
    """Specs of those that were not asked."""
    seconds: float = 0.0
    """Wall seconds they would have taken: what they took on average for the candidates of the pool that they judged."""


@dataclass(frozen=True, slots=True)
class Rule:
    """How a pool is ranked."""

    text: str
    stages: tuple[Stage, ...]

    @property
    def terms(self) -> tuple[Term, ...]:
        """Every mention of a metric, in order."""
        return tuple(term for stage in self.stages for step in stage.steps for term in step.terms)

    @property
    def verifiers(self) -> tuple[str, ...]:
        """Specs of the verifiers that take part, each once, in order."""
        return tuple(dict.fromkeys(term.verifier for term in self.terms))

    @property
    def references(self) -> tuple[str, ...]:
        """Files of scales that it names, each once."""
        return tuple(dict.fromkeys(step.reference for step in self._combinations if step.reference))

    @property
    def scales(self) -> dict[str, Scales]:
        """What is in those files, by name; see `search.rule_text.load_rule`."""
        return {step.reference: step.scales for step in self._combinations if step.scales is not None}

    @property
    def is_relative(self) -> bool:
        """Whether its score compares a candidate with its siblings, and is undefined for a pool of one."""
        return self._has_one_step and any(c.is_relative for c in self._combinations)

    @property
    def is_absolute(self) -> bool:
        """Whether its score is a number of the candidate's own: neither a place nor on the scale of a pool."""
        return self._has_one_step and not self.is_relative

    @property
    def _has_one_step(self) -> bool:
        return len(self.stages) == len(self.stages[0].steps) == 1

    @property
    def _combinations(self) -> list[Combination]:
        return [step for stage in self.stages for step in stage.steps if isinstance(step, Combination)]

    def with_scales(self, read: Mapping[str, Scales]) -> Rule:
        """The same rule with the scales in the files that it names, by the file's name."""

        def bound(step: Combination | Limit) -> Combination | Limit:
            if isinstance(step, Combination) and step.reference in read:
                return replace(step, scales=read[step.reference])
            return step

        stages = (replace(stage, steps=tuple(map(bound, stage.steps))) for stage in self.stages)
        return replace(self, stages=tuple(stages))

    def check(self, judges: Mapping[str, Judge]) -> None:
        """That every metric is there, has the scale that the rule asks for, and stored scales are of these judges.

        Raises:
            ConfigError: all that is not so.
        """
        problems: list[str] = []
        for stage in self.stages:
            for step in stage.steps:
                for term in step.terms:
                    try:
                        problems += step.problems(term, judges[term.verifier])
                    except ConfigError as error:
                        problems += error.problems
        if problems:
            raise ConfigError(list(dict.fromkeys(problems)))

    def asked(self, verifier: str, candidates: int) -> int:
        """How many of a pool of `candidates` the rule shows to the verifier, at most."""
        left = candidates
        for stage in self.stages:
            if verifier in stage.verifiers:
                return left
            left = left if stage.keep is None else min(stage.keep, left)
        return 0

    def shown_to(self, verdict: Verdict) -> tuple[str, ...]:
        """Specs of the verifiers that hear a candidate with this verdict, each once."""
        return tuple(dict.fromkeys(spec for stage in self.stages[: verdict.stage + 1] for spec in stage.verifiers))

    def judge(self, pool: PoolScores, metrics: Metrics) -> list[Verdict]:
        """One verdict per candidate of one pool, in order.

        Scores that a cascade would not have asked for are not looked at, so what is stored and what
        was judged just now give the same.
        """
        keys: dict[int, tuple[float, ...]] = {}
        reached = dict.fromkeys(range(len(pool)), 0)
        alive = list(range(len(pool)))
        for number, stage in enumerate(self.stages):
            shown = [pool[position] for position in alive]
            for position, key in zip(alive, stage.keys(shown, metrics), strict=True):
                keys.pop(position, None)
                reached[position] = number
                if key is not None:
                    keys[position] = (number, *key)
            alive = [alive[position] for position in stage.survivors(shown, metrics)]
        scores = self._scores(keys, len(pool))
        undecided = len(pool) == 1 and self.is_relative and bool(keys)
        return [
            Verdict(
                score=None if undecided else scores.get(position),
                stage=reached[position],
                dropped=position in keys and reached[position] < len(self.stages) - 1,
                undecided=undecided,
            )
            for position in range(len(pool))
        ]

    def _scores(self, keys: Mapping[int, tuple[float, ...]], size: int) -> dict[int, float]:
        if self._has_one_step:
            return {position: key[1] for position, key in keys.items()}
        places = {key: float(-place) for place, key in enumerate(sorted(set(keys.values()), reverse=True))}
        return {position: places[key] for position, key in keys.items()}

    def selection_scores(self, pool: PoolScores, metrics: Metrics) -> list[float | None]:
        """One number per candidate of one pool; higher is better, None cannot be ranked.

        Args:
            pool: scores of each candidate by verifier spec, in order of candidate index.
            metrics: the metrics of each verifier spec.
        """
        return [verdict.score for verdict in self.judge(pool, metrics)]

    def spared(self, pool: PoolScores, verdicts: Sequence[Verdict]) -> list[Spared]:
        """What was not spent on each candidate of one pool: later verifiers that have no score of what was dropped."""
        seconds = {spec: [scores[spec].seconds for scores in pool if spec in scores] for spec in self.verifiers}
        result = []
        for scores, verdict in zip(pool, verdicts, strict=True):
            missing = tuple(spec for spec in self.verifiers if verdict.dropped and spec not in scores)
            saved = sum(sum(seconds[spec]) / len(seconds[spec]) for spec in missing if seconds[spec])
            result.append(Spared(missing, saved))
        return result


def ranks(scores: Sequence[float | None]) -> list[int]:
    """Rank of each candidate, 0 is best; None ranks last, ties go to the lower index."""
    order = sorted(range(len(scores)), key=lambda i: (scores[i] is None, -(scores[i] or 0.0), i))
    result = [0] * len(scores)
    for rank, position in enumerate(order):
        result[position] = rank
    return result
