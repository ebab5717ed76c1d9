"""A run in numbers: what was gained, how sure that is, what it cost, and what it rests on.

`summarise` turns `RunResults` into one `Summary`; tables, figures, HTML, Markdown and JSON show that
and compute nothing themselves. All intervals of a run come from one resampling of its requests.

Three numbers stand beside each other for every metric: the single sample (expected value of one
candidate, the mean of the pool), the chosen candidate, and the oracle (the best of the pool by that
very metric, which no search can beat).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from reports.best_at_k import best_at_k, oracle_ranks
from reports.budget_use import BudgetUse, budget_use
from reports.coverage import Coverage, coverage_of
from reports.pool import Pool
from reports.pools import ground_truths_of, pool_of, ranks_of, resyntheses_of
from reports.results import SINGLE_SAMPLE, JudgedMetric, RequestResult, RunResults
from reports.statistics import Bootstrap, Estimate, Interval, Sums
from tts_eval.types import Cost

HALF = 0.5
"""An utterance with more errors than this is lost to a listener; corpus means hide how many there are."""
FEWEST_CLUSTERS = 6
"""Below it no verdict is given: an interval that says 95 % then holds the truth 75 % (3 draws) to 92 % (5) of the time;
93 % with 6, 94 % with 8 (2,000 samples of t with 3 degrees of freedom). Nor can a sign-flip test of five come below
a p of 2/32."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Curves:
    """Expected metric of the best of k, for k = 1..N."""

    selected: tuple[float | None, ...]
    """Ranked as the run ranked."""
    intervals: tuple[Interval | None, ...]
    """Of `selected`."""
    oracle: tuple[float | None, ...]
    """Ranked by the metric itself."""
    random: float | None
    """Picked at random: the mean of the pool, whatever k is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricSummary:
    """One metric by one judge."""

    judged: JudgedMetric
    chosen: Estimate
    baseline: Estimate
    """A single sample: the expected value of one candidate."""
    first: Estimate
    """The candidate with index 0: what the run would be with N = 1."""
    oracle: Estimate
    difference: Estimate
    """chosen - baseline; undefined for pools of one."""
    gain: Estimate
    """The difference relative to the baseline, positive when better; undefined for pools of one."""
    above_half: float | None
    """Share of requests whose chosen clip has an error rate above 50 %; None for other metrics."""
    baseline_above_half: float | None
    """The same, expected, for a single sample."""
    ground_truth: Estimate | None
    """The recordings by the same judge; None where the suite has none."""
    resynthesis: Estimate | None
    """The recordings through a codec; None where `tts-eval scale` has not made that."""
    curves: Curves
    clusters: int
    """How many independent draws the intervals rest on."""

    @property
    def is_settled(self) -> bool | None:
        """Whether the difference's interval excludes zero; None where it rests on too little to say."""
        if self.difference.interval is None or self.clusters < FEWEST_CLUSTERS:
            return None
        return self.difference.interval.excludes_zero

    @property
    def is_better(self) -> bool:
        """Whether the chosen candidates did better than a single sample, settled or not."""
        change = self.difference.value or 0.0
        return change > 0 if self.judged.metric.higher_is_better else change < 0


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupSummary:
    """One named subset of the suite, for the metrics shown per group."""

    group: str
    requests: int
    metrics: tuple[MetricSummary, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CostSummary:
    """What the whole run cost."""

    total: Cost
    delivered_seconds: float
    """Audio of the chosen clips."""
    judging_seconds: Mapping[str, float]
    """Wall seconds per verifier, over every candidate it judged."""
    budget: BudgetUse | None = None
    """None where none was given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Everything a report says in numbers."""

    run: str
    suite: str
    synthesizer: str
    strategy: str
    n: int
    coverage: Coverage
    metrics: tuple[MetricSummary, ...]
    groups: tuple[GroupSummary, ...]
    """For the first held-out metric and the first selecting one; empty with fewer than two groups."""
    cost: CostSummary
    clusters: int
    cluster_unit: str
    """What was resampled: `speaker`, `request` or both."""
    report: str | None
    limits: tuple[str, ...] = ()
    """What the synthesizer did not do though the requests ask for it, in words."""
    codec: str = ""
    """What made the resyntheses of the recordings, NAME:REVISION."""

    @property
    def is_search(self) -> bool:
        """Whether each request's one candidate is the choice of a search among more that were not kept."""
        return self.n < 2 and self.strategy != SINGLE_SAMPLE

    def as_json(self) -> dict[str, object]:
        """The machine-readable summary: only str, int, finite float, None, list and dict."""
        return {
            "run": self.run,
            "suite": self.suite,
            "n_expected": self.coverage.requests,
            "n_scored": self.coverage.scored,
            "failures": self.coverage.failures_json(),
            "n": self.n,
            "limits": list(self.limits),
            "metrics": {metric.judged.key: _metric_json(metric) for metric in self.metrics},
            "best_at_k": {
                metric.judged.key: {str(k): value for k, value in enumerate(metric.curves.selected, start=1)}
                for metric in self.metrics
            },
            "cost": {
                **{name: _finite(value) for name, value in asdict(self.cost.total).items()},
                "delivered_seconds": _finite(self.cost.delivered_seconds),
                "judging_seconds": {name: _finite(value) for name, value in self.cost.judging_seconds.items()},
                "budget": None if self.cost.budget is None else asdict(self.cost.budget),
            },
            "report": self.report,
        }


def summarise(results: RunResults, seed: int = 0, report_path: str | None = None) -> Summary:
    """The numbers of a run.

    Args:
        results: the run.
        seed: decides the resampling behind every interval.
        report_path: where the report is, for `Summary.report`.

    Raises:
        DataError: the requests have pools of different sizes.
        ValueError: the ranks of a request are not 0..N-1, each once.
    """
    ranks = ranks_of(results)
    bootstrap = bootstrap_of(results.requests, seed)
    pools = {judged.key: pool_of(results, judged) for judged in results.metrics}
    return Summary(
        run=results.name,
        suite=results.suite,
        synthesizer=results.synthesizer,
        strategy=results.strategy,
        n=results.n,
        coverage=coverage_of(results),
        metrics=tuple(
            _metric(
                judged,
                pools[judged.key],
                ranks,
                bootstrap,
                ground_truth_estimate(results.requests, judged, seed),
                resynthesis_estimate(results.requests, judged, seed),
            )
            for judged in results.metrics
        ),
        groups=_groups(results, pools, ranks, seed),
        cost=_cost(results),
        clusters=bootstrap.n_clusters,
        cluster_unit=cluster_unit(results.requests),
        report=report_path,
        limits=results.limits,
        codec=str(results.run.get("resynthesis", "")),
    )


def headline_metrics(metrics: Sequence[JudgedMetric]) -> tuple[JudgedMetric, ...]:
    """The first held-out metric and the first selecting one, where there are such."""
    held_out = [judged for judged in metrics if not judged.selected_on]
    selecting = [judged for judged in metrics if judged.selected_on]
    return (*held_out[:1], *selecting[:1])


def _metric(
    judged: JudgedMetric,
    pool: Pool,
    ranks: np.ndarray,
    bootstrap: Bootstrap,
    ground_truth: Estimate | None = None,
    resynthesis: Estimate | None = None,
) -> MetricSummary:
    selected = best_at_k(pool.sums, ranks)
    oracle = best_at_k(pool.sums, oracle_ranks(pool.badness, ranks))
    complete = ~pool.is_spared.any(axis=1)
    oracle.numerators[~complete] = np.nan  # what was not heard might have been the best
    size = ranks.shape[1]
    before, after, best = column(selected, 0), column(selected, -1), column(oracle, -1)
    first = column(pool.sums, 0)
    intervals = bootstrap.intervals(selected)
    n_chosen = int((pool.is_scored & (ranks == 0)).any(axis=1).sum())
    n_any = int((pool.is_scored.any(axis=1) & complete).sum())
    expected = len(ranks)

    def estimate(value: float | None, interval: Interval | None, n: int) -> Estimate:
        return Estimate(value=value, interval=interval if value is not None else None, n=n, n_expected=expected)

    value, baseline = _finite(after.value), _finite(before.value)
    difference = value - baseline if size > 1 and value is not None and baseline is not None else None
    sign = 1.0 if judged.metric.higher_is_better else -1.0
    paired = bootstrap.paired(before, after)
    above = np.where(pool.is_spared, np.nan, pool.badness > HALF)
    lost = best_at_k(Sums.of_means(above), ranks).value if judged.metric.unit == "error-rate" else None
    return MetricSummary(
        judged=judged,
        chosen=estimate(value, intervals[-1], n_chosen),
        baseline=estimate(baseline, intervals[0], n_any),
        first=estimate(_finite(first.value), bootstrap.interval(first), int(pool.is_scored[:, 0].sum())),
        oracle=estimate(_finite(best.value), bootstrap.interval(best), n_any),
        difference=estimate(difference, paired.absolute, n_chosen),
        gain=estimate(
            sign * difference / abs(baseline) if difference is not None and baseline else None,
            signed(paired.relative, sign),
            n_chosen,
        ),
        above_half=None if lost is None else _finite(lost[-1]),
        baseline_above_half=None if lost is None else _finite(lost[0]),
        ground_truth=ground_truth,
        resynthesis=resynthesis,
        curves=Curves(
            selected=tuple(_finite(number) for number in selected.value),
            intervals=tuple(intervals),
            oracle=tuple(_finite(number) for number in oracle.value),
            random=baseline,
        ),
        clusters=bootstrap.n_clusters,
    )


def ground_truth_estimate(requests: Sequence[RequestResult], judged: JudgedMetric, seed: int) -> Estimate | None:
    """The recordings by one judge, over the requests that have one; how many that is of all stands beside it."""
    recorded = [request for request in requests if request.ground_truth is not None]
    return _recorded(recorded, ground_truths_of, judged, seed, len(requests))


def resynthesis_estimate(requests: Sequence[RequestResult], judged: JudgedMetric, seed: int) -> Estimate | None:
    """The recordings through a codec, in the same way."""
    recorded = [request for request in requests if request.resynthesis is not None]
    return _recorded(recorded, resyntheses_of, judged, seed, len(requests))


def _recorded(
    recorded: Sequence[RequestResult],
    pool_of_recorded: Callable[[Sequence[RequestResult], JudgedMetric], Pool],
    judged: JudgedMetric,
    seed: int,
    expected: int,
) -> Estimate | None:
    if not recorded:
        return None
    pool = pool_of_recorded(recorded, judged)
    sums = column(pool.sums, 0)
    bootstrap = bootstrap_of(recorded, seed)
    value = _finite(float(sums.value))
    interval = bootstrap.interval(sums) if value is not None else None
    return Estimate(value=value, interval=interval, n=int(pool.is_scored.sum()), n_expected=expected)


def _groups(results: RunResults, pools: Mapping[str, Pool], ranks: np.ndarray, seed: int) -> tuple[GroupSummary, ...]:
    names = list(dict.fromkeys(request.group for request in results.requests))
    if len(names) < 2:
        return ()
    groups = []
    for number, name in enumerate(names, start=1):
        rows = np.array([request.group == name for request in results.requests])
        clusters = [cluster_of(request) for request in results.requests if request.group == name]
        bootstrap = Bootstrap(clusters, np.random.default_rng([seed, number]))
        metrics = tuple(
            _metric(judged, pools[judged.key].take(rows), ranks[rows], bootstrap)
            for judged in headline_metrics(results.metrics)
        )
        groups.append(GroupSummary(group=name, requests=len(clusters), metrics=metrics))
    return tuple(groups)


def _cost(results: RunResults) -> CostSummary:
    candidates = [candidate for request in results.requests for candidate in request.candidates]
    judging: dict[str, float] = {judged.verifier_key: 0.0 for judged in results.metrics}
    for candidate in candidates:
        for verifier, score in candidate.scores.items():
            judging[verifier] = judging.get(verifier, 0.0) + score.seconds
    return CostSummary(
        total=sum((candidate.cost for candidate in candidates), Cost()),
        delivered_seconds=sum(request.chosen.seconds for request in results.requests),
        judging_seconds=judging,
        budget=budget_use(results),
    )


def bootstrap_of(requests: Sequence[RequestResult], seed: int) -> Bootstrap:
    """The resampling of these requests, by speaker where speakers are known: the same draws for every number."""
    return Bootstrap([cluster_of(request) for request in requests], np.random.default_rng([seed, 0]))


def cluster_of(request: RequestResult) -> str:
    """What is drawn whole with the request when intervals are made: its speaker, else itself."""
    return f"speaker {request.speaker}" if request.speaker else f"request {request.id}"


def cluster_unit(requests: Sequence[RequestResult]) -> str:
    """What clusters are, in words."""
    known = sum(bool(request.speaker) for request in requests)
    return "request" if not known else "speaker" if known == len(requests) else "speaker or request"


def column(sums: Sums, index: int) -> Sums:
    """One column of [requests, columns]."""
    return Sums(sums.numerators[:, index], sums.denominators[:, index])


def signed(interval: Interval | None, sign: float) -> Interval | None:
    """The interval of the number times `sign`, which is 1 or -1."""
    if interval is None or sign > 0:
        return interval
    return Interval(-interval.high, -interval.low)


def _finite(value: float | np.ndarray | None) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None


def _metric_json(metric: MetricSummary) -> dict[str, object]:
    return {
        "value": metric.chosen.value,
        "ci": _interval_json(metric.chosen.interval),
        "n": metric.chosen.n,
        "n_expected": metric.chosen.n_expected,
        "protocol": metric.judged.metric.protocol,
        "judge": metric.judged.judge,
        "selected_on": metric.judged.selected_on,
        "baseline": metric.baseline.value,
        "baseline_ci": _interval_json(metric.baseline.interval),
        "difference": metric.difference.value,
        "difference_ci": _interval_json(metric.difference.interval),
        "gain": metric.gain.value,
        "gain_ci": _interval_json(metric.gain.interval),
        "first": metric.first.value,
        "first_ci": _interval_json(metric.first.interval),
        "oracle": metric.oracle.value,
        "oracle_ci": _interval_json(metric.oracle.interval),
        "ground_truth": metric.ground_truth.value if metric.ground_truth else None,
        "ground_truth_ci": _interval_json(metric.ground_truth.interval) if metric.ground_truth else None,
        "ground_truth_n": metric.ground_truth.n if metric.ground_truth else 0,
        "ground_truth_n_expected": metric.ground_truth.n_expected if metric.ground_truth else 0,
        "resynthesis": metric.resynthesis.value if metric.resynthesis else None,
        "resynthesis_ci": _interval_json(metric.resynthesis.interval) if metric.resynthesis else None,
        "resynthesis_n": metric.resynthesis.n if metric.resynthesis else 0,
        "clusters": metric.clusters,
        "settled": metric.is_settled,
        "above_half": metric.above_half,
    }


def _interval_json(interval: Interval | None) -> list[float] | None:
    return None if interval is None else [interval.low, interval.high]
