"""What luck with the seed does: runs that differ in nothing but their seed, as one number with its spread.

A candidate's seed is made of the run's seed and its request's id, so every request has luck of its own
and a run has none in common: seeds are nested in requests. The variance of one request's value has two
parts (one-way analysis of variance, H. Scheffe, The Analysis of Variance, 1959, section 7.2):

    within    between the seeds of a request; more seeds make it count less
    between   between requests; only more requests make it count less

The mean over seeds is surer than one run by the first part alone. Its interval comes from drawing
requests (or speakers), which carry both parts along: see `mean_over`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reports.statistics import Sums


@dataclass(frozen=True, slots=True)
class SeedSpread:
    """Variances of one metric over requests and seeds, in the metric's unit squared."""

    within: float
    between: float
    """Without what the seeds put into it; 0 where they explain it all."""
    run: float
    """Variance of the set-level values of the runs."""

    @property
    def share_within(self) -> float | None:
        """Share of a single value's variance that is luck with the seed; None where nothing varies."""
        total = self.within + self.between
        return self.within / total if total > 0 else None


def seed_spread(values: Sequence[Sums]) -> SeedSpread | None:
    """Parts of the variance; one `Sums` [requests] for each seed, for the same requests.

    A ratio of sums enters linearised: the set-level value plus each request's pull on it, whose
    mean over requests is that value.

    Returns:
        The parts; None with fewer than two seeds or requests, or where a value is undefined.
    """
    if len(values) < 2 or len(values[0].numerators) < 2:
        return None
    linear = np.stack([_linearised(sums) for sums in values], axis=1)
    if not np.isfinite(linear).all():
        return None
    within = float(linear.var(axis=1, ddof=1).mean())
    means = float(linear.mean(axis=1).var(ddof=1))
    return SeedSpread(
        within, max(0.0, means - within / len(values)), float(np.var([sums.value for sums in values], ddof=1))
    )


def mean_over(values: Sequence[Sums]) -> Sums:
    """The seeds together: per request the mean numerator and the mean denominator."""
    return Sums(
        np.mean([sums.numerators for sums in values], axis=0), np.mean([sums.denominators for sums in values], axis=0)
    )


def _linearised(sums: Sums) -> np.ndarray:
    """Value plus each request's pull on it, [requests]; the request's own value where the denominators are 1."""
    mean = sums.denominators.mean()
    if mean == 0:
        return np.full(len(sums.numerators), np.nan)
    linear: np.ndarray = sums.value + (sums.numerators - sums.value * sums.denominators) / mean
    return linear
