from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from reports.agreement import pair_counts, tau_b
from reports.statistics import Bootstrap


def bootstrap(requests: int) -> Bootstrap:
    return Bootstrap([str(row) for row in range(requests)], np.random.default_rng(0))


def by_hand(first: np.ndarray, second: np.ndarray) -> float:
    """tau-b over the pairs within requests, one by one; requests on which either is constant left out."""
    score = apart_first = apart_second = 0
    for one, other in zip(first, second, strict=True):
        if len(set(one)) == 1 or len(set(other)) == 1:
            continue
        for a, b in itertools.combinations(range(len(one)), 2):
            x, y = np.sign(one[a] - one[b]), np.sign(other[a] - other[b])
            score, apart_first, apart_second = score + x * y, apart_first + abs(x), apart_second + abs(y)
    return float(score / math.sqrt(apart_first * apart_second))


def test_one_request_is_the_textbook_tau_b() -> None:
    """The example of SciPy's documentation of kendalltau, and the pairs counted one by one."""
    first, second = np.array([[12.0, 2, 1, 12, 2]]), np.array([[1.0, 4, 7, 1, 0]])
    assert tau_b(pair_counts(first, second), bootstrap(1)).value == pytest.approx(-0.47140452079103173)
    generator = np.random.default_rng(1)
    for _ in range(20):
        first, second = generator.integers(0, 4, (2, 1, 9)).astype(float)
        assert tau_b(pair_counts(first, second), bootstrap(1)).value == pytest.approx(by_hand(first, second))


def test_many_requests_pool_their_pairs_and_never_compare_across() -> None:
    generator = np.random.default_rng(2)
    first, second = generator.integers(0, 3, (2, 30, 5)).astype(float)
    first[:3], second[3:5] = 1.0, 0.0
    estimate = tau_b(pair_counts(first, second), bootstrap(30))
    assert estimate.value == pytest.approx(by_hand(first, second))
    level = 100.0 * np.arange(30)[:, None]  # sentences of every difficulty
    shifted = tau_b(pair_counts(first + level, second + level), bootstrap(30))
    assert shifted == estimate
    assert estimate.n == sum(len(set(a)) > 1 and len(set(b)) > 1 for a, b in zip(first, second, strict=True)) <= 25


def test_constant_everywhere_says_nothing() -> None:
    estimate = tau_b(pair_counts(np.ones((8, 4)), np.arange(32.0).reshape(8, 4)), bootstrap(8))
    assert (estimate.value, estimate.interval, estimate.n, estimate.n_expected) == (None, None, 0, 8)


def test_infinite_values_are_in_order_too() -> None:
    first = np.array([[0.0, 1.0, np.inf, np.inf]])
    counts = pair_counts(first, np.array([[0.0, 1.0, 2.0, 3.0]]))
    assert counts.tolist() == [[5.0, 5.0, 6.0]]


def test_tau_does_not_depend_on_the_size_of_the_pool() -> None:
    """Of a bivariate normal it is 2 / pi * asin(rho), for four candidates as for sixteen."""
    generator = np.random.default_rng(3)
    rho = 0.5
    for n in (4, 16):
        one = generator.standard_normal((3000, n))
        other = rho * one + math.sqrt(1 - rho**2) * generator.standard_normal((3000, n))
        value = tau_b(pair_counts(one, other), bootstrap(3000)).value
        assert value == pytest.approx(2 / math.pi * math.asin(rho), abs=0.02)
