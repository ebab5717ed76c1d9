"""Many metrics, one number: the ways to bring metrics of different units on one scale and add them.

Tables are [candidates, terms] of one pool, every value finite and better when higher. z, minmax and
rank compare a candidate with its siblings, so a term on which all agree says nothing; a z-score with
stored scales and the harmonic mean are absolute.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from tts_eval.types import Metric

ERROR_STEEPNESS = 3.0
NATS = 3.0
"""Error rates count as 1 - tanh(3 e) and log-probabilities as exp(l / 3) in a harmonic mean: the shapes of
the reward in arXiv 2509.18798. One wrong word in ten costs about as much as one nat."""


def standard_scores(table: np.ndarray) -> np.ndarray:
    """z-scores by the mean and deviation of the table's own columns."""
    deviation = table.std(axis=0)
    flat = deviation <= 1e-12 * np.maximum(np.abs(table).max(axis=0), 1.0)  # equal up to rounding
    return _divided(table - table.mean(axis=0), deviation, flat)


def min_max(table: np.ndarray) -> np.ndarray:
    """From 0 for the worst of the column to 1 for the best."""
    spread = np.ptp(table, axis=0)
    flat = spread <= 1e-12 * np.maximum(np.abs(table).max(axis=0), 1.0)
    return _divided(table - table.min(axis=0), spread, flat)


def rank_scores(table: np.ndarray) -> np.ndarray:
    """Share of the siblings that a candidate beats; those it ties with count half."""
    ahead = (table[:, None] > table[None]).sum(axis=1)
    level = (table[:, None] == table[None]).sum(axis=1) - 1
    scaled: np.ndarray = (ahead + 0.5 * level) / max(len(table) - 1, 1)
    return scaled


def _divided(table: np.ndarray, by: np.ndarray, flat: np.ndarray) -> np.ndarray:
    scaled: np.ndarray = np.where(flat, 0.0, table / np.where(flat, 1.0, by))
    return scaled


POOL_SCALES: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "z": standard_scores,
    "minmax": min_max,
    "rank": rank_scores,
}
"""By the name that a rule calls them."""


def harmonic_mean(goodness: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted harmonic mean of each row; 0 where any part of it is 0. Both are 0 or more, weights above 0."""
    with np.errstate(divide="ignore"):
        mean: np.ndarray = weights.sum() / (weights / goodness).sum(axis=1)
    return mean


def has_goodness(metric: Metric) -> bool:
    """Whether `goodness` is defined for the metric."""
    if metric.unit in ("error-rate", "rate", "log-prob"):
        return True
    return metric.unit == "score" and metric.worst == (0.0 if metric.higher_is_better else 1.0)


def goodness(value: float, metric: Metric) -> float:
    """The metric's value on the scale from 0 (worst) to 1 (nothing is wrong); see `has_goodness`.

    A score between 0 and 1 counts as it is (or as 1 minus it when lower is better), cut to that range.
    """
    if metric.unit == "error-rate":
        return 1.0 - math.tanh(ERROR_STEEPNESS * value)
    if metric.unit == "log-prob":
        return math.exp(min(value, 0.0) / NATS)
    share = min(max(value, 0.0), 1.0)
    return share if metric.higher_is_better else 1.0 - share
