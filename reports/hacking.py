"""What choosing promised and what arrived: the gain by the judge that chose beside that by one that did not.

A judge that chooses among its own mistakes flatters what it chose; how much is the gap between its gain
and a held-out judge's at the same N. Where both report the same metric by the same protocol the gap is
in that metric's unit. Otherwise both gains are in deviations, the standard deviation of a metric among
the candidates of one request, by which alone a similarity can be set beside an error rate.

Of a search that keeps only what it chose there is no single sample to compare with, and so no gain and
no gap: `hacking_of` then says so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np

from reports.best_at_k import best_at_k
from reports.diversity import Diversity, diversity_of
from reports.manner import Manner
from reports.pool import Pool
from reports.pools import pool_of, ranks_of
from reports.results import JudgedMetric, RunResults
from reports.statistics import ROUNDING, Bootstrap, Interval
from reports.summary import FEWEST_CLUSTERS, bootstrap_of
from tts_eval.types import Metric

Outcome = Literal["arrives", "arrives in part", "does not show", "hurts", "too few", "n/a"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Promise and arrival at one N. Gains are positive when better."""

    n: int
    promised: float | None
    """The selecting judge's metric of the best of `n`."""
    arrived: float | None
    """The held-out judge's."""
    promised_gain: float | None
    """Over a single sample, in the unit of the gap."""
    arrived_gain: float | None
    arrived_interval: Interval | None
    gap: float | None
    """`promised_gain` - `arrived_gain`."""
    gap_interval: Interval | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One held-out metric beside the selecting metric that is most like it."""

    selecting: JudgedMetric
    held_out: JudgedMetric
    in_deviations: bool
    """Whether gains and gap are in deviations within a request; else they are in the metrics' own unit."""
    gaps: tuple[Gap, ...]
    clusters: int
    """How many independent draws the intervals rest on."""

    @property
    def peak(self) -> Gap:
        """Where the gain that arrived is largest; the fewest candidates of several such."""
        return max(self.gaps, key=lambda gap: -math.inf if gap.arrived_gain is None else gap.arrived_gain)

    @property
    def outcome(self) -> Outcome:
        """What became of the promise at the largest N."""
        last = self.gaps[-1]
        if last.arrived_gain is None or last.gap is None:
            return "n/a"
        if self.clusters < FEWEST_CLUSTERS or last.arrived_interval is None or last.gap_interval is None:
            return "too few"
        if last.arrived_interval.high < 0:
            return "hurts"
        if last.arrived_interval.low <= 0:
            return "does not show"
        return "arrives in part" if last.gap_interval.low > 0 else "arrives"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hacking:
    """The reward-hacking view of a run."""

    comparisons: tuple[Comparison, ...]
    """One for each held-out judge: its first metric."""
    diversity: Diversity
    missing: str
    """Why there is nothing to compare; "" where there is."""

    def as_json(self) -> dict[str, object]:
        """Only str, int, finite float, bool, None, list and dict."""
        return {
            "missing": self.missing,
            "comparisons": [
                {
                    "selecting": comparison.selecting.key,
                    "held_out": comparison.held_out.key,
                    "in_deviations": comparison.in_deviations,
                    "outcome": comparison.outcome,
                    "clusters": comparison.clusters,
                    "gaps": [asdict(gap) for gap in comparison.gaps],
                }
                for comparison in self.comparisons
            ],
            "diversity": asdict(self.diversity),
        }


def hacking_of(results: RunResults, manner: Mapping[str, Manner] | None = None, seed: int = 0) -> Hacking:
    """What the run's choice promised, what arrived, and how varied the chosen are.

    Args:
        results: the run.
        manner: see `reports.diversity.diversity_of`; None where no audio is at hand.
        seed: decides the resampling behind every interval.

    Raises:
        DataError: there are no requests, or their pools differ in size.
    """
    ranks = ranks_of(results)
    size = ranks.shape[1]
    if size < 2:
        why = (
            "There is one candidate of each request: a search other than best-of-n keeps only what it chose. So it "
            "cannot be said what choosing promised and how much of it arrived, how varied the candidates were, or "
            "whether the verifiers agree with the judges. That two judges give the chosen clips different numbers is "
            "no gap: they do so of any clip. A pilot of best-of-n shows all of it: tts-eval run --n 4."
        )
        return Hacking(comparisons=(), diversity=diversity_of(results, [1], manner, seed), missing=why)
    points = gap_points(size)
    bootstrap = bootstrap_of(results.requests, seed)
    held_out = first_metrics([judged for judged in results.metrics if not judged.selected_on])
    selecting = [judged for judged in results.metrics if judged.selected_on]
    pairs = [(_most_like(judged, selecting), judged) for judged in held_out] if selecting else []
    return Hacking(
        comparisons=tuple(_comparison(results, ranks, chose, judged, bootstrap) for chose, judged in pairs),
        diversity=diversity_of(results, points, manner, seed),
        missing="" if pairs else _nothing_to_compare(has_selecting=bool(selecting)),
    )


def gap_points(size: int) -> list[int]:
    """Powers of two up to the pool's size, and that size."""
    return sorted({2**power for power in range(size.bit_length())} | {size})


def first_metrics(metrics: list[JudgedMetric]) -> list[JudgedMetric]:
    """The first metric of each judge: what it stands for."""
    return list({judged.verifier_key: judged for judged in reversed(metrics)}.values())[::-1]


def _nothing_to_compare(*, has_selecting: bool) -> str:
    if has_selecting:
        return "Every judge took part in the choice. Add one that did not: tts-eval score RUN --judge NAME."
    return "No judge took part in the choice."


def _most_like(held_out: JudgedMetric, selecting: list[JudgedMetric]) -> JudgedMetric:
    return max(selecting, key=lambda judged: (_is_same(judged.metric, held_out.metric),
                                              judged.metric.name == held_out.metric.name))  # fmt: skip


def _is_same(one: Metric, other: Metric) -> bool:
    return (one.name, one.protocol, one.unit) == (other.name, other.protocol, other.unit) and one.is_rate


def _comparison(
    results: RunResults, ranks: np.ndarray, selecting: JudgedMetric, held_out: JudgedMetric, bootstrap: Bootstrap
) -> Comparison:
    in_deviations = not _is_same(selecting.metric, held_out.metric)
    sides = [_parts(pool_of(results, judged), ranks) for judged in (selecting, held_out)]
    signs = [1.0 if judged.metric.higher_is_better else -1.0 for judged in (selecting, held_out)]

    def gains(sums: np.ndarray) -> np.ndarray:
        """Sums [..., side, part] to gains [..., side]; parts are those of `_parts` for one N."""
        after, before = _ratio(sums[..., 0], sums[..., 1]), _ratio(sums[..., 2], sums[..., 3])
        scale = np.sqrt(_ratio(sums[..., 4], sums[..., 5])) if in_deviations else np.ones(())
        change = (after - before) * np.array(signs)
        # Sums in another order differ in their last bits; that is no difference to report.
        same = np.abs(change) <= ROUNDING * np.maximum(np.abs(after), np.abs(before))
        return _ratio(np.where(same, 0.0, change), scale)

    def gap(n: int) -> Gap:
        parts = np.stack([side[:, n - 1] for side in sides], axis=1)
        total = parts.sum(axis=0)
        values = [_finite(_ratio(side[0], side[1])) for side in total]
        promised, arrived = (_finite(gain) for gain in gains(total))
        defined = promised is not None and arrived is not None
        flat, shape = parts.reshape(len(parts), -1), parts.shape[1:]

        def seen(sums: np.ndarray) -> np.ndarray:
            return gains(sums.reshape(len(sums), *shape))

        return Gap(
            n=n,
            promised=values[0],
            arrived=values[1],
            promised_gain=promised,
            arrived_gain=arrived,
            arrived_interval=bootstrap.interval_of(flat, lambda sums: seen(sums)[:, 1]) if defined else None,
            gap=promised - arrived if promised is not None and arrived is not None else None,
            gap_interval=bootstrap.interval_of(flat, lambda sums: seen(sums)[:, 0] - seen(sums)[:, 1])
            if defined
            else None,
        )

    return Comparison(
        selecting=selecting,
        held_out=held_out,
        in_deviations=in_deviations,
        gaps=tuple(gap(n) for n in gap_points(ranks.shape[1])),
        clusters=bootstrap.n_clusters,
    )


def _parts(pool: Pool, ranks: np.ndarray) -> np.ndarray:
    """Per request and k what gains are made of, [requests, N, 6].

    Numerator and denominator of the best of k, those of a single sample, the variance among the request's
    candidates, and 1.
    """
    best = best_at_k(pool.sums, ranks)
    single = [np.broadcast_to(part[:, :1], part.shape) for part in (best.numerators, best.denominators)]
    finite = np.where(np.isfinite(pool.badness), pool.badness, np.nan)
    variance = np.broadcast_to(finite.var(axis=1, ddof=1)[:, None], ranks.shape)
    parts = [best.numerators, best.denominators, *single, variance, np.ones(ranks.shape)]
    return np.stack(parts, axis=2)


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Quotient, NaN where the divisor is 0."""
    above, below = np.broadcast_arrays(above, below)
    quotient = np.full(above.shape, np.nan)
    np.divide(above, below, out=quotient, where=below != 0)
    return quotient


def _finite(value: np.ndarray | float) -> float | None:
    return float(value) if math.isfinite(value) else None
