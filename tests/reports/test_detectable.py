from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from reports.detectable import detectable_difference, standard_error
from reports.seeds import mean_over, seed_spread
from reports.statistics import Sums


def names(count: int) -> list[str]:
    return [f"{index:04d}" for index in range(count)]


def test_standard_error_of_means_is_the_textbook_one_and_speakers_widen_it() -> None:
    before, after = np.random.default_rng(0).normal(0, 1, (2, 50))
    sides = Sums.of_means(before), Sums.of_means(after)
    assert standard_error(*sides, names(50)) == pytest.approx(stats.sem(after - before))
    doubled = [Sums.of_means(np.repeat(values, 2)) for values in (before, after)]
    speakers = [name for name in names(50) for _ in range(2)]
    assert standard_error(doubled[0], doubled[1], speakers) == pytest.approx(stats.sem(after - before))


def test_standard_error_of_a_difference_of_ratios_is_that_of_many_samples() -> None:
    generator = np.random.default_rng(1)

    def sample() -> tuple[Sums, Sums]:
        words = generator.integers(5, 20, 300)
        errors = generator.binomial(words, generator.beta(0.2, 2, 300)), generator.binomial(words, 0.1)
        return Sums(errors[0].astype(float), words.astype(float)), Sums(errors[1].astype(float), words.astype(float))

    samples = [sample() for _ in range(600)]
    spread = np.std([after.value - before.value for before, after in samples])
    errors = [standard_error(*pair, names(300)) or 0.0 for pair in samples[:100]]
    assert np.mean(errors) == pytest.approx(spread, rel=0.08)


def test_such_a_difference_is_found_four_times_of_five() -> None:
    generator = np.random.default_rng(2)
    found, rounds = 0, 800
    for _ in range(rounds):
        before = generator.normal(0, 1, 40)
        difference = detectable_difference(Sums.of_means(np.zeros(40)), Sums.of_means(before), names(40))
        assert difference is not None
        after = generator.normal(difference, 1, 40)
        found += stats.ttest_1samp(after, 0).pvalue <= 0.05
    assert 0.76 <= found / rounds <= 0.84


def test_options_are_used_and_four_times_as_many_requests_show_half_of_it() -> None:
    values = np.random.default_rng(3).gamma(0.3, 1, (2, 400))
    sides = Sums.of_means(values[0]), Sums.of_means(values[1])
    here = detectable_difference(*sides, names(400))
    more = detectable_difference(*sides, names(400), n_clusters=1600)
    strict = detectable_difference(*sides, names(400), alpha=0.01)
    surer = detectable_difference(*sides, names(400), power=0.95)
    assert here and more and strict and surer
    assert more == pytest.approx(here / 2, rel=0.01)
    assert min(strict, surer) > here
    assert here == pytest.approx((1.966 + 0.843) * stats.sem(values[1] - values[0]), rel=0.002)


@pytest.mark.parametrize("alike", [0.0, 0.2])
@pytest.mark.parametrize("per_speaker", [1, 5, 40])
def test_a_suite_with_another_number_of_requests_of_each_speaker_shows_what_its_own_size_can(
    alike: float, per_speaker: int
) -> None:
    """A pilot of ten of each says what one of each, or forty, would show."""
    generator = np.random.default_rng(7)

    def differences(size: int) -> tuple[np.ndarray, list[str]]:
        shared = np.repeat(generator.normal(0, np.sqrt(alike), 40), size)
        speakers = [name for name in names(40) for _ in range(size)]
        return shared + generator.normal(0, np.sqrt(1 - alike), 40 * size), speakers

    def detectable(size: int, **asked: float) -> float:
        change, speakers = differences(size)
        zeros = Sums.of_means(np.zeros(len(change)))
        return detectable_difference(zeros, Sums.of_means(change), speakers, **asked) or 0.0  # type: ignore[arg-type]

    here = np.mean([detectable(per_speaker) for _ in range(40)])
    told = np.mean([detectable(10, per_cluster=per_speaker) for _ in range(40)])
    assert told == pytest.approx(here, rel=0.06)
    one_each = differences(1)
    sides = Sums.of_means(np.zeros(40)), Sums.of_means(one_each[0])
    # Of one of each nobody knows how alike more would be: no more is promised than of one.
    assert detectable_difference(*sides, one_each[1], per_cluster=30) == detectable_difference(*sides, one_each[1])


def test_seed_tts_eval_cannot_show_less_than_half_a_point_of_wer() -> None:
    """The published spread: 8.59 points over 1,088 utterances; two systems that have nothing in common."""
    spread = stats.norm.ppf((np.arange(1088) + 0.5) / 1088) * 0.0859
    shuffled = np.random.default_rng(0).permutation(spread)
    sides = Sums.of_means(spread), Sums.of_means(shuffled)
    assert detectable_difference(*sides, names(1088)) == pytest.approx(0.0103, abs=0.0007)
    assert detectable_difference(*sides, names(1088), n_clusters=100) == pytest.approx(0.0345, abs=0.002)


def test_too_little_to_say() -> None:
    ones = Sums.of_means(np.ones(3))
    assert detectable_difference(ones, ones, ["a"] * 3) is None
    assert detectable_difference(ones, ones, names(3), n_clusters=1) is None
    assert standard_error(Sums(np.ones(3), np.zeros(3)), ones, names(3)) is None


def test_differences_that_do_not_vary_do_not_say_that_any_difference_would_be_found() -> None:
    values = np.random.default_rng(6).uniform(0.1, 0.9, 30)
    for shift in (0.0, 0.1):
        assert detectable_difference(Sums.of_means(values), Sums.of_means(values + shift), names(30)) is None
    nothing = Sums.of_means(np.zeros(30))
    assert detectable_difference(nothing, nothing, names(30)) is None


def test_seed_spread_finds_what_was_put_in() -> None:
    generator = np.random.default_rng(4)
    level = generator.normal(0, 2, 4000)
    runs = [Sums.of_means(level + generator.normal(0, 1, 4000)) for _ in range(3)]
    spread = seed_spread(runs)
    assert spread is not None
    assert spread.within == pytest.approx(1, rel=0.05)
    assert spread.between == pytest.approx(4, rel=0.1)
    assert spread.share_within == pytest.approx(0.2, abs=0.02)
    assert spread.run == pytest.approx(np.var([run.value for run in runs], ddof=1))
    assert mean_over(runs).value == pytest.approx(np.mean([run.value for run in runs]))


def test_seed_spread_of_a_ratio_is_that_of_means_where_words_are_equal() -> None:
    generator = np.random.default_rng(5)
    errors = generator.poisson(2, (3, 50)).astype(float)
    ratios = seed_spread([Sums(row, np.full(50, 10.0)) for row in errors])
    means = seed_spread([Sums.of_means(row / 10) for row in errors])
    assert ratios is not None and means is not None
    assert (ratios.within, ratios.between, ratios.run) == pytest.approx((means.within, means.between, means.run))


def test_seed_spread_needs_two_seeds_two_requests_and_numbers() -> None:
    one = Sums.of_means(np.arange(5.0))
    assert seed_spread([one]) is None
    assert seed_spread([Sums.of_means(np.ones(1))] * 2) is None
    assert seed_spread([one, Sums(np.ones(5), np.zeros(5))]) is None
    same = seed_spread([one, one])
    assert same is not None and (same.within, same.share_within) == (0, 0)
    flat = seed_spread([Sums.of_means(np.ones(5))] * 2)
    assert flat is not None and flat.share_within is None
