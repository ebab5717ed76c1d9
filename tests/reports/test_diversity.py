from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from pools_factory import judged, make_pools
from results_factory import make_results

from reports.diversity import Variety, diversity_of, winner_pairs
from reports.manner import Manner, manner_of, pitch_range
from reports.results import RunResults

POINTS = [1, 2, 4, 8]


@pytest.mark.parametrize(("size", "n"), [(2, 1), (5, 2), (6, 2), (6, 3), (7, 3)])
def test_winner_pairs_are_those_of_all_ways_to_draw(size: int, n: int) -> None:
    counts = np.zeros((size, size))
    for first in itertools.combinations(range(size), n):
        for second in itertools.combinations(set(range(size)) - set(first), n):
            counts[min(first), min(second)] += 1
    np.testing.assert_allclose(winner_pairs(size, n), counts / counts.sum(), atol=1e-12)


def test_two_searches_need_twice_the_candidates() -> None:
    with pytest.raises(ValueError, match="need 6, and the pool has 5"):
        winner_pairs(5, 3)


def pools(values: np.ndarray, transcripts: np.ndarray) -> RunResults:
    """A run that chooses the highest of `values`."""
    metrics = {judged("verifier", selected_on=True): values, judged("asr"): np.zeros_like(values)}
    return make_pools(metrics, transcripts=transcripts)


def manner(results: RunResults, values: np.ndarray) -> dict[str, Manner]:
    """Manners in which the first two numbers are `values`, [requests, N, 2]; the pitch range is the first one."""
    return {
        candidate.audio or "": Manner(np.pad(values[row, candidate.index], (0, 26)), values[row, candidate.index, 0])
        for row, request in enumerate(results.requests)
        for candidate in request.candidates
    }


def by_n(results: RunResults, measured: dict[str, Manner] | None = None) -> dict[int, Variety]:
    return {variety.n: variety for variety in diversity_of(results, POINTS, measured).by_n}


def test_a_choice_that_narrows_what_is_said_is_seen() -> None:
    """The verifier likes one sentence best, so the more candidates, the more often both searches find it."""
    generator = np.random.default_rng(0)
    kinds = generator.integers(0, 4, (400, 8))
    results = pools(np.where(kinds == 0, 1.0, generator.uniform(0, 0.5, kinds.shape)), kinds)
    found = by_n(results)
    for n in (1, 2, 4):
        misses = 0.75**n  # no candidate says the favourite: then any of the three others
        expected = 1 - (1 - misses) ** 2 - misses**2 / 3
        assert found[n].differing.value == pytest.approx(expected, abs=0.05)  # type: ignore[union-attr]
    assert found[8].differing is None


def test_case_and_punctuation_are_no_difference_and_unique_transcripts_are_counted() -> None:
    heard = np.array([["Yes, please.", "yes please", "No.", "no", "", "", "", "maybe"]] * 8)
    diversity = diversity_of(pools(np.zeros((8, 8)), heard), POINTS)
    assert diversity.different is not None
    assert (diversity.different.value, diversity.different.n, diversity.heard_by) == (4.0, 8, "asr")


def test_an_indifferent_choice_keeps_all_variety_of_manner_and_a_narrow_one_does_not() -> None:
    generator = np.random.default_rng(1)
    values = generator.normal(size=(500, 8, 2))
    results = pools(generator.normal(size=(500, 8)), np.zeros((500, 8), int))
    for variety in list(by_n(results, manner(results, values)).values())[:3]:
        assert variety.spread is not None and variety.spread.interval is not None
        assert variety.spread.value == pytest.approx(1.0, abs=0.12)
    # Those most in the middle are the best: what is chosen varies less and less.
    middling = pools(-np.abs(values).sum(axis=2), np.zeros((500, 8), int))
    narrowed = [by_n(middling, manner(middling, values))[n].spread for n in (1, 2, 4)]
    shares = [estimate.value for estimate in narrowed if estimate is not None]
    assert shares[0] == pytest.approx(1.0)
    assert shares[0] > shares[1] > shares[2] > 0  # type: ignore[operator]


def test_each_number_counts_in_units_of_its_own_variation() -> None:
    generator = np.random.default_rng(2)
    values, score = generator.normal(size=(20, 8, 2)), generator.normal(size=(20, 8))
    results = pools(score, np.zeros((20, 8), int))
    one = by_n(results, manner(results, values))
    other = by_n(results, manner(results, values * np.array([1.0, 1000.0]) + 5.0))
    assert other[2].spread.value == pytest.approx(one[2].spread.value)  # type: ignore[union-attr]


def test_pitch_range_is_that_of_the_winners() -> None:
    generator = np.random.default_rng(3)
    values = generator.normal(size=(30, 8, 2))
    flat = pools(-values[:, :, 0], np.zeros((30, 8), int))
    found = by_n(flat, manner(flat, values))
    assert found[1].pitch_range.value == pytest.approx(values[:, :, 0].mean())  # type: ignore[union-attr]
    assert found[8].pitch_range.value == pytest.approx(values[:, :, 0].min(axis=1).mean())  # type: ignore[union-attr]


def test_requests_with_a_clip_that_was_not_measured_are_left_out_and_counted() -> None:
    values = np.random.default_rng(4).normal(size=(6, 8, 2))
    results = pools(values[:, :, 0], np.zeros((6, 8), int))
    measured = manner(results, values)
    del measured["audio/0-3.flac"]
    variety = by_n(results, measured)[2]
    assert variety.spread is not None and variety.pitch_range is not None
    assert (variety.spread.n, variety.spread.n_expected) == (5, 6)
    assert (variety.pitch_range.n, variety.pitch_range.n_expected) == (5, 6)


def test_clips_without_a_clear_pitch_do_not_count_for_its_range() -> None:
    values = np.random.default_rng(5).normal(size=(6, 8, 2))
    results = pools(values[:, :, 1], np.zeros((6, 8), int))
    measured = manner(results, values)
    heard = np.ones((6, 8), dtype=bool)
    heard[0], heard[1, :5] = False, False
    for row, index in zip(*np.nonzero(~heard), strict=True):
        measured[f"audio/{row}-{index}.flac"] = Manner(np.zeros(28), None)
    found = by_n(results, measured)
    assert found[1].pitch_range.value == pytest.approx(values[heard][:, 0].mean())  # type: ignore[union-attr]
    winners = values[:, :, 1].argmax(axis=1)
    rows = [row for row in range(6) if heard[row, winners[row]]]
    expected = np.mean([values[row, winners[row], 0] for row in rows])
    assert found[8].pitch_range.value == pytest.approx(expected)  # type: ignore[union-attr]
    assert found[8].pitch_range.n == 5  # type: ignore[union-attr]


def test_equal_candidates_have_no_variety_to_keep() -> None:
    results = pools(np.zeros((6, 8)), np.zeros((6, 8), int))
    variety = by_n(results, manner(results, np.zeros((6, 8, 2))))[1]
    assert variety.differing is not None and variety.differing.value == 0.0
    assert variety.spread is not None and variety.spread.value is None


def test_no_transcript_and_no_audio_is_nothing_to_say() -> None:
    results = make_pools({judged("verifier", selected_on=True): np.zeros((3, 2))})
    diversity = diversity_of(results, [1, 2])
    assert diversity.different is None and diversity.heard_by == ""
    assert all(v.differing is v.spread is v.pitch_range is None for v in diversity.by_n)


def test_audio_is_measured_up_to_a_limit_over_evenly_spaced_requests(tmp_path: Path) -> None:
    results = make_results(tmp_path, requests=9, n=2)
    everything = manner_of(results, tmp_path)
    # One clip failed in synthesis, two are silent.
    assert len(everything) == 18 - 1 - 2
    assert all(len(entry.numbers) == 28 for entry in everything.values())
    third = manner_of(results, tmp_path, most_seconds=0.4 * 18 / 3)
    assert sorted(third) == sorted(audio for audio in everything if audio[6:9] in ("000", "003", "006"))
    (tmp_path / "audio/000-0.flac").unlink()
    assert len(manner_of(results, tmp_path)) == len(everything) - 1


def test_pitch_range_of_a_glide_is_its_octaves_and_of_noise_is_none() -> None:
    seconds = np.arange(2 * 16_000) / 16_000
    octaves = seconds / 2  # 110 Hz to 220 Hz
    phase = 2 * np.pi * np.cumsum(110 * 2**octaves) / 16_000
    glide = sum(np.sin(k * phase) / k for k in range(1, 6))
    assert pitch_range(glide) == pytest.approx(0.8, abs=0.03)
    assert pitch_range(np.random.default_rng(0).normal(size=16_000)) is None
