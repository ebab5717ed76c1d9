"""What a search cost, without the judges that only report: the synthesizer, and the verifiers that chose.

A verifier is counted for the clips that the rule showed it, whoever else heard more: of a cascade each stage costs
what came to it. A pool of one is no search, so nothing was chosen and no verifier is counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from reports.results import CandidateResult, RequestResult, RunResults
from search.rule_text import parse_rule
from search.selection import Rule, Verdict
from tts_eval.types import Cost


def search_cost(results: RunResults) -> Cost:
    """What the search of all requests cost."""
    return sum(request_costs(results), Cost())


def request_costs(results: RunResults) -> list[Cost]:
    """What the search of each request cost, in their order."""
    rule = _rule(results)
    return [_request_cost(rule, request) for request in results.requests]


def _request_cost(rule: Rule | None, request: RequestResult) -> Cost:
    total, choosing = Cost(), Cost()
    for candidate in request.candidates:
        seconds = {spec: score.seconds for spec, score in candidate.scores.items()}
        judged = sum(seconds.values())
        total += candidate.cost + Cost(verifier_seconds=-judged)  # the reader added all of them; a search knows its own
        if rule is not None:
            choosing += _choosing_cost(rule, candidate, seconds)
    return total + choosing


def _rule(results: RunResults) -> Rule | None:
    """What a pool was chosen from by; None where nothing was."""
    config = results.run.get("config")
    text = str(config.get("verifier", "")) if isinstance(config, Mapping) else ""
    return parse_rule(text) if text and results.n > 1 else None


def _choosing_cost(rule: Rule, candidate: CandidateResult, seconds: Mapping[str, float]) -> Cost:
    stage = (candidate.dropped_at or len(rule.stages)) - 1
    shown = rule.shown_to(Verdict(None, stage, candidate.dropped_at is not None))
    asked = [seconds[spec] for spec in shown if spec in seconds]
    return Cost(verifier_seconds=sum(asked), judgements=int(bool(asked)))


@dataclass(frozen=True, slots=True, kw_only=True)
class CostOfK:
    """What the best of k costs a request, on average: k times what one candidate of the pool cost."""

    generator_seconds: float
    """Of one candidate."""
    choosing_seconds: float
    """Of one candidate, by the verifiers that choose; a pool of one needs none of them."""
    tokens: float
    """Of one candidate; 0 where nobody counts them."""

    def seconds(self, k: int) -> float:
        """Wall seconds of synthesizer and choosing verifiers."""
        return k * (self.generator_seconds + (self.choosing_seconds if k > 1 else 0.0))


def cost_of_k(results: RunResults) -> CostOfK:
    """The mean over the pools of a run. A search that is no pool counts as one candidate that cost all of it."""
    cost = search_cost(results)
    candidates = max(sum(len(request.candidates) for request in results.requests), 1)
    is_pool = results.n > 1
    seconds = cost.generator_seconds + (0.0 if is_pool else max(cost.verifier_seconds, 0.0))
    return CostOfK(
        generator_seconds=seconds / candidates,
        choosing_seconds=max(cost.verifier_seconds, 0.0) / candidates if is_pool else 0.0,
        tokens=cost.tokens / candidates,
    )
