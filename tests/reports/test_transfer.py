from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from pools_factory import QUALITY, WER, judged, make_pools

from reports.expected_gain import expected_maximum
from reports.results import RunResults
from reports.transfer import RULE, Pair, Transfer, choosers, prediction_points, transfer_of
from tts_eval.errors import ConfigError
from tts_eval.types import Failure, FailureKind, Metric

JUDGE, VERIFIER = judged("judge"), judged("verifier", selected_on=True)


def normal_pools(rho: float, requests: int = 60, n: int = 8, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A verifier and a judge that correlate at `rho` within a request, of requests of every difficulty."""
    generator = np.random.default_rng(seed)
    verifier = generator.standard_normal((requests, n))
    judge = rho * verifier + math.sqrt(1 - rho**2) * generator.standard_normal((requests, n))
    level = 3 * generator.standard_normal((requests, 1))
    return verifier + level, judge + level


def only_pair(results: RunResults, **options: object) -> Pair:
    (pair,) = transfer_of(results, **options).pairs  # type: ignore[arg-type]
    return pair


def planted(verifier: np.ndarray, judge: np.ndarray, **options: object) -> RunResults:
    return make_pools({JUDGE: judge, VERIFIER: verifier}, **options)  # type: ignore[arg-type]


def test_a_verifier_that_is_the_judge_agrees_wholly_and_gains_what_the_oracle_does() -> None:
    values, _ = normal_pools(1.0)
    transfer = transfer_of(planted(values, values))
    (pair,) = transfer.pairs
    assert pair.correlation.value == pytest.approx(1.0)
    assert pair.correlation.interval == pytest.approx((1.0, 1.0))
    assert pair.gains == transfer.oracles[JUDGE.key]
    assert pair.verdict == "helps"


def test_an_independent_verifier_agrees_in_nothing_and_gains_nothing() -> None:
    pair = only_pair(planted(*normal_pools(0.0)))
    assert pair.correlation.interval is not None and pair.gain.interval is not None
    assert not pair.correlation.interval.excludes_zero
    assert not pair.gain.interval.excludes_zero
    assert pair.verdict == "unsettled"


def test_a_verifier_that_prefers_the_worse_harms() -> None:
    values, _ = normal_pools(1.0)
    pair = only_pair(planted(-values, values))
    assert pair.correlation.value == pytest.approx(-1.0)
    assert pair.gain.value is not None and pair.gain.value < 0
    assert pair.verdict == "harms"


def test_direction_of_either_metric_does_not_matter() -> None:
    verifier, judge = normal_pools(0.6)
    upwards = only_pair(planted(verifier, judge))
    error = Metric(name="loss", higher_is_better=False, worst=50.0)
    downwards = only_pair(
        make_pools({judged("judge", error): -judge, judged("verifier", error, selected_on=True): -verifier})
    )
    assert downwards.correlation == upwards.correlation
    assert [gain.value for gain in downwards.gains] == pytest.approx([gain.value for gain in upwards.gains])


def test_constant_pools_count_as_no_gain_and_as_no_word_on_agreement() -> None:
    verifier, judge = normal_pools(0.6, requests=40)
    verifier[:10], judge[10:15] = 1.0, 2.0
    pair = only_pair(planted(verifier, judge))
    rest = only_pair(planted(verifier[15:], judge[15:]))
    assert (pair.correlation.n, pair.correlation.n_expected) == (25, 40)
    assert pair.correlation.value == rest.correlation.value
    assert pair.gain.value == pytest.approx(25 / 40 * rest.gain.value)  # type: ignore[operator]


def test_nothing_but_constant_pools_is_no_verdict() -> None:
    pair = only_pair(planted(np.ones((20, 4)), np.random.default_rng(0).normal(size=(20, 4))))
    assert pair.correlation.value is None
    assert pair.gain.value == pytest.approx(0.0)
    assert pair.verdict == "too few"


@pytest.mark.parametrize(("requests", "speakers"), [(5, 0), (40, 5), (1, 0)])
def test_few_draws_are_no_verdict(requests: int, speakers: int) -> None:
    values, _ = normal_pools(1.0, requests=requests)
    assert only_pair(planted(values, values, speakers=speakers)).verdict == "too few"


def test_failures_stay_and_rank_last_whatever_they_are_worth() -> None:
    verifier, judge = normal_pools(0.0, requests=200, n=4)
    failed = {(row, 0) for row in range(200)}
    pair = only_pair(planted(verifier, judge, failed=failed))
    # Half of the pairs have the failure in them, and on those the two agree.
    assert pair.correlation.value == pytest.approx(0.5, abs=0.06)
    assert pair.correlation.n == 200
    single = np.where(np.arange(4) == 0, QUALITY.worst, judge).mean()
    assert pair.gain.value == pytest.approx(judge[:, 1:].mean() - single, abs=0.15)


def test_a_failure_is_behind_a_clip_that_is_worse_than_the_worst() -> None:
    """A word error rate may be above 1, what a failed clip is worth; a search takes the clip all the same."""
    wer, judge = np.full((10, 2), 2.0), np.zeros((10, 2))
    judge[:, 1] = 0.5
    results = make_pools(
        {judged("judge", WER): judge, judged("verifier", WER, selected_on=True): wer},
        failed={(row, 0) for row in range(10)},
    )
    pair = only_pair(results)
    assert pair.gain.value == pytest.approx((1.0 + 0.5) / 2 - 0.5)


def test_what_was_never_asked_leaves_its_request_out_of_the_pair() -> None:
    verifier, judge = normal_pools(0.6, requests=30)
    whole = only_pair(planted(verifier[5:], judge[5:]))
    for gaps in ({"missing": {(row, 3) for row in range(5)}}, {"unasked": {(row, 0) for row in range(5)}}):
        pair = only_pair(planted(verifier, judge, **gaps))
        assert pair.correlation.value == whole.correlation.value
        assert (pair.correlation.n, pair.correlation.n_expected) == (25, 30)
        assert pair.gain.value == pytest.approx(whole.gain.value)


def test_a_file_that_a_scored_folder_lacks_is_asked_for_and_failed() -> None:
    verifier, judge = normal_pools(0.6, requests=30)
    results = planted(verifier, judge, missing={(row, 3) for row in range(5)})
    gone = Failure(FailureKind.MISSING, "No r0.wav.")
    requests = [
        replace(r, candidates=tuple(replace(c, failure=gone) if c.failure else c for c in r.candidates))
        for r in results.requests
    ]
    pair = only_pair(replace(results, requests=tuple(requests)))
    assert (pair.correlation.n, pair.correlation.n_expected) == (30, 30)


def test_a_judge_is_never_asked_about_itself() -> None:
    verifier, judge = normal_pools(0.6)
    other = Metric(name="other", higher_is_better=True, worst=0.0)
    results = make_pools({JUDGE: judge, judged("judge", other): -judge, VERIFIER: verifier})
    pairs = transfer_of(results).pairs
    assert {(pair.chooser.key, pair.judged.key) for pair in pairs} == {
        ("verifier#quality", "judge#quality"), ("verifier#quality", "judge#other"),
    }  # fmt: skip


def test_metrics_of_one_judge_that_rank_alike_are_one_and_the_rule_is_another() -> None:
    verifier, judge = normal_pools(0.6)
    double = judged("verifier", Metric(name="double", higher_is_better=True, worst=0.0), selected_on=True)
    second = judged("second", selected_on=True)
    alike = make_pools({JUDGE: judge, VERIFIER: verifier, double: 2 * verifier})
    assert [chooser.key for chooser, _ in choosers(alike)] == ["judge#quality", "verifier#quality"]
    both = make_pools({JUDGE: judge, VERIFIER: verifier, second: judge})
    assert [chooser.key for chooser, _ in choosers(both)] == [
        "judge#quality", "verifier#quality", "second#quality", RULE,
    ]  # fmt: skip


def test_who_judges_can_be_chosen_and_the_best_verifier_comes_first() -> None:
    generator = np.random.default_rng(5)
    truth = generator.standard_normal((60, 4))
    third = judged("third")
    noisy = {JUDGE: 0.3, VERIFIER: 2.0, third: 0.5}
    results = make_pools({m: truth + noise * generator.standard_normal(truth.shape) for m, noise in noisy.items()})
    named = transfer_of(results, judges=["verifier"])
    assert [pair.chooser.key for pair in named.pairs] == ["judge#quality", "third#quality"]
    assert {pair.judged.key for pair in transfer_of(results).pairs} == {"judge#quality", "third#quality"}
    with pytest.raises(ConfigError, match=r"no judge 'nobody'; expected one of: judge, third, verifier"):
        transfer_of(results, judges=["nobody"])


def test_pools_of_one_have_no_pairs() -> None:
    transfer = transfer_of(planted(np.zeros((3, 1)), np.zeros((3, 1))))
    assert transfer.pairs == () and dict(transfer.oracles) == {}


def test_points_are_powers_of_two_up_to_four_times_the_pool() -> None:
    assert prediction_points(4) == [2, 4, 8, 16]
    assert prediction_points(6) == [2, 4, 6, 8, 16]
    assert prediction_points(2) == [2, 4, 8]


def test_json_is_json() -> None:
    transfer: Transfer = transfer_of(planted(*normal_pools(0.5, requests=8, n=2)))
    record = json.loads(json.dumps(transfer.as_json(), allow_nan=False))
    assert record["pairs"][0]["gains"][0]["n"] == 2
    assert record["pairs"][0]["gains"][-1]["beyond_the_pool"] is True


def test_the_seed_decides_the_intervals_alone() -> None:
    results = planted(*normal_pools(0.4, requests=20))
    first, again, other = (only_pair(results, seed=seed) for seed in (0, 0, 1))
    assert first == again
    assert first.correlation.value == other.correlation.value
    assert first.correlation.interval != other.correlation.interval
    assert first.gain.interval != other.gain.interval


def test_a_pilot_foresees_what_a_larger_run_gets() -> None:
    """Known truth, 200 pilots of 40 requests x 4: no bias, and intervals that hold it as often as they say.

    rho times the expected maximum at N = 4, which the pilot has, and at N = 16, which it has not.
    """
    rho, covered, found = 0.4, {4: 0, 16: 0}, {4: [], 16: []}  # type: ignore[var-annotated]
    agreed = 0
    pilots = 200
    for seed in range(pilots):
        pair = only_pair(planted(*normal_pools(rho, requests=40, n=4, seed=seed)))
        gains = {gain.n: gain for gain in pair.gains}
        for n in (4, 16):
            truth, gain = rho * expected_maximum(n), gains[n]
            assert gain.interval is not None and gain.straight is not None
            covered[n] += gain.interval.low <= truth <= gain.interval.high
            found[n].append(gain.straight)
        assert pair.correlation.interval is not None
        agreed += pair.correlation.interval.low <= 2 / math.pi * math.asin(rho) <= pair.correlation.interval.high
    assert covered[4] >= 0.90 * pilots
    assert covered[16] >= 0.93 * pilots
    assert agreed >= 0.90 * pilots
    for n, values in found.items():
        error = np.std(values) / math.sqrt(pilots)
        assert np.mean(values) == pytest.approx(rho * expected_maximum(n), abs=4 * error)


def test_a_verifier_that_is_hacked_is_found_out_within_the_pool() -> None:
    """It agrees with the judge on most candidates, and is wrong about the ones that please it most."""
    generator = np.random.default_rng(0)
    verifier = generator.standard_normal((200, 16))
    judge = np.where(verifier > 1.2, verifier - 5.0, verifier)
    pair = only_pair(planted(verifier, judge))
    gains = {gain.n: gain.value for gain in pair.gains if not gain.is_beyond}
    assert pair.correlation.value is not None and pair.correlation.value > 0.2
    assert gains[2] > gains[4] > gains[8] > gains[16]  # type: ignore[operator]
    assert pair.verdict == "harms"
