"""Is the difference real? Two or more runs of one suite, request by request.

Every other run is compared with the first. Runs that differ in nothing but their seed are one side, with
their mean; when all do, each is compared with the first and their spread says what luck does. A run of
`codec-resynthesis` beside two others is no side but a row that gives the scale.

All intervals come from one resampling of speakers (or requests); p-values from swapping the two sides of
whole speakers, corrected (Holm) for all the differences in the table. A verdict needs both to agree.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TypeAlias

import numpy as np

from reports.alignment import Aligned, CommonMetric, align
from reports.best_at_k import best_at_k, oracle_ranks
from reports.coverage import failures_of
from reports.detectable import ALPHA, detectable_difference
from reports.interval_methods import Method
from reports.multiple_comparisons import holm
from reports.permutation import permutation_p
from reports.pools import pool_of, ranks_of
from reports.results import RequestResult, RunResults
from reports.seeds import SeedSpread, mean_over, seed_spread
from reports.sides import Side, not_there, sides_of
from reports.statistics import Bootstrap, Estimate, Sums
from reports.summary import FEWEST_CLUSTERS, cluster_of, cluster_unit, ground_truth_estimate

DRAWS = 10_000
CHANGED = 10
"""Requests shown of each comparison."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One metric, two sides."""

    metric: CommonMetric
    before: float | None
    after: float | None
    estimate: Estimate
    """Of after - before; n counts requests that both sides have a number for."""
    p: float | None
    p_corrected: float | None
    detectable: float | None
    """What as many requests would have shown four times of five."""
    clusters: int
    flattered: tuple[str, ...]
    """Runs of these two sides whose choice the judge took part in."""
    not_there: int
    """Requests that some run of the two sides, or the judge in it, was not asked, or has not come to yet."""

    @property
    def is_settled(self) -> bool | None:
        """Whether interval and corrected test agree that there is a difference; None with too little to say."""
        if self.estimate.interval is None or self.p_corrected is None or self.clusters < FEWEST_CLUSTERS:
            return None
        if self.not_there:
            return None
        return self.estimate.interval.excludes_zero and self.p_corrected <= ALPHA

    @property
    def is_better(self) -> bool:
        """Whether the second side did better, settled or not."""
        change = self.estimate.value or 0.0
        return change > 0 if self.metric.metric.higher_is_better else change < 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One request, two sides."""

    row: int
    request: RequestResult
    before: float
    after: float
    """The clips' own values (their mean over seeds), a failure counting as worst."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairing:
    """A side against the first."""

    first: Side
    side: Side
    differences: tuple[Difference, ...]
    changes: tuple[Change, ...]
    """By the first metric, largest first; requests without a change are left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """What the numbers of one metric lie between."""

    metric: CommonMetric
    truth: Estimate | None
    ceiling: Estimate | None
    sides: tuple[tuple[str, int, Estimate, Estimate, Estimate], ...]
    """Name, N, and what a random one of N, the chosen one and the best by this very metric would give."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedRow:
    """One metric of runs that differ in their seed."""

    names: tuple[str, ...]
    metric: CommonMetric
    values: tuple[float | None, ...]
    mean: Estimate
    spread: SeedSpread | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """All of it."""

    aligned: Aligned
    pairings: tuple[Pairing, ...]
    scales: tuple[Scale, ...]
    seeds: tuple[SeedRow, ...]
    clusters: int
    cluster_unit: str
    draws: int
    method: Method

    @property
    def unscored(self) -> Mapping[str, tuple[str, ...]]:
        """By run: ids of requests whose chosen clip is missing, or which some common judge gave no number for."""
        return {
            run.name: tuple(
                request.id
                for request in run.requests
                if failures_of(request.chosen, [metric.judged[place] for metric in self.aligned.metrics])
            )
            for place, run in enumerate(self.aligned.runs)
        }


_Estimates: TypeAlias = dict[tuple[str, str], tuple[Estimate, Estimate, Estimate]]
"""Random, chosen and oracle, by side and metric."""


class _Numbers:
    """Arrays of every run and metric, made once."""

    def __init__(self, aligned: Aligned) -> None:
        ranks = [ranks_of(run) for run in aligned.runs]
        self._not_there = {
            (place, key): frozenset(not_there(run, [key]))
            for place, run in enumerate(aligned.runs)
            for key in dict.fromkeys(metric.judged[place].verifier_key for metric in aligned.metrics)
        }
        self._columns: dict[tuple[int, str], tuple[Sums, np.ndarray, np.ndarray]] = {}
        for metric in aligned.metrics:
            for place, run in enumerate(aligned.runs):
                pool = pool_of(run, metric.judged[place])
                rows, chosen = np.arange(len(ranks[place])), ranks[place].argmin(axis=1)
                oracle = best_at_k(pool.sums, oracle_ranks(pool.badness, ranks[place]))
                oracle.numerators[pool.is_spared.any(axis=1)] = np.nan
                three = (
                    (pool.sums.numerators.mean(axis=1), pool.sums.denominators.mean(axis=1)),
                    (pool.sums.numerators[rows, chosen], pool.sums.denominators[rows, chosen]),
                    (oracle.numerators[:, -1], oracle.denominators[:, -1]),
                )
                columns = Sums(*(np.stack(parts, axis=1) for parts in zip(*three, strict=True)))
                is_any = pool.is_scored.any(axis=1) & ~pool.is_spared.any(axis=1)
                scored = np.stack([is_any, pool.is_scored[rows, chosen], is_any], axis=1)
                self._columns[place, metric.key] = columns, scored, pool.badness[rows, chosen]

    def columns(self, side: Side, metric: CommonMetric) -> Sums:
        """Random, chosen and oracle, [requests, 3], over the seeds of the side."""
        return mean_over([self._columns[place, metric.key][0] for place in side.places])

    def chosen(self, side: Side, metric: CommonMetric) -> Sums:
        """The chosen clips, [requests], over the seeds of the side."""
        columns = self.columns(side, metric)
        return Sums(columns.numerators[:, 1], columns.denominators[:, 1])

    def is_scored(self, side: Side, metric: CommonMetric) -> np.ndarray:
        """Whether every seed has a number for random, chosen and oracle, [requests, 3]."""
        scored: np.ndarray = np.logical_and.reduce([self._columns[place, metric.key][1] for place in side.places])
        return scored

    def not_there(self, sides: Sequence[Side], metric: CommonMetric) -> frozenset[str]:
        """Ids of requests that some run of the sides, or the metric's judge in it, has not come to."""
        places = [place for side in sides for place in side.places]
        return frozenset().union(*(self._not_there[place, metric.judged[place].verifier_key] for place in places))

    def values(self, side: Side, metric: CommonMetric) -> np.ndarray:
        """The clips' own values, [requests], over the seeds of the side."""
        badness = np.mean([self._columns[place, metric.key][2] for place in side.places], axis=0)
        signed: np.ndarray = -badness if metric.metric.higher_is_better else badness
        return signed


def compare(
    runs: Sequence[RunResults], *, seed: int = 0, draws: int = DRAWS, method: Method = "expanded"
) -> Comparison:
    """The first run against each of the others.

    Args:
        runs: two or more, of one suite.
        seed: decides resampling and swaps.
        draws: resamples, and swaps where not all are tried.
        method: of the intervals.

    Raises:
        DataError: they cannot be compared (see `reports.alignment`), or have pools of different sizes.
    """
    aligned = align(runs)
    sides, ceiling, groups = sides_of(aligned.runs)
    requests = aligned.runs[0].requests
    clusters = [cluster_of(request) for request in requests]
    numbers = _Numbers(aligned)
    bootstrap = Bootstrap(clusters, np.random.default_rng([seed, 0]), resamples=draws, method=method)
    estimates = _estimates(numbers, aligned.metrics, [*sides, *groups, *([ceiling] if ceiling else [])], bootstrap)
    pairings = []
    for side in sides[1:]:
        differences = tuple(
            _difference(numbers, metric, sides[0], side, clusters, bootstrap, np.random.default_rng([seed, 1]), draws)
            for metric in aligned.metrics
        )
        changes = _changes(numbers, aligned.metrics[0], sides[0], side, requests)
        pairings.append(Pairing(first=sides[0], side=side, differences=differences, changes=changes))
    return Comparison(
        aligned=aligned,
        pairings=_corrected(pairings),
        scales=tuple(_scale(estimates, metric, sides, ceiling, seed) for metric in aligned.metrics),
        seeds=tuple(_seed_row(numbers, estimates, metric, group) for group in groups for metric in aligned.metrics),
        clusters=bootstrap.n_clusters,
        cluster_unit=cluster_unit(requests),
        draws=draws,
        method=method,
    )


def _difference(
    numbers: _Numbers, metric: CommonMetric, first: Side, side: Side, clusters: Sequence[str], bootstrap: Bootstrap,
    generator: np.random.Generator, draws: int,
) -> Difference:  # fmt: skip
    before, after = numbers.chosen(first, metric), numbers.chosen(side, metric)
    values = _finite(before.value), _finite(after.value)
    change = values[1] - values[0] if values[0] is not None and values[1] is not None else None
    scored = numbers.is_scored(first, metric)[:, 1] & numbers.is_scored(side, metric)[:, 1]
    names = {run.name for run in (*first.runs, *side.runs)}
    return Difference(
        metric=metric,
        before=values[0],
        after=values[1],
        estimate=Estimate(
            value=change,
            interval=bootstrap.paired(before, after).absolute if change is not None else None,
            n=int(scored.sum()),
            n_expected=len(scored),
        ),
        p=permutation_p(before, after, clusters, generator, permutations=draws),
        p_corrected=None,
        detectable=detectable_difference(before, after, clusters),
        clusters=bootstrap.n_clusters,
        flattered=tuple(name for name in metric.selected_in if name in names),
        not_there=len(numbers.not_there([first, side], metric)),
    )


def _corrected(pairings: Sequence[Pairing]) -> tuple[Pairing, ...]:
    corrected = iter(holm([one.p for pairing in pairings for one in pairing.differences]))
    return tuple(
        replace(pairing, differences=tuple(replace(one, p_corrected=next(corrected)) for one in pairing.differences))
        for pairing in pairings
    )


def _changes(
    numbers: _Numbers, metric: CommonMetric, first: Side, side: Side, requests: Sequence[RequestResult]
) -> tuple[Change, ...]:
    before, after = numbers.values(first, metric), numbers.values(side, metric)
    with np.errstate(invalid="ignore"):
        size = np.nan_to_num(np.abs(after - before))
    lacking = numbers.not_there([first, side], metric)
    size[[request.id in lacking for request in requests]] = 0.0  # nobody made it worse
    rows = [int(row) for row in np.argsort(-size, kind="stable")[:CHANGED] if size[row] > 0]
    return tuple(
        Change(row=row, request=requests[row], before=float(before[row]), after=float(after[row])) for row in rows
    )


def _scale(
    estimates: _Estimates, metric: CommonMetric, sides: Sequence[Side], ceiling: Side | None, seed: int
) -> Scale:
    recorded = [
        (run, metric.judged[place])
        for side in sides
        for run, place in zip(side.runs, side.places, strict=True)
        if any(request.ground_truth is not None for request in run.requests)
    ]
    return Scale(
        metric=metric,
        truth=ground_truth_estimate(recorded[0][0].requests, recorded[0][1], seed) if recorded else None,
        ceiling=estimates[ceiling.name, metric.key][1] if ceiling else None,
        sides=tuple((side.name, side.runs[0].n, *estimates[side.name, metric.key]) for side in sides),
    )


def _estimates(
    numbers: _Numbers, metrics: Sequence[CommonMetric], sides: Sequence[Side], bootstrap: Bootstrap
) -> _Estimates:
    """All of them through one product with the resamples, which is what takes the time."""
    wanted = {(side.name, metric.key): (side, metric) for side in sides for metric in metrics}
    sums = [numbers.columns(side, metric) for side, metric in wanted.values()]
    together = Sums(
        np.concatenate([one.numerators for one in sums], axis=1),
        np.concatenate([one.denominators for one in sums], axis=1),
    )
    found = iter(zip(together.value, bootstrap.intervals(together), strict=True))
    estimates = {}
    for key, (side, metric) in wanted.items():
        scored = numbers.is_scored(side, metric)
        one, two, three = (
            Estimate(value=_finite(value), interval=interval, n=int(n), n_expected=len(scored))
            for (value, interval), n in zip(islice(found, 3), scored.sum(axis=0), strict=True)
        )
        estimates[key] = one, two, three
    return estimates


def _seed_row(numbers: _Numbers, estimates: _Estimates, metric: CommonMetric, group: Side) -> SeedRow:
    alone = [
        numbers.chosen(Side(name=run.name, runs=(run,), places=(place,)), metric)
        for run, place in zip(group.runs, group.places, strict=True)
    ]
    return SeedRow(
        names=tuple(run.name for run in group.runs),
        metric=metric,
        values=tuple(_finite(sums.value) for sums in alone),
        mean=estimates[group.name, metric.key][1],
        spread=seed_spread(alone),
    )


def _finite(value: float | np.ndarray) -> float | None:
    return float(value) if math.isfinite(value) else None
