from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from reports.expected_gain import best_by, beyond, expected_maximum
from reports.statistics import Sums


@pytest.mark.parametrize(
    ("n", "expected"),
    # H. Harter, Expected values of normal order statistics, Biometrika 48 (1961), table 1.
    [(1, 0.0), (2, 0.56419), (3, 0.84628), (4, 1.02938), (5, 1.16296), (8, 1.42360), (10, 1.53875), (16, 1.76599)],
)
def test_expected_maximum_is_the_table_s(n: int, expected: float) -> None:
    assert expected_maximum(n) == pytest.approx(expected, abs=6e-6)


def test_no_numbers_have_no_maximum() -> None:
    with pytest.raises(ValueError, match="maximum of 0"):
        expected_maximum(0)


def test_best_by_is_the_mean_over_all_draws_and_all_ways_to_break_ties() -> None:
    generator = np.random.default_rng(0)
    values = generator.normal(size=(3, 5))
    order = generator.integers(0, 3, (3, 5)).astype(float)
    order[0, 2] = np.inf
    best = best_by(Sums.of_means(values), order).numerators
    for row, k in itertools.product(range(3), range(1, 6)):
        kept = []
        for drawn in itertools.combinations(range(5), k):
            least = min(order[row, list(drawn)])
            kept.append(np.mean([values[row, index] for index in drawn if order[row, index] == least]))
        assert best[row, k - 1] == pytest.approx(np.mean(kept))


def test_a_verifier_that_tells_nothing_apart_gains_nothing() -> None:
    values = np.random.default_rng(0).normal(size=(4, 6))
    best = best_by(Sums.of_means(values), np.ones((4, 6))).numerators
    np.testing.assert_allclose(best, np.repeat(values.mean(axis=1, keepdims=True), 6, axis=1))


def gains(verifier: np.ndarray, judge: np.ndarray) -> np.ndarray:
    """Mean gain of the best of n by the verifier, the larger the better, over many fresh pools [pools, n]."""
    chosen = np.take_along_axis(judge, verifier.argmax(axis=1)[:, None], axis=1)[:, 0]
    return np.asarray(chosen.mean() - judge.mean())


def line(values: np.ndarray, order: np.ndarray, n: int) -> tuple[float, float]:
    """Where the bracket for `n` begins and ends."""
    best = best_by(Sums.of_means(values), order)
    single, last = best.value[0], best.value[-1]
    return float(last - single), float(beyond(best, n).value - single)


@pytest.mark.parametrize("size", [2, 4, 8])
def test_a_normal_verifier_goes_on_along_the_line(size: int) -> None:
    """With known truth: rho times the expected maximum, within the noise of 20,000 pools."""
    generator = np.random.default_rng(size)
    verifier = generator.standard_normal((20_000, size))
    judge = 0.4 * verifier + math.sqrt(1 - 0.4**2) * generator.standard_normal(verifier.shape)
    flat, straight = line(judge, -verifier, 2 * size)
    assert straight == pytest.approx(0.4 * expected_maximum(2 * size), abs=0.04)
    assert flat == pytest.approx(0.4 * expected_maximum(size), abs=0.02)


@pytest.mark.parametrize("size", [4, 8])
def test_diminishing_returns_stay_within_the_bracket(size: int) -> None:
    """Errors in words, whose verifier hears some of them: many ties, and nothing to gain once there is no error."""
    generator = np.random.default_rng(size)

    def pools(n: int) -> tuple[np.ndarray, np.ndarray]:
        rates = generator.beta(1, 4, (100_000, 1))
        errors = generator.binomial(8, np.broadcast_to(rates, (100_000, n)))
        heard = generator.binomial(errors, 0.7) + generator.binomial(8, 0.03, errors.shape)
        return -heard / 8, -errors / 8

    verifier, judge = pools(size)
    for n in (2 * size, 4 * size):
        low, high = line(judge, -verifier, n)
        assert low <= float(gains(*pools(n))) <= high
