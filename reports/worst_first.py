"""In which order a page shows the requests, and which of their clips it names.

The first held-out error rate decides (an independent judge before the one that chose, an error rate
before a score): requests whose chosen clip it likes least come first, unjudged ones before all. The
same metric says which clip of a pool is the oracle's.
"""

from __future__ import annotations

from reports.pools import clip_value
from reports.results import CandidateResult, JudgedMetric, RequestResult, RunResults


def sort_metrics(results: RunResults) -> list[JudgedMetric]:
    """The metrics by how much their word counts: held-out ones first, of those error rates first."""
    return sorted(results.metrics, key=lambda judged: (judged.selected_on, judged.metric.unit != "error-rate"))


def worst_first(results: RunResults) -> list[RequestResult]:
    """Requests by how bad the chosen clip is: unjudged ones, then by the first of `sort_metrics`, then the rest."""
    order = sort_metrics(results)

    def goodness(request: RequestResult) -> tuple[tuple[float, float], ...]:
        return tuple(_goodness(request.chosen, judged) for judged in order)

    return sorted(results.requests, key=goodness)


def oracle_of(request: RequestResult, judged: JudgedMetric) -> CandidateResult | None:
    """The candidate that this judge likes best, of equals the one that the run ranked higher; None if all failed."""
    scored = [candidate for candidate in request.candidates if clip_value(candidate, judged) is not None]
    return max(scored, key=lambda candidate: (_goodness(candidate, judged), -candidate.rank), default=None)


def loss(request: RequestResult, judged: JudgedMetric) -> float | None:
    """By how much the chosen clip is worse than the first one, in the metric's unit; None where one has no number."""
    chosen, first = clip_value(request.chosen, judged), clip_value(request.first, judged)
    if chosen is None or first is None:
        return None
    return first - chosen if judged.metric.higher_is_better else chosen - first


def _goodness(candidate: CandidateResult, judged: JudgedMetric) -> tuple[float, float]:
    value = clip_value(candidate, judged)
    if value is None:
        return 0.0, 0.0
    return 1.0, value if judged.metric.higher_is_better else -value
