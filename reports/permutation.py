"""How often chance alone would give a difference this large: the paired permutation test, cluster by cluster.

If two systems were the same, their names could be swapped for any speaker without a change in kind. So
the names of whole clusters are swapped at random, and the p-value is the share of swaps whose difference
is at least as large, either way, as the one that was found. Clusters in which both are equal change
nothing by a swap; where the others are few enough, all swaps are tried and the p-value is exact.

Both sides are `Sums`, so the difference of two corpus WERs is tested as it is reported: errors and words
change sides together. Sources: E. Edgington and P. Onghena, Randomization Tests (4th edition, 2007), and
B. Phipson and G. Smyth, Permutation p-values should never be zero, SAGMB 9 (2010) (the + 1).

Not handled: speakers with few requests in one and many in another; a swap moves a large cluster as one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from reports.statistics import ROUNDING, Clusters, Sums

PERMUTATIONS = 10_000
BLOCK = 512
"""Swaps that are in memory at a time."""


def permutation_p(
    before: Sums,
    after: Sums,
    clusters: Sequence[str],
    generator: np.random.Generator,
    *,
    permutations: int = PERMUTATIONS,
) -> float | None:
    """Two-sided p-value of after.value - before.value.

    Args:
        before: one side, [requests].
        after: the other, for the same requests.
        clusters: the cluster of each request.
        generator: decides the swaps, where not all are tried.
        permutations: how many are; all, where there are no more than this.

    Returns:
        The p-value; None where a difference is undefined, and with fewer than two clusters.
    """
    grouped = Clusters(clusters)
    sides = [grouped.total(np.stack([sums.numerators, sums.denominators], axis=1)) for sums in (before, after)]
    total, change = sides[0] + sides[1], sides[1] - sides[0]
    differing = change[(np.abs(change) > ROUNDING * np.abs(total)).any(axis=1)]
    # Of these alone, as in every swap: with what the others lack in the last digits, no swap would come up to it.
    observed = _difference(total.sum(axis=0), differing.sum(axis=0, keepdims=True))[0]
    if grouped.n < 2 or not np.isfinite(observed):
        return None
    is_exact = len(differing) < permutations.bit_length() and 2 ** len(differing) <= permutations
    count = 2 ** len(differing) if is_exact else permutations
    extreme = 0
    for start in range(0, count, BLOCK):
        rows = min(BLOCK, count - start)
        if is_exact:
            signs = _signs_of(np.arange(start, start + rows), len(differing))
        else:
            signs = 1.0 - 2.0 * generator.integers(0, 2, size=(rows, len(differing)), dtype=np.int8)
        found = _difference(total.sum(axis=0), signs @ differing)
        if not np.isfinite(found).all():
            return None
        extreme += int((np.abs(found) >= abs(observed) * (1 - ROUNDING)).sum())
    # The arrangement that was found is one of all; of drawn ones it is one more.
    return extreme / count if is_exact else (extreme + 1) / (count + 1)


def _signs_of(numbers: np.ndarray, length: int) -> np.ndarray:
    """The bits of each number as +1 and -1, [numbers, length]."""
    return 1.0 - 2.0 * ((numbers[:, None] >> np.arange(length)) & 1)


def _difference(total: np.ndarray, change: np.ndarray) -> np.ndarray:
    """After minus before, of sums over both [numerator, denominator] and changes [swaps, 2]."""
    after, before = total + change, total - change
    with np.errstate(divide="ignore", invalid="ignore"):
        difference: np.ndarray = after[:, 0] / after[:, 1] - before[:, 0] / before[:, 1]
    return difference
