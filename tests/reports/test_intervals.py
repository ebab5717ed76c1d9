"""Methods of the intervals against scipy's, and how often they hold the truth."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from reports.interval_methods import METHODS, Method, end_levels
from reports.statistics import Bootstrap, Interval, Sums

NAMES = [f"{index:03d}" for index in range(40)]


def skewed(seed: int, size: int = 40) -> np.ndarray:
    return np.random.default_rng(seed).gamma(0.5, 1.0, size)


@pytest.mark.parametrize(("ours", "theirs"), [("percentile", "percentile"), ("bca", "BCa")])
def test_a_mean_and_a_ratio_have_scipys_intervals(ours: Method, theirs: str) -> None:
    errors, words = skewed(0), np.random.default_rng(1).integers(5, 20, 40).astype(float)
    for numerators, denominators in ((errors, np.ones(40)), (errors, words)):
        found = Bootstrap(NAMES, np.random.default_rng(3), method=ours).interval(Sums(numerators, denominators))
        expected = stats.bootstrap(
            (numerators, denominators),
            lambda n, d, axis: n.sum(axis=axis) / d.sum(axis=axis),
            paired=True,
            vectorized=True,
            n_resamples=2000,
            method=theirs,
            rng=np.random.default_rng(3),
        ).confidence_interval
        assert found == pytest.approx(tuple(expected), rel=1e-9)


@pytest.mark.parametrize(("ours", "theirs"), [("percentile", "percentile"), ("bca", "BCa")])
def test_a_difference_of_ratios_has_scipys_interval(ours: Method, theirs: str) -> None:
    words = np.random.default_rng(1).integers(5, 20, 40).astype(float)
    before, after = Sums(skewed(0), words), Sums(skewed(2), words + 1)
    found = Bootstrap(NAMES, np.random.default_rng(3), method=ours).paired(before, after)
    parts = (before.numerators, before.denominators, after.numerators, after.denominators)

    def change(a: np.ndarray, b: np.ndarray, c: np.ndarray, d: np.ndarray, axis: int) -> np.ndarray:
        return c.sum(axis=axis) / d.sum(axis=axis) - a.sum(axis=axis) / b.sum(axis=axis)

    def relative(a: np.ndarray, b: np.ndarray, c: np.ndarray, d: np.ndarray, axis: int) -> np.ndarray:
        return change(a, b, c, d, axis) / (a.sum(axis=axis) / b.sum(axis=axis))

    for interval, statistic in ((found.absolute, change), (found.relative, relative)):
        expected = stats.bootstrap(
            parts,
            statistic,
            paired=True,
            vectorized=True,
            n_resamples=2000,
            method=theirs,
            rng=np.random.default_rng(3),
        ).confidence_interval
        assert interval == pytest.approx(tuple(expected), rel=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_any_function_of_sums_has_the_interval_of_what_it_computes(method: Method) -> None:
    words = np.random.default_rng(1).integers(5, 20, 40).astype(float)
    sums = Sums(skewed(0), words)
    bootstrap = Bootstrap(NAMES, np.random.default_rng(3), method=method)
    parts = np.stack([sums.numerators, words], axis=1)
    assert bootstrap.interval_of(parts, lambda totals: totals[:, 0] / totals[:, 1]) == bootstrap.interval(sums)


def test_expanded_levels_are_hesterbergs() -> None:
    """Of normal values the interval is then the one of Student, which his formula is made for."""
    (low,), (high,) = end_levels("expanded", np.zeros((10, 1)), 0.95, 6)
    assert low == pytest.approx(stats.norm.cdf(-np.sqrt(6 / 5) * stats.t.ppf(0.975, 5)))
    assert low + high == pytest.approx(1)
    values = stats.norm.ppf((np.arange(40) + 0.5) / 40)
    found = Bootstrap(NAMES, np.random.default_rng(0), resamples=20_000).interval(Sums.of_means(values))
    assert found is not None
    student = stats.t.ppf(0.975, 39) * values.std(ddof=1) / np.sqrt(40)
    assert found == pytest.approx((-student, student), abs=0.01)


def test_methods_differ_and_many_clusters_make_the_first_two_one() -> None:
    sums = Sums.of_means(skewed(4))
    found = {method: Bootstrap(NAMES, np.random.default_rng(0), method=method).interval(sums) for method in METHODS}
    assert len(set(found.values())) == 3
    wide, narrow, moved = (found[method] for method in ("expanded", "percentile", "bca"))
    assert isinstance(wide, Interval) and isinstance(narrow, Interval) and isinstance(moved, Interval)
    assert wide.low < narrow.low < narrow.high < wide.high
    assert moved.low > narrow.low and moved.high > narrow.high  # towards the longer tail
    ends = [end_levels(method, np.zeros((2, 1)), 0.95, 100_000)[0, 0] for method in ("expanded", "percentile")]
    assert ends[0] == pytest.approx(ends[1], abs=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_values_that_never_vary_have_an_interval_of_no_width(method: Method) -> None:
    found = Bootstrap(NAMES, np.random.default_rng(0), method=method).interval(Sums.of_means(np.full(40, 0.25)))
    assert found == pytest.approx((0.25, 0.25))


@pytest.mark.parametrize("method", METHODS)
def test_an_undefined_column_leaves_the_others(method: Method) -> None:
    values = np.stack([skewed(0), np.full(40, np.nan), skewed(1)], axis=1)
    intervals = Bootstrap(NAMES, np.random.default_rng(0), method=method).intervals(Sums.of_means(values))
    alone = Bootstrap(NAMES, np.random.default_rng(0), method=method).interval(Sums.of_means(values[:, 2]))
    assert intervals[1] is None and intervals[0] is not None
    assert intervals[2] == pytest.approx(alone)


def speakers_of(generator: np.random.Generator, clusters: int) -> tuple[Sums, Sums, list[str]]:
    """Corpus WER of two systems: speakers with 15-44 requests, most without an error, as in read speech."""
    sizes = generator.integers(15, 45, clusters)
    speaker = np.repeat(np.arange(clusters), sizes)
    words = generator.integers(5, 20, len(speaker))
    difficulty = generator.gamma(2, 0.5, len(speaker)) * generator.gamma(3, 1 / 3, clusters)[speaker]
    sides = []
    for wer in (0.05, 0.05):  # alike: the true difference is 0
        rates = np.clip(wer * difficulty * generator.gamma(0.2, 5, len(speaker)), 0, 0.9)
        sides.append(Sums(generator.binomial(words, rates).astype(float), words.astype(float)))
    return sides[0], sides[1], [f"{name:03d}" for name in speaker]


@pytest.mark.parametrize("clusters", [30, 60])
def test_95_percent_intervals_of_paired_differences_hold_the_truth_93_to_97_percent_of_the_time(clusters: int) -> None:
    """1,000 runs: their own standard error is 0.7 points. More methods and populations: `reports.interval_methods`."""
    generator = np.random.default_rng(clusters)
    rounds, covered = 1000, 0
    for _ in range(rounds):
        before, after, names = speakers_of(generator, clusters)
        interval = Bootstrap(names, generator, resamples=500).paired(before, after).absolute
        assert interval is not None
        covered += interval.low <= 0 <= interval.high
    assert 0.93 <= covered / rounds <= 0.97


@pytest.mark.parametrize(("clusters", "fewest"), [(6, 0.90), (10, 0.92), (30, 0.93)])
def test_few_clusters_are_covered_nearly_as_well(clusters: int, fewest: float) -> None:
    generator = np.random.default_rng(5)
    names = [f"{index:03d}" for index in range(clusters)]
    covered = {"expanded": 0, "percentile": 0}
    rounds = 600
    for _ in range(rounds):
        sums = Sums.of_means(generator.standard_t(3, clusters))
        seed = int(generator.integers(2**31))
        for method in covered:
            interval = Bootstrap(names, np.random.default_rng(seed), resamples=1000, method=method).interval(sums)  # type: ignore[arg-type]
            assert interval is not None
            covered[method] += interval.low <= 0 <= interval.high
    assert fewest <= covered["expanded"] / rounds <= 0.97
    assert covered["percentile"] < covered["expanded"]
