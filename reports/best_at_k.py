"""What the best of k would have scored, from one pool of N: exact, not from the first k.

Draw k of the N candidates without replacement and keep the best ranked one. The candidate of rank r
(0 is best) is kept when it is drawn and none of the r better ones is:

    P(r) = C(N - 1 - r, k - 1) / C(N, k)

so the expected metric is a weighted mean over the ranks, with no sampling noise. k = 1 is the mean of
the pool (what a single sample gives), k = N is the chosen candidate. This is the estimator of
M. Chen et al., Evaluating Large Language Models Trained on Code (2021), eq. 1, for a metric instead of
a pass/fail bit, and the without-replacement form of expected validation performance in J. Dodge et al.,
Show Your Work (EMNLP 2019).

Where a candidate has no value (NaN: a cascade spared it the verifier), every k for which it could be
the kept one is undefined, and the others are not: k = N needs the chosen candidate alone.

For a ratio of sums (corpus WER) numerators and denominators are averaged apart and then divided.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from reports.statistics import Sums


@lru_cache(maxsize=8)
def rank_probabilities(n: int) -> np.ndarray:
    """P(rank r is the best of k), as [k - 1, r]: row k-1 sums to 1. Read-only.

    Built from P(0) = k / N and P(r) / P(r - 1) = (N - r - k + 1) / (N - r), whose factors all lie in
    [0, 1]: nothing overflows or cancels, whatever N is.

    Raises:
        ValueError: `n` is less than 1.
    """
    if n < 1:
        raise ValueError(f"A pool of {n} candidates has no best one; expected at least 1.")
    k = np.arange(1, n + 1, dtype=np.float64)[:, None]
    rank = np.arange(1, n, dtype=np.float64)[None, :]
    ratios = np.maximum(n - rank - k + 1, 0) / (n - rank)
    probabilities = np.cumprod(np.concatenate([k / n, ratios], axis=1), axis=1)
    probabilities.setflags(write=False)
    return probabilities


def best_at_k(values: Sums, ranks: np.ndarray) -> Sums:
    """Expected sums of the best of k, for every k: column k-1 of the result, [requests, N].

    Args:
        values: the metric of every candidate, [requests, N].
        ranks: rank of every candidate within its pool, [requests, N]; each row is a permutation of 0..N-1.

    Raises:
        ValueError: shapes differ, or a row of ranks is no permutation.
    """
    if ranks.shape != values.numerators.shape or ranks.shape != values.denominators.shape:
        raise ValueError(f"Ranks have shape {ranks.shape} and values {values.numerators.shape}; expected the same.")
    order = np.argsort(ranks, axis=1, kind="stable")
    if not np.array_equal(
        np.take_along_axis(ranks, order, axis=1), np.broadcast_to(np.arange(ranks.shape[1]), ranks.shape)
    ):
        raise ValueError("Ranks of a pool must be 0..N-1, each once; break ties by candidate index.")
    chances = rank_probabilities(ranks.shape[1]).T
    return Sums(
        _expected(np.take_along_axis(values.numerators, order, axis=1), chances),
        _expected(np.take_along_axis(values.denominators, order, axis=1), chances),
    )


def _expected(values: np.ndarray, chances: np.ndarray) -> np.ndarray:
    """Values [requests, ranks] times chances [ranks, k]; NaN where a NaN has any chance."""
    unknown = np.isnan(values)
    expected: np.ndarray = np.where(unknown, 0.0, values) @ chances
    expected[unknown.astype(np.float64) @ (chances > 0) > 0] = np.nan
    return expected


def oracle_ranks(badness: np.ndarray, ranks: np.ndarray) -> np.ndarray:
    """Ranks by the metric itself: least `badness` first, ties by the run's own `ranks`; both [requests, N]."""
    order = np.lexsort((ranks, badness), axis=1)
    positions = np.empty_like(order)
    np.put_along_axis(positions, order, np.broadcast_to(np.arange(order.shape[1]), order.shape), axis=1)
    return positions
