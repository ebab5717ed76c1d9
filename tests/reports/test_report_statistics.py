from __future__ import annotations

import numpy as np
import pytest
from interval_shorthands import mean_interval, paired_interval

from reports.statistics import Bootstrap, Sums


def clustered(generator: np.random.Generator, clusters: int = 40, size: int = 8) -> tuple[np.ndarray, list[str]]:
    """Values with mean 0 whose clusters differ more than their members do."""
    values, names = [], []
    for cluster in range(clusters):
        members = int(generator.integers(1, 2 * size))
        values.append(generator.normal(generator.normal(0, 1), 0.5, members))
        names += [f"c{cluster}"] * members
    return np.concatenate(values), names


def test_interval_covers_the_truth_as_often_as_it_says_and_only_when_clustered() -> None:
    generator = np.random.default_rng(1)
    covered = np.zeros(2)
    rounds = 300
    for _ in range(rounds):
        values, clusters = clustered(generator)
        alone = [str(index) for index in range(len(values))]
        for which, names in enumerate((clusters, alone)):
            interval = mean_interval(values, names, generator, resamples=400)
            assert interval is not None
            covered[which] += interval.low <= 0 <= interval.high
    clustered_coverage, naive_coverage = covered / rounds
    assert 0.90 <= clustered_coverage <= 0.98
    assert naive_coverage < 0.7


def test_interval_of_independent_values_is_the_textbook_one() -> None:
    values = np.random.default_rng(2).normal(5, 2, 400)
    interval = mean_interval(values, [str(index) for index in range(400)], np.random.default_rng(0), resamples=20_000)
    assert interval is not None
    half = 1.96 * values.std() / 20
    assert interval.low == pytest.approx(values.mean() - half, abs=0.02)
    assert interval.high == pytest.approx(values.mean() + half, abs=0.02)


def test_same_seed_same_interval_and_another_seed_another() -> None:
    values, clusters = clustered(np.random.default_rng(3))
    first, again, other = (mean_interval(values, clusters, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert first == again != other


def test_order_of_requests_within_their_clusters_does_not_matter() -> None:
    values, clusters = clustered(np.random.default_rng(4))
    order = np.random.default_rng(5).permutation(len(values))
    shuffled = mean_interval(values[order], [clusters[index] for index in order], np.random.default_rng(0))
    assert mean_interval(values, clusters, np.random.default_rng(0)) == pytest.approx(shuffled)


def test_number_of_resamples_and_confidence_are_used() -> None:
    values, clusters = clustered(np.random.default_rng(6))
    sums = Sums.of_means(values)
    wide, narrow = (
        Bootstrap(clusters, np.random.default_rng(0), confidence=confidence).interval(sums)
        for confidence in (0.95, 0.5)
    )
    assert wide is not None and narrow is not None
    assert wide.low < narrow.low < narrow.high < wide.high
    few = Bootstrap(clusters, np.random.default_rng(0), resamples=50).interval(sums)
    assert few != wide


@pytest.mark.parametrize("clusters", [["one"] * 5, ["one"]])
def test_fewer_than_two_clusters_have_no_interval(clusters: list[str]) -> None:
    values = np.arange(float(len(clusters)))
    assert mean_interval(values, clusters, np.random.default_rng(0)) is None
    assert paired_interval(values, values + 1, clusters, np.random.default_rng(0)) == (None, None)


def test_paired_differences_are_surer_than_the_numbers_themselves() -> None:
    generator = np.random.default_rng(7)
    before, clusters = clustered(generator)
    before = before + 10
    after = before - 0.2 + generator.normal(0, 0.02, len(before))
    absolute, relative = paired_interval(before, after, clusters, np.random.default_rng(0))
    alone = mean_interval(before, clusters, np.random.default_rng(0))
    assert absolute is not None and relative is not None and alone is not None
    assert absolute.low <= (after - before).mean() <= absolute.high < 0
    assert absolute.excludes_zero and relative.excludes_zero
    assert absolute.high - absolute.low < (alone.high - alone.low) / 10
    assert relative.low <= (after.mean() - before.mean()) / before.mean() <= relative.high


def test_relative_difference_of_negative_numbers_keeps_its_sign() -> None:
    clusters = [str(index) for index in range(30)]
    before = np.random.default_rng(8).normal(-10, 1, 30)
    _, relative = paired_interval(before, before + 5, clusters, np.random.default_rng(0))
    assert relative is not None
    assert relative.low > 0


def test_ratio_weighs_long_requests_more_than_the_mean_of_ratios_does() -> None:
    errors, words = np.array([0.0, 10.0] * 20), np.array([1.0, 100.0] * 20)
    clusters = [str(index) for index in range(40)]
    assert Sums(errors, words).value == pytest.approx(200 / 2020)
    corpus = Bootstrap(clusters, np.random.default_rng(0)).interval(Sums(errors, words))
    means = mean_interval(errors / words, clusters, np.random.default_rng(0))
    assert corpus is not None and means is not None
    assert means.high < corpus.low


def test_a_ratio_that_can_be_nothing_by_nothing_is_undefined() -> None:
    errors, words = np.array([1.0, 0.0, 0.0]), np.array([2.0, 0.0, 0.0])
    assert Bootstrap(["a", "b", "c"], np.random.default_rng(0)).interval(Sums(errors, words)) is None
    assert np.isnan(Sums(np.zeros(2), np.zeros(2)).value)


def test_relative_difference_to_a_zero_baseline_is_undefined() -> None:
    absolute, relative = paired_interval(np.zeros(9), np.ones(9), list("abcdefghi"), np.random.default_rng(0))
    assert absolute == (1.0, 1.0)
    assert relative is None
