from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from interval_shorthands import paired_interval
from scipy import stats

from reports.multiple_comparisons import holm
from reports.permutation import permutation_p
from reports.statistics import Sums


def p_of(before: np.ndarray, after: np.ndarray, clusters: list[str], **options: int) -> float | None:
    sums = Sums.of_means(before), Sums.of_means(after)
    return permutation_p(*sums, clusters, np.random.default_rng(0), **options)


def names(count: int) -> list[str]:
    return [f"{index:04d}" for index in range(count)]


def test_few_pairs_are_scipys_exact_test() -> None:
    generator = np.random.default_rng(1)
    before, after = generator.normal(0, 1, 9), generator.normal(0.7, 1, 9)
    expected = stats.permutation_test(
        (before, after), lambda x, y, axis: y.mean(axis=axis) - x.mean(axis=axis),
        permutation_type="samples", vectorized=True, n_resamples=np.inf,
    ).pvalue  # fmt: skip
    assert p_of(before, after, names(9)) == pytest.approx(expected)


def test_a_difference_of_corpus_rates_swaps_errors_and_words_together_speaker_by_speaker() -> None:
    """Every swap in plain Python."""
    generator = np.random.default_rng(2)
    clusters = [f"s{index % 6}" for index in range(20)]
    errors, words = generator.poisson(2, (2, 20)), generator.integers(5, 15, (2, 20))
    observed = errors[1].sum() / words[1].sum() - errors[0].sum() / words[0].sum()
    found = []
    for swaps in itertools.product([False, True], repeat=6):
        totals = [[0, 0], [0, 0]]
        for row, cluster in enumerate(clusters):
            for side in (0, 1):
                other = 1 - side if swaps[int(cluster[1:])] else side
                totals[other][0] += errors[side, row]
                totals[other][1] += words[side, row]
        found.append(totals[1][0] / totals[1][1] - totals[0][0] / totals[0][1])
    expected = np.mean([abs(one) >= abs(observed) - 1e-12 for one in found])
    sides = [Sums(errors[side].astype(float), words[side].astype(float)) for side in (0, 1)]
    assert permutation_p(sides[0], sides[1], clusters, np.random.default_rng(0)) == pytest.approx(expected)


def test_drawn_swaps_come_near_the_textbook_and_never_say_zero() -> None:
    generator = np.random.default_rng(3)
    before = generator.normal(0, 1, 60)
    after = before + generator.normal(0.25, 1, 60)
    p = p_of(before, after, names(60), permutations=20_000)
    assert p == pytest.approx(stats.ttest_rel(after, before).pvalue, abs=0.01)
    assert p_of(before, before + 1, names(60), permutations=999) == 1 / 1000


def test_the_number_of_swaps_and_the_generator_are_used() -> None:
    generator = np.random.default_rng(4)
    sums = Sums.of_means(generator.normal(0, 1, 50)), Sums.of_means(generator.normal(0.3, 1, 50))
    first, again, other, fewer = (
        permutation_p(*sums, names(50), np.random.default_rng(seed), permutations=count)
        for seed, count in ((0, 5000), (0, 5000), (1, 5000), (0, 500))
    )
    assert first == again != other
    assert first != fewer


def test_speakers_not_requests_are_what_is_swapped() -> None:
    before, after = np.zeros(40), np.tile([1.0, 1.0, 1.0, 0.9], 10)
    alone, together = p_of(before, after, names(40)), p_of(before, after, ["a", "b", "c", "d"] * 10)
    assert together == pytest.approx(2 / 2**4)
    assert alone is not None and alone < 0.001


def test_five_speakers_cannot_come_below_one_in_twenty_and_six_can() -> None:
    five, six = (p_of(np.zeros(count), np.ones(count), names(count)) for count in (5, 6))
    assert five == pytest.approx(2 / 32) and six == pytest.approx(2 / 64)


def test_no_difference_at_all_is_certain_and_ties_cost_nothing() -> None:
    same = np.arange(30.0)
    assert p_of(same, same, names(30)) == 1
    after = same.copy()
    after[:8] += 1
    assert p_of(same, after, names(30)) == pytest.approx(2 / 2**8)  # exact, though there are 30


@pytest.mark.parametrize("factor", [1 + 1e-10, 1 - 1e-10])
def test_a_difference_that_is_rounding_is_none_to_test_and_interval_alike(factor: float) -> None:
    before = np.random.default_rng(5).uniform(0.1, 0.9, 30)
    assert p_of(before, before * factor, names(30)) == 1
    interval = paired_interval(before, before * factor, names(30), np.random.default_rng(0)).absolute
    assert interval is not None and not interval.excludes_zero


def test_rounding_in_some_clusters_does_not_make_a_difference_in_others_look_rarer() -> None:
    before = np.linspace(0.1, 0.9, 30)
    after = before * (1 + 1e-10)
    after[:3] = before[:3] + 1e-6
    assert p_of(before, after, names(30)) == pytest.approx(2 / 2**3)


@pytest.mark.parametrize("clusters", [["one"] * 4, ["one"]])
def test_one_cluster_has_no_test(clusters: list[str]) -> None:
    assert p_of(np.zeros(len(clusters)), np.ones(len(clusters)), clusters) is None


def test_what_is_undefined_has_no_test() -> None:
    nothing = Sums(np.zeros(5), np.zeros(5))
    assert permutation_p(nothing, Sums.of_means(np.ones(5)), names(5), np.random.default_rng(0)) is None
    assert p_of(np.full(5, np.nan), np.ones(5), names(5)) is None


def test_false_alarms_are_as_rare_as_the_p_value_says() -> None:
    generator = np.random.default_rng(6)
    p_values = [
        p_of(*generator.gamma(0.3, 1, (2, 25)), names(25), permutations=400)  # type: ignore[misc]
        for _ in range(600)
    ]
    assert 0.03 <= np.mean([p is not None and p <= 0.05 for p in p_values]) <= 0.07


def test_holm_is_the_textbook_example() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.03, None, 0.9, 0.02]) == pytest.approx([0.06, None, 0.9, 0.06])
    assert holm([]) == [] and holm([None]) == [None]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_keeps_the_order_and_lies_between_the_p_value_and_bonferronis(p_values: list[float]) -> None:
    corrected = holm(p_values)
    for p, one in zip(p_values, corrected, strict=True):
        assert one is not None
        assert p <= one <= max(p, min(1.0, len(p_values) * max(p_values)))
    order = np.argsort(p_values, kind="stable")
    assert all(a <= b for a, b in itertools.pairwise(np.array(corrected, dtype=float)[order]))
    assert min(one for one in corrected if one is not None) == pytest.approx(min(1.0, len(p_values) * min(p_values)))
