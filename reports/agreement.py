"""How far two judges agree on which candidate of a request is better: Kendall's tau-b within requests.

Of all pairs of candidates of one request, some are ordered alike by both judges (concordant), some
the other way round (discordant), some one of them cannot tell apart (ties; in WER they are the rule):

    tau-b = (concordant - discordant) / sqrt(pairs told apart by one * pairs told apart by the other)

M. Kendall, The treatment of ties in ranking problems, Biometrika 33 (1945). Pairs are summed over the
requests before dividing, so candidates of different requests are never compared: that one sentence is
harder than another is no agreement. tau and not Spearman's rho, because rho over four candidates and
rho over sixteen estimate different numbers, and tau does not: a small pilot says what a large run
would. A request on which either judge calls all candidates equal says nothing, and is left out.
"""

from __future__ import annotations

import numpy as np

from reports.statistics import Bootstrap, Estimate


def pair_counts(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Per request: concordant minus discordant pairs, pairs that `first` tells apart, pairs that `second` does.

    Args:
        first: [requests, N]; infinite values are in order too, NaN is not allowed.
        second: the same of the other judge, signed alike.

    Returns:
        [requests, 3]; all 0 for a request on which either judge tells no pair apart.
    """
    counts = np.zeros((len(first), 3))
    above, below = np.triu_indices(first.shape[1], k=1)
    for row, (one, other) in enumerate(zip(first, second, strict=True)):
        # Signs of comparisons, not of differences: inf - inf is no number.
        signs = [(values[above] > values[below]).astype(float) - (values[above] < values[below])
                 for values in (one, other)]  # fmt: skip
        counts[row] = signs[0] @ signs[1], np.abs(signs[0]).sum(), np.abs(signs[1]).sum()
    counts[(counts[:, 1:] == 0).any(axis=1)] = 0.0
    return counts


def tau_b(counts: np.ndarray, bootstrap: Bootstrap) -> Estimate:
    """tau-b over all requests; `n` is how many of them say anything.

    Args:
        counts: `pair_counts`.
        bootstrap: the resampling of these requests.
    """
    (value,) = _tau(counts.sum(axis=0)[None])
    return Estimate(
        value=float(value) if np.isfinite(value) else None,
        interval=bootstrap.interval_of(counts, _tau) if np.isfinite(value) else None,
        n=int((counts[:, 1] > 0).sum()),
        n_expected=len(counts),
    )


def _tau(sums: np.ndarray) -> np.ndarray:
    """[..., 3] to [...]; NaN where no pair is told apart."""
    apart = np.sqrt(sums[..., 1] * sums[..., 2])
    tau = np.full(apart.shape, np.nan)
    np.divide(sums[..., 0], apart, out=tau, where=apart > 0)
    return tau
