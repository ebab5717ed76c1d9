"""The smallest difference that a suite of some size is likely to show: what a run cannot settle, and how much would.

From the spread of the paired differences in runs that exist: a two-sided test at `alpha` finds a true
difference with probability `power` when it is (t[1 - alpha/2] + t[power]) standard errors. The standard
error is that of a difference of ratios, linearised, over clusters; for another number of clusters it is
scaled by the square root. Sources: J. Cohen, Statistical Power Analysis (2nd edition, 1988), chapter 2;
W. Cochran, Sampling Techniques (3rd edition, 1977), section 6.3 (standard error of a ratio).
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
    alpha: float = ALPHA,
    power: float = POWER,
) -> float | None:
    """Least absolute difference between two set-level values that is found with probability `power`.

    Args:
        before: one side, [requests].
        after: the other, for the same requests.
        clusters: the cluster of each request.
        n_clusters: of the suite that is asked about; as many as there are here when None.
        alpha: two-sided false alarms of the test.
        power: probability of finding such a difference.

    Returns:
        In the metric's unit; None with fewer than two clusters, where the difference is undefined, and where it
        is the same in all requests: nothing then says how much it would vary.
    """
    from scipy.special import stdtrit

    error = standard_error(before, after, clusters)
    found = Clusters(clusters).n
    asked = found if n_clusters is None else n_clusters
    if error is None or asked < 2 or error <= ROUNDING * max(abs(before.value), abs(after.value)):
        return None
    reach = stdtrit(asked - 1, 1 - alpha / 2) + stdtrit(asked - 1, power)
    return float(reach * error * np.sqrt(found / asked))


def standard_error(before: Sums, after: Sums, clusters: Sequence[str]) -> float | None:
    """Standard error of after.value - before.value over clusters; None where it is undefined."""
    grouped = Clusters(clusters)
    if grouped.n < 2:
        return None
    residuals = np.zeros(grouped.n)
    for sums, sign in ((before, -1.0), (after, 1.0)):
        denominator = sums.denominators.sum()
        if denominator == 0:
            return None
        residuals += sign * grouped.total(sums.numerators - sums.value * sums.denominators) / denominator
    error = float(np.sqrt(grouped.n / (grouped.n - 1) * (residuals**2).sum()))
    return error if np.isfinite(error) else None
