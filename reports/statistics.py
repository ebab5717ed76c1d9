"""How sure a number is: the percentile bootstrap over clusters, for means and for ratios of sums.

Every metric of a run is one thing here, `Sums`: per request a numerator and a denominator, and the
set-level value is sum(numerators) / sum(denominators). A mean has denominators of 1; corpus WER has
errors over words. Requests of one speaker rise and fall together, so whole clusters are drawn with
replacement, not requests. A `Bootstrap` draws once, and every number of a run is seen through the
same draws, so that the difference of any two numbers is a paired one.

Sources: B. Efron and R. Tibshirani, An Introduction to the Bootstrap (1993), chapter 13 (percentile
interval); C. Field and A. Welsh, Bootstrapping clustered data, JRSS B 69 (2007) (draw clusters
whole); M. Bisani and H. Ney, Bootstrap estimates for confidence intervals in ASR performance
evaluation, ICASSP 2004 (corpus error rate and paired differences by the bootstrap).

Not handled: bias correction. With fewer than about 20 clusters the percentile interval is too
narrow by some points of coverage; reports therefore say how many clusters there were.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

RESAMPLES = 2000
CONFIDENCE = 0.95
ROUNDING = 1e-12
"""Relative differences below this are the arithmetic's."""


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
    """

    def __init__(
        self,
        clusters: Sequence[str],
        generator: np.random.Generator,
        *,
        resamples: int = RESAMPLES,
        confidence: float = CONFIDENCE,
    ) -> None:
        names, self._cluster_of = np.unique(np.asarray(clusters, dtype=str), return_inverse=True)
        self.n_clusters = len(names)
        self._percentiles = (50 * (1 - confidence), 50 * (1 + confidence))
        # Drawing C clusters with replacement is one multinomial draw of how often each is taken.
        shares = np.full(self.n_clusters, 1 / max(self.n_clusters, 1))
        draws = (
            generator.multinomial(self.n_clusters, shares, size=resamples) if len(names) else np.empty((resamples, 0))
        )
        self._weights = draws.astype(np.float64)

    def interval(self, sums: Sums) -> Interval | None:
        """Interval of one set-level value."""
        return self.intervals(Sums(sums.numerators[:, None], sums.denominators[:, None]))[0]

    def intervals(self, sums: Sums) -> list[Interval | None]:
        """Interval of each column of [requests, columns]."""
        return self._percentile(self._values(sums))

    def paired(self, before: Sums, after: Sums) -> Paired:
        """Intervals of the difference of two set-level values, both seen through the same draws."""
        earlier, later = self._values(before), self._values(after)
        change = later - earlier
        # Sums in another order differ in their last bits; that is no difference to report.
        change[np.abs(change) <= ROUNDING * np.maximum(np.abs(earlier), np.abs(later))] = 0.0
        return Paired(
            self._percentile(change[:, None])[0], self._percentile(_divide(change, np.abs(earlier))[:, None])[0]
        )

    def interval_of(self, parts: np.ndarray, value: Callable[[np.ndarray], np.ndarray]) -> Interval | None:
        """Interval of any function of sums over the requests, e.g. of a difference of two ratios.

        Args:
            parts: what is summed, [requests, parts].
            value: takes sums [resamples, parts] to values [resamples]; NaN where undefined.
        """
        return self._percentile(value(self._weights @ self._per_cluster(parts))[:, None])[0]

    def _values(self, sums: Sums) -> np.ndarray:
        """Set-level value in each resample, [resamples, ...]."""
        return _divide(
            self._weights @ self._per_cluster(sums.numerators), self._weights @ self._per_cluster(sums.denominators)
        )

    def _per_cluster(self, values: np.ndarray) -> np.ndarray:
        totals = np.zeros((self.n_clusters, *values.shape[1:]))
        np.add.at(totals, self._cluster_of, values)
        return totals

    def _percentile(self, values: np.ndarray) -> list[Interval | None]:
        if self.n_clusters < 2:
            return [None] * values.shape[1]
        lows, highs = np.percentile(values, self._percentiles, axis=0)
        # A resample without a value leaves NaN here: then no interval can be given either.
        defined = np.isfinite(values).all(axis=0)
        return [
            Interval(float(low), float(high)) if fine else None
            for low, high, fine in zip(lows, highs, defined, strict=True)
        ]


def mean_interval(
    values: np.ndarray, clusters: Sequence[str], generator: np.random.Generator, *, resamples: int = RESAMPLES
) -> Interval | None:
    """95 % interval of the mean of `values` [requests]; None with fewer than two clusters."""
    return Bootstrap(clusters, generator, resamples=resamples).interval(Sums.of_means(values))


def paired_interval(
    before: np.ndarray,
    after: np.ndarray,
    clusters: Sequence[str],
    generator: np.random.Generator,
    *,
    resamples: int = RESAMPLES,
) -> Paired:
    """95 % intervals of mean(after) - mean(before), absolute and relative to |mean(before)|; None where undefined."""
    bootstrap = Bootstrap(clusters, generator, resamples=resamples)
    return bootstrap.paired(Sums.of_means(before), Sums.of_means(after))


def _divide(numerators: np.ndarray, denominators: np.ndarray) -> np.ndarray:
    """Quotient, NaN where the denominator is 0."""
    quotient = np.full(np.shape(numerators), np.nan)
    np.divide(numerators, denominators, out=quotient, where=denominators != 0)
    return quotient
