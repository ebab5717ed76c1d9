"""A bootstrap for one number: what tests of intervals say again and again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from reports.statistics import RESAMPLES, Bootstrap, Interval, Paired, Sums


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
