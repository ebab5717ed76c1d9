"""The smallest difference that a suite of some size is likely to show: what a run cannot settle, and how much would.

From the spread of the paired differences in runs that exist: a two-sided test at `alpha` finds a true
difference with probability `power` when it is (t[1 - alpha/2] + t[power]) standard errors. The standard
error is that of a difference of ratios, linearised, over clusters; for another number of clusters it is
scaled by the square root, and for another number of requests in each by what varies within them (one-way
analysis of variance, as in `reports.seeds`). Sources: J. Cohen, Statistical Power Analysis (2nd edition, 1988),
chapter 2; W. Cochran, Sampling Techniques (3rd edition, 1977), section 6.3 (standard error of a ratio).

Not handled: clusters of one request each do not tell how alike a cluster's requests are. For a suite with more
of each they are taken to be all alike: it may show smaller differences than is said.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from reports.statistics import ROUNDING, Clusters, Sums

ALPHA = 0.05
POWER = 0.8


def detectable_difference(
    before: Sums,
    after: Sums,
    clusters: Sequence[str],
    *,
    n_clusters: int | None = None,
    per_cluster: float | None = None,
    alpha: float = ALPHA,
    power: float = POWER,
) -> float | None:
    """Least absolute difference between two set-level values that is found with probability `power`.

    Args:
        before: one side, [requests].
        after: the other, for the same requests.
        clusters: the cluster of each request.
        n_clusters: of the suite that is asked about; as many as there are here when None.
        per_cluster: how many requests it has in each, on average; as many as there are here when None.
        alpha: two-sided false alarms of the test.
        power: probability of finding such a difference.

    Returns:
        In the metric's unit; None with fewer than two clusters, where the difference is undefined, and where it
        is the same in all requests: nothing then says how much it would vary.
    """
    from scipy.special import stdtrit

    error = standard_error(before, after, clusters)
    grouped = Clusters(clusters)
    found = grouped.n
    asked = found if n_clusters is None else n_clusters
    if error is None or asked < 2 or error <= ROUNDING * max(abs(before.value), abs(after.value)):
        return None
    reach = stdtrit(asked - 1, 1 - alpha / 2) + stdtrit(asked - 1, power)
    crowding = 1.0 if per_cluster is None else _crowding(_pulls(before, after), grouped, per_cluster)
    return float(reach * error * np.sqrt(found / asked) * crowding)


def standard_error(before: Sums, after: Sums, clusters: Sequence[str]) -> float | None:
    """Standard error of after.value - before.value over clusters; None where it is undefined."""
    grouped = Clusters(clusters)
    if grouped.n < 2:
        return None
    residuals = grouped.total(_pulls(before, after))
    error = float(np.sqrt(grouped.n / (grouped.n - 1) * (residuals**2).sum()))
    return error if np.isfinite(error) else None


def _pulls(before: Sums, after: Sums) -> np.ndarray:
    """What each request adds to the error of after.value - before.value, [requests]; NaN where that is undefined."""
    pulls = np.zeros(len(before.numerators))
    for sums, sign in ((before, -1.0), (after, 1.0)):
        denominator = sums.denominators.sum() or np.nan
        pulls += sign * (sums.numerators - sums.value * sums.denominators) / denominator
    return pulls


def _crowding(pulls: np.ndarray, grouped: Clusters, asked: float) -> float:
    """By how much the error of as many clusters changes with `asked` requests in each, on average."""
    requests, clusters = len(pulls), grouped.n
    if requests == clusters:
        return 1.0
    sizes = grouped.total(np.ones(requests))
    explained = (grouped.total(pulls) ** 2 / sizes).sum()
    within = max(0.0, (pulls**2).sum() - explained) / (requests - clusters)
    usual = (requests - (sizes**2).sum() / requests) / (clusters - 1)
    between = max(0.0, explained / (clusters - 1) - within) / usual
    return float(np.sqrt((between + within / asked) / (between + within * clusters / requests)))
