"""What the best of N by some verifier would gain, from a pool that is already there, and a little beyond it.

Up to the size of the pool the answer is exact in expectation (`reports.best_at_k`, whatever the rule
that the run itself chose by); candidates on which the verifier ties share what they have, as any of
them could be the one.

Beyond it there is a bracket. The gain of the best of N, drawn over the expected maximum e(N) of N
standard normal numbers, is a straight line where the judge's expectation rises in proportion to the
verifier's normal score, and bends down where it rises ever more slowly: the density of the maximum
is totally positive in (N, z), so concavity in z becomes concavity over e(N) (S. Karlin, Total
Positivity, 1968, chapter 5). So, as long as returns diminish and do not turn, the gain lies between
what the whole pool gave already and the straight line through the last doubling. A verifier that
misleads only among candidates better than any of the pool is not foreseen, nor a success so rare
that the pool has none.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from reports.best_at_k import best_at_k
from reports.statistics import Sums

REACH = 4
"""How many times the pool's size the bracket is carried on."""


@lru_cache(maxsize=256)
def expected_maximum(n: int) -> float:
    """Expected maximum of `n` independent standard normal numbers, to 1e-6; 0 for one.

    Raises:
        ValueError: `n` is less than 1.
    """
    if n < 1:
        raise ValueError(f"There is no maximum of {n} numbers; expected at least 1.")
    highest = 9.0
    points = np.linspace(-highest, highest, 3601)
    below = np.array([0.5 * math.erfc(-point / math.sqrt(2.0)) for point in points])
    # By parts: the mean of what ends at `highest` is `highest` less the area under its distribution.
    return highest - float(np.trapezoid(below**n, points))


def best_by(values: Sums, order: np.ndarray) -> Sums:
    """Expected sums of the best of k by a verifier, column k-1 of [requests, N].

    Args:
        values: the judge's metric of every candidate, [requests, N].
        order: the verifier's value, least first; infinite for what it could not judge.
    """
    positions = np.argsort(order, axis=1, kind="stable")
    ranks = np.empty_like(positions)
    np.put_along_axis(ranks, positions, np.broadcast_to(np.arange(order.shape[1]), order.shape), axis=1)
    return best_at_k(Sums(_shared(values.numerators, order), _shared(values.denominators, order)), ranks)


def beyond(best: Sums, n: int) -> Sums:
    """Sums of the best of `n` candidates, more than the pool has, on the straight line through the last doubling.

    Args:
        best: `best_by` of a pool of two or more.
        n: how many candidates.
    """
    size = best.numerators.shape[1]
    half = max(size // 2, 1)
    run = expected_maximum(n) - expected_maximum(size)
    weight = run / (expected_maximum(size) - expected_maximum(half))
    first, last = half - 1, size - 1
    return Sums(
        *(part[:, last] + weight * (part[:, last] - part[:, first]) for part in (best.numerators, best.denominators))
    )


def _shared(values: np.ndarray, order: np.ndarray) -> np.ndarray:
    """The values, with the mean of each group of ties in place of its members'."""
    shared = np.empty_like(values, dtype=np.float64)
    for row, (mine, by) in enumerate(zip(values, order, strict=True)):
        _, group = np.unique(by, return_inverse=True)
        shared[row] = (np.bincount(group, mine) / np.bincount(group))[group]
    return shared
