"""How sure a number is: the bootstrap over clusters, for means and for ratios of sums.

Every metric of a run is one thing here, `Sums`: per request a numerator and a denominator, and the
set-level value is sum(numerators) / sum(denominators). A mean has denominators of 1; corpus WER has
errors over words. Requests of one speaker rise and fall together, so whole clusters are drawn with
replacement, not requests. A `Bootstrap` draws once, and every number of a run is seen through the
same draws, so that the difference of any two numbers is a paired one. Where in the draws an interval
ends is `reports.interval_methods`' business.

Sources: C. Field and A. Welsh, Bootstrapping clustered data, JRSS B 69 (2007) (draw clusters
whole); M. Bisani and H. Ney, Bootstrap estimates for confidence intervals in ASR performance
evaluation, ICASSP 2004 (corpus error rate and paired differences by the bootstrap).

Not handled: a tail that nobody drew. The mean of a metric that is zero for most requests is covered
too seldom with few single requests, whatever the method; reports say how many clusters there were.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from reports.interval_methods import Method, end_levels, needs_jackknife

RESAMPLES = 2000
CONFIDENCE = 0.95
ROUNDING = 1e-9
"""Relative differences below this are the arithmetic's: no interval and no test takes them for real."""
BLOCK = 1024
"""Resamples that are in memory as floats at a time."""


class Interval(NamedTuple):
    """A two-sided confidence interval."""

    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether zero lies outside: the sign of the number is settled at this confidence."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A set-level number, how sure it is, and what it rests on."""

    value: float | None
    """None where it is undefined."""
    interval: Interval | None
    """None where it is undefined: fewer than two clusters, or a denominator that can be 0."""
    n: int
    """Requests that a judge gave a number for."""
    n_expected: int
    """Requests asked for: the denominator of every mean."""


@dataclass(frozen=True, slots=True, eq=False)
class Sums:
    """What a set-level value is made of; axis 0 is the request, further axes are free (e.g. k)."""

    numerators: np.ndarray
    denominators: np.ndarray

    @classmethod
    def of_means(cls, values: np.ndarray) -> Sums:
        """Sums whose value is the mean of `values` over axis 0."""
        values = np.asarray(values, dtype=np.float64)
        return cls(values, np.ones_like(values))

    @property
    def value(self) -> np.ndarray:
        """Ratio of sums over the requests, shape of the free axes; NaN where there is nothing to divide by."""
        return _divide(self.numerators.sum(axis=0), self.denominators.sum(axis=0))

    def take(self, requests: np.ndarray) -> Sums:
        """The same for some of the requests (a mask or indices)."""
        return Sums(self.numerators[requests], self.denominators[requests])


class Paired(NamedTuple):
    """Intervals of how `after` differs from `before`."""

    absolute: Interval | None
    """Of after - before."""
    relative: Interval | None
    """Of (after - before) / |before|."""


class Bootstrap:
    """One resampling of a set of requests, shared by all of its numbers.

    Args:
        clusters: the cluster of each request, e.g. its speaker.
        generator: decides the draws.
        resamples: how many draws.
        confidence: two-sided coverage of the intervals.
        method: where in the resamples they end.
    """

    def __init__(
        self,
        clusters: Sequence[str],
        generator: np.random.Generator,
        *,
        resamples: int = RESAMPLES,
        confidence: float = CONFIDENCE,
        method: Method = "expanded",
    ) -> None:
        self._clusters = Clusters(clusters)
        self.n_clusters = self._clusters.n
        self._confidence = confidence
        self._method = method
        self._counts = _draw(self.n_clusters, resamples, generator)

    def interval(self, sums: Sums) -> Interval | None:
        """Interval of one set-level value."""
        return self.intervals(Sums(sums.numerators[:, None], sums.denominators[:, None]))[0]

    def intervals(self, sums: Sums) -> list[Interval | None]:
        """Interval of each column of [requests, columns]."""
        # One product for both halves: reading the counts is what takes the time.
        both = np.concatenate([sums.numerators, sums.denominators], axis=1)
        return self._intervals(both, lambda totals: _divide(*np.split(totals, 2, axis=1)))

    def paired(self, before: Sums, after: Sums) -> Paired:
        """Intervals of the difference of two set-level values, both seen through the same draws."""
        parts = (before.numerators, before.denominators, after.numerators, after.denominators)
        return Paired(*self._intervals(np.stack(parts, axis=1), _changes))

    def interval_of(self, parts: np.ndarray, value: Callable[[np.ndarray], np.ndarray]) -> Interval | None:
        """Interval of any function of sums over the requests, e.g. of a difference of two ratios.

        Args:
            parts: what is summed, [requests, parts].
            value: takes sums [resamples, parts] to values [resamples]; NaN where undefined.
        """
        return self._intervals(parts, lambda totals: value(totals)[:, None])[0]

    def _intervals(self, parts: np.ndarray, value: Callable[[np.ndarray], np.ndarray]) -> list[Interval | None]:
        """Interval of each column that `value` makes of sums over requests [resamples, parts]."""
        totals = self._clusters.total(parts)
        draws = value(self._weighted(totals))
        if self.n_clusters < 2:
            return [None] * draws.shape[1]
        others = []
        if needs_jackknife(self._method):
            whole = totals.sum(axis=0, keepdims=True)
            others = [value(whole)[0], value(whole - totals)]
        # A resample without a value is NaN: then no interval can be given either.
        defined = np.isfinite(draws).all(axis=0)
        if others:
            defined &= np.isfinite(others[1]).all(axis=0)
        fine = [values[..., defined] for values in (draws, *others)]
        levels = end_levels(self._method, fine[0], self._confidence, self.n_clusters, *fine[1:])
        ends = iter(
            Interval(*(float(end) for end in np.quantile(fine[0][:, column], levels[:, column])))
            for column in range(fine[0].shape[1])
        )
        return [next(ends) if is_defined else None for is_defined in defined]

    def _weighted(self, totals: np.ndarray) -> np.ndarray:
        """Sums over the drawn clusters, [resamples, columns]."""
        blocks = range(0, len(self._counts), BLOCK)
        return np.concatenate([self._counts[start : start + BLOCK].astype(np.float64) @ totals for start in blocks])


class Clusters:
    """Which requests rise and fall together.

    Args:
        names: the cluster of each request.
    """

    def __init__(self, names: Sequence[str]) -> None:
        found, self._of = np.unique(np.asarray(names, dtype=str), return_inverse=True)
        self.n = len(found)

    def total(self, values: np.ndarray) -> np.ndarray:
        """Sums over the requests of each cluster, [clusters, ...]; values are [requests, ...]."""
        totals = np.zeros((self.n, *values.shape[1:]))
        np.add.at(totals, self._of, values)
        return totals


def _draw(n_clusters: int, resamples: int, generator: np.random.Generator) -> np.ndarray:
    """How often each cluster is in each resample of as many as there are, [resamples, clusters], small integers."""
    counts = np.empty((resamples, n_clusters), dtype=np.uint16 if n_clusters < 2**16 else np.uint32)
    for start in range(0, resamples if n_clusters else 0, BLOCK):
        rows = min(BLOCK, resamples - start)
        drawn = generator.integers(0, n_clusters, size=(rows, n_clusters)) + n_clusters * np.arange(rows)[:, None]
        counts[start : start + rows] = np.bincount(drawn.ravel(), minlength=rows * n_clusters).reshape(rows, -1)
    return counts


def _changes(totals: np.ndarray) -> np.ndarray:
    """Second ratio minus the first, absolute and relative, [resamples, 2], of the four sums behind them."""
    before, after = _divide(totals[:, 0], totals[:, 1]), _divide(totals[:, 2], totals[:, 3])
    change = after - before
    # Sums in another order differ in their last bits; that is no difference to report.
    change[np.abs(change) <= ROUNDING * np.maximum(np.abs(before), np.abs(after))] = 0.0
    return np.stack([change, _divide(change, np.abs(before))], axis=1)


def _divide(numerators: np.ndarray, denominators: np.ndarray) -> np.ndarray:
    """Quotient, NaN where the denominator is 0."""
    quotient = np.full(np.shape(numerators), np.nan)
    np.divide(numerators, denominators, out=quotient, where=denominators != 0)
    return quotient
