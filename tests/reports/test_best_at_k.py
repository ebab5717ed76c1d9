from __future__ import annotations

from itertools import combinations
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.best_at_k import best_at_k, oracle_ranks, rank_probabilities
from reports.statistics import Sums


@st.composite
def pools(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Numerators, denominators and ranks of a few small pools."""
    requests, n = draw(st.integers(1, 3)), draw(st.integers(1, 6))
    numbers = st.lists(st.integers(0, 20), min_size=requests * n, max_size=requests * n)
    numerators = np.array(draw(numbers), dtype=float).reshape(requests, n)
    denominators = 1 + np.array(draw(numbers), dtype=float).reshape(requests, n)
    ranks = np.array([draw(st.permutations(range(n))) for _ in range(requests)])
    return numerators, denominators, ranks


@given(pools())
def test_equals_the_mean_over_all_subsets(pool: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    numerators, denominators, ranks = pool
    requests, n = ranks.shape
    estimated = best_at_k(Sums(numerators, denominators), ranks)
    for k in range(1, n + 1):
        for row in range(requests):
            kept = [min(subset, key=lambda column: ranks[row, column]) for subset in combinations(range(n), k)]
            assert estimated.numerators[row, k - 1] == pytest.approx(np.mean(numerators[row, kept]))
            assert estimated.denominators[row, k - 1] == pytest.approx(np.mean(denominators[row, kept]))


@given(pools())
def test_ends_are_the_pool_mean_and_the_chosen_candidate(pool: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    numerators, denominators, ranks = pool
    value = best_at_k(Sums(numerators, denominators), ranks).value
    assert value[0] == pytest.approx(numerators.mean(axis=1).sum() / denominators.mean(axis=1).sum())
    assert value[-1] == pytest.approx(numerators[ranks == 0].sum() / denominators[ranks == 0].sum())


@given(pools())
def test_oracle_never_gets_worse_and_no_ranking_beats_it(pool: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    badness, _, ranks = pool
    oracle = best_at_k(Sums.of_means(badness), oracle_ranks(badness, ranks)).value
    selected = best_at_k(Sums.of_means(badness), ranks).value
    assert (np.diff(oracle) <= 1e-9).all()
    assert (oracle <= selected + 1e-9).all()


def test_oracle_breaks_ties_as_the_run_did() -> None:
    ranks = np.array([[2, 0, 1, 3]])
    assert oracle_ranks(np.zeros((1, 4)), ranks).tolist() == ranks.tolist()
    assert oracle_ranks(np.array([[5.0, 5.0, 1.0, 5.0]]), ranks).tolist() == [[2, 1, 0, 3]]


@pytest.mark.parametrize("n", [1, 2, 16, 1024])
def test_probabilities_are_the_binomial_ones_without_overflow(n: int) -> None:
    chances = rank_probabilities(n)
    assert chances.sum(axis=1) == pytest.approx(np.ones(n))
    for k in {1, min(2, n), n // 3 + 1, n}:
        for rank in {0, 1, n // 2, n - k, n - 1} & set(range(n)):
            exact = comb(n - 1 - rank, k - 1) / comb(n, k)
            assert chances[k - 1, rank] == pytest.approx(exact, rel=1e-9, abs=1e-300)


@pytest.mark.parametrize("ranks", [[[0, 0]], [[1, 2]]])
def test_ranks_must_be_a_permutation(ranks: list[list[int]]) -> None:
    with pytest.raises(ValueError, match="each once"):
        best_at_k(Sums.of_means(np.zeros((1, 2))), np.array(ranks))


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match="expected the same"):
        best_at_k(Sums.of_means(np.zeros((1, 3))), np.array([[0, 1]]))


def test_empty_pool_has_no_best() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        rank_probabilities(0)


def test_an_unknown_value_leaves_undefined_only_what_it_could_be_part_of():
    ranks = np.array([[2, 0, 1, 3]])
    known = best_at_k(Sums.of_means(np.array([[5.0, 1.0, 2.0, 7.0]])), ranks).value
    partly = best_at_k(Sums.of_means(np.array([[np.nan, 1.0, 2.0, np.nan]])), ranks).value
    assert np.isnan(partly).tolist() == [True, True, False, False]
    np.testing.assert_allclose(partly[2:], known[2:])
