from __future__ import annotations

import json

import numpy as np
import pytest
from pools_factory import QUALITY, WER, judged, make_pools
from results_factory import make_results

from reports.hacking import Comparison, gap_points, hacking_of
from reports.manner import Manner
from reports.summary import summarise
from tts_eval.types import Metric

HELD_OUT, SELECTING = judged("judge", WER), judged("verifier", WER, selected_on=True)


def rates(requests: int = 60, n: int = 8, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return generator.beta(1, 3, (requests, 1)) * generator.uniform(0, 1, (requests, n))


def only(verifier: np.ndarray, judge: np.ndarray, **options: int) -> Comparison:
    (comparison,) = hacking_of(make_pools({HELD_OUT: judge, SELECTING: verifier}, **options)).comparisons
    return comparison


def test_a_verifier_that_is_the_judge_has_no_gap() -> None:
    comparison = only(rates(), rates())
    for gap in comparison.gaps:
        assert gap.promised == gap.arrived
        assert gap.gap == 0.0
        assert gap.gap_interval == pytest.approx((0.0, 0.0), abs=1e-12)
    assert comparison.outcome == "arrives"


def test_gains_are_the_summary_s_and_the_gap_is_their_difference() -> None:
    results = make_results(requests=40, speakers=0, n=6)
    comparison = hacking_of(results).comparisons[0]
    held_out, _, selecting = summarise(results).metrics
    assert (comparison.held_out, comparison.selecting) == (held_out.judged, selecting.judged)
    assert [gap.n for gap in comparison.gaps] == gap_points(6) == [1, 2, 4, 6]
    for gap in comparison.gaps:
        assert gap.arrived == pytest.approx(held_out.curves.selected[gap.n - 1])
        assert gap.promised == pytest.approx(selecting.curves.selected[gap.n - 1])
        assert gap.arrived_gain == pytest.approx(held_out.curves.selected[0] - gap.arrived)  # type: ignore[operator]
        assert gap.gap == pytest.approx(gap.promised_gain - gap.arrived_gain)  # type: ignore[operator]
    last = comparison.gaps[-1]
    assert held_out.difference.interval is not None
    assert last.arrived_interval == pytest.approx(
        (-held_out.difference.interval.high, -held_out.difference.interval.low)
    )


def test_an_independent_judge_gets_nothing_and_the_gap_is_the_whole_promise() -> None:
    comparison = only(rates(seed=1), rates(seed=2))
    last = comparison.gaps[-1]
    assert last.promised_gain is not None and last.arrived_interval is not None and last.gap_interval is not None
    assert last.arrived_interval.low < 0 < last.arrived_interval.high
    assert last.gap_interval.low < last.promised_gain < last.gap_interval.high
    assert comparison.outcome == "does not show"


def test_half_of_a_promise_arrives_in_part() -> None:
    shared, own = rates(seed=1), rates(seed=2)
    assert only(shared + own, shared).outcome == "arrives in part"


def test_a_judge_that_hears_the_opposite_is_hurt() -> None:
    verifier = rates()
    assert only(verifier, 1.0 - verifier).outcome == "hurts"


@pytest.mark.parametrize(("requests", "speakers"), [(5, 0), (60, 5)])
def test_few_draws_are_no_verdict(requests: int, speakers: int) -> None:
    assert only(rates(requests), rates(requests), speakers=speakers).outcome == "too few"


def test_metrics_of_different_kinds_are_compared_in_deviations() -> None:
    """One deviation is that of a metric within a request, so units and levels cancel: here both are the same ruler."""
    values = rates()
    similar = Metric(name="similarity", higher_is_better=True, worst=0.0)
    level = np.random.default_rng(3).normal(size=(60, 1))
    results = make_pools({judged("judge", similar): 7.0 - 5.0 * values + level, SELECTING: values})
    (comparison,) = hacking_of(results).comparisons
    assert comparison.in_deviations
    within = np.sqrt(values.var(axis=1, ddof=1).mean())
    for gap in comparison.gaps:
        assert gap.gap == pytest.approx(0.0, abs=1e-9)
    assert comparison.gaps[-1].arrived_gain == pytest.approx((values.mean() - values.min(axis=1).mean()) / within)


def test_two_speaker_models_do_not_share_a_scale_and_two_recognisers_do() -> None:
    def comparison(name: str, protocols: tuple[str, str], unit: str) -> Comparison:
        held_out, selecting = (
            Metric(name=name, higher_is_better=False, worst=1.0, unit=unit, protocol=protocol)  # type: ignore[arg-type]
            for protocol in protocols
        )
        metrics = {judged("judge", held_out): rates(), judged("verifier", selecting, selected_on=True): rates()}
        return hacking_of(make_pools(metrics)).comparisons[0]

    assert not comparison("wer", ("w@1", "w@1"), "error-rate").in_deviations
    assert comparison("wer", ("w@1", "w@2"), "error-rate").in_deviations
    assert comparison("sim", ("ge2e@1", "ecapa@1"), "score").in_deviations


def test_each_judge_stands_beside_the_selecting_metric_that_is_most_like_it() -> None:
    likelihood = Metric(name="likelihood", higher_is_better=True, worst=-9.0)
    results = make_pools({
        judged("judge", WER): rates(), judged("judge", likelihood): -rates(), judged("third"): rates(),
        judged("verifier", likelihood, selected_on=True): -rates(), SELECTING: rates(),
    })  # fmt: skip
    pairs = [(c.selecting.key, c.held_out.key) for c in hacking_of(results).comparisons]
    assert pairs == [("verifier#wer", "judge#wer"), ("verifier#likelihood", "third#quality")]


def test_failures_are_worth_the_worst_on_both_sides() -> None:
    values = np.full((10, 2), 0.5)
    results = make_pools({HELD_OUT: values, SELECTING: values}, failed={(row, 0) for row in range(10)})
    last = hacking_of(results).comparisons[0].gaps[-1]
    assert last.promised_gain == last.arrived_gain == pytest.approx((1.0 + 0.5) / 2 - 0.5)


def test_pools_on_which_all_agree_have_no_deviation_to_measure_by() -> None:
    results = make_pools({judged("judge"): np.ones((8, 4)), SELECTING: rates(8, 4)})
    (comparison,) = hacking_of(results).comparisons
    assert comparison.gaps[-1].arrived_gain is None
    assert comparison.outcome == "n/a"


def test_what_cannot_be_said_is_said() -> None:
    chosen_only = hacking_of(
        make_pools({HELD_OUT: rates(8, 1), SELECTING: rates(8, 1)}),
        {f"audio/{row}-0.flac": Manner(np.zeros(28), 0.5 + row) for row in range(8)},
    )
    assert chosen_only.comparisons == ()
    assert "keeps only what it chose" in chosen_only.missing
    (variety,) = chosen_only.diversity.by_n
    assert variety.pitch_range is not None and variety.pitch_range.value == pytest.approx(4.0)
    assert variety.differing is variety.spread is None
    no_judge = hacking_of(make_pools({SELECTING: rates()}))
    assert "tts-eval score RUN --judge" in no_judge.missing
    no_choice = hacking_of(make_pools({judged("judge", QUALITY): rates()}))
    assert no_choice.missing == "No judge took part in the choice."


def test_json_is_json() -> None:
    record = json.loads(json.dumps(hacking_of(make_results(n=3)).as_json(), allow_nan=False))
    assert [gap["n"] for gap in record["comparisons"][0]["gaps"]] == [1, 2, 3]
    assert record["diversity"]["heard_by"] == "asr:tiny.en"
