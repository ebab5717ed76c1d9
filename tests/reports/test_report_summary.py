from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from results_factory import METRICS, make_results
from whisper_normalizer.english import EnglishTextNormalizer

from reports.pools import pool_of
from reports.results import CandidateResult, RequestResult, RunResults
from reports.summary import summarise
from tts_eval.errors import DataError
from tts_eval.types import Failure, FailureKind, Metric, Score

HELD_OUT, SIMILARITY, SELECTING = METRICS


def with_candidate(results: RunResults, row: int, column: int, **changes: object) -> RunResults:
    request = results.requests[row]
    candidates = list(request.candidates)
    candidates[column] = replace(candidates[column], **changes)  # type: ignore[arg-type]
    return with_request(results, row, candidates=tuple(candidates))


def with_request(results: RunResults, row: int, **changes: object) -> RunResults:
    requests = list(results.requests)
    requests[row] = replace(requests[row], **changes)  # type: ignore[arg-type]
    return replace(results, requests=tuple(requests))


def failed(score: Score) -> Score:
    return replace(score, value=None, values={}, details={}, failure=Failure(FailureKind.VERIFIER, "broke"))


def corpus_wer(candidates: list[tuple[RequestResult, CandidateResult]], key: str) -> float:
    errors = words = 0.0
    for request, candidate in candidates:
        known = [c.scores[key].values["words"] for c in request.candidates if c.scores[key].failure is None]
        length = known[0] if known else len(EnglishTextNormalizer()(request.text).split())
        score = candidate.scores[key]
        errors += length if score.failure else score.values["errors"]
        words += length
    return errors / words


def test_values_are_set_level_numbers_of_the_chosen_candidates() -> None:
    results = make_results()
    wer, similarity, _ = summarise(results).metrics
    chosen = [(request, request.chosen) for request in results.requests]
    everything = [(request, candidate) for request in results.requests for candidate in request.candidates]
    assert wer.chosen.value == pytest.approx(corpus_wer(chosen, "asr:tiny.en"))
    assert wer.baseline.value == pytest.approx(corpus_wer(everything, "asr:tiny.en"))
    assert similarity.chosen.value == pytest.approx(np.mean([candidate.value(SIMILARITY) for _, candidate in chosen]))
    assert similarity.oracle.value == pytest.approx(
        np.mean([max(c.value(SIMILARITY) for c in request.candidates) for request in results.requests])
    )


def test_failures_stay_in_the_denominator() -> None:
    results = make_results()
    summary = summarise(results)
    assert summary.coverage.requests == 12
    assert summary.coverage.scored == 11
    assert summary.coverage.scored_candidates == 12 * 4 - 5
    assert summary.coverage.failures == {"silent": 4, "synthesis": 1}
    assert summary.coverage.chosen_failures == {"silent": 1}
    assert [(metric.chosen.n, metric.chosen.n_expected) for metric in summary.metrics] == [(11, 12)] * 3
    without = summarise(replace(results, requests=results.requests[:-1]))
    worse, better = summary.metrics[0].chosen.value, without.metrics[0].chosen.value
    assert worse is not None and better is not None
    assert worse > better


def test_a_failed_clip_counts_as_all_words_deleted() -> None:
    results = make_results(requests=2, n=2)
    kept = results.requests[0].candidates[1].scores["asr:tiny.en"].values["words"]
    scores = dict(results.requests[0].candidates[0].scores)
    scores["asr:tiny.en"] = failed(scores["asr:tiny.en"])
    pool = pool_of(with_candidate(results, 0, 0, scores=scores), HELD_OUT)
    assert pool.sums.numerators[0, 0] == pool.sums.denominators[0, 0] == kept
    # The last request has no judged clip at all: its text gives the length.
    assert pool.sums.denominators[1].tolist() == [len(results.requests[1].text.split())] * 2
    assert pool.is_scored.tolist() == [[False, True], [False, False]]


@pytest.mark.parametrize(
    ("protocol", "language", "text", "length"),
    [
        ("seed-tts@1", "zh", "你好，世界。", 4),
        ("seed-tts@1", "zh-CN", "你好，世界。", 4),
        ("seed-tts@1", "en", "A well-known, simple case", 4),
        ("whisper-norm@1", "en", "A well-known, simple case", 5),
        ("seed-tts@1", "de", "Hier war es kalt", 4),
        ("mine@1", "zh", "你好，世界。", 1),
        ("", "en", "one two", 2),
        ("seed-tts@1", "zh", "。", 1),
    ],
)
def test_a_clip_that_nobody_heard_is_as_long_as_the_protocol_counts_its_text(
    protocol: str, language: str, text: str, length: int
) -> None:
    judged = replace(HELD_OUT, metric=replace(HELD_OUT.metric, protocol=protocol))
    results = replace(make_results(requests=1, n=1), metrics=(judged, SIMILARITY))
    results = with_request(with_candidate(results, 0, 0, scores={}), 0, text=text, language=language)
    assert pool_of(results, judged).sums.denominators.tolist() == [[length]]
    assert pool_of(results, SIMILARITY).sums.denominators.tolist() == [[1]]


def test_curves_go_from_the_single_sample_to_the_chosen() -> None:
    for metric in summarise(make_results()).metrics:
        curves = metric.curves
        assert len(curves.selected) == len(curves.oracle) == len(curves.intervals) == 4
        assert curves.selected[0] == pytest.approx(curves.random) == pytest.approx(metric.baseline.value)
        assert curves.selected[-1] == metric.chosen.value
        assert curves.intervals[-1] == metric.chosen.interval
        assert curves.oracle[-1] == metric.oracle.value


def test_gain_is_positive_when_better_whatever_the_direction() -> None:
    results = make_results(requests=40, speakers=0)
    _, similarity, selecting = summarise(results).metrics
    assert selecting.gain.value is not None and selecting.gain.interval is not None
    assert selecting.difference.value is not None and selecting.difference.interval is not None
    assert selecting.difference.value < 0 < selecting.gain.value
    assert selecting.gain.interval.low <= selecting.gain.value <= selecting.gain.interval.high
    assert selecting.difference.interval.high < 0 < selecting.gain.interval.low
    assert selecting.is_settled and selecting.is_better
    assert similarity.difference.value is not None and similarity.gain.value is not None
    assert np.sign(similarity.difference.value) == np.sign(similarity.gain.value)


def test_a_pool_of_one_has_nothing_to_gain() -> None:
    for metric in summarise(make_results(n=1)).metrics:
        assert (
            metric.difference.value is metric.difference.interval is metric.gain.value is metric.gain.interval is None
        )
        assert metric.chosen.value == metric.baseline.value == metric.oracle.value


def test_one_speaker_has_no_intervals_and_no_speaker_means_each_request_for_itself() -> None:
    one = summarise(make_results(speakers=1))
    assert one.clusters == 1
    assert all(metric.chosen.interval is None and metric.is_settled is None for metric in one.metrics)
    none = summarise(make_results(speakers=0))
    assert (none.clusters, none.cluster_unit) == (12, "request")
    assert none.metrics[0].chosen.interval is not None
    mixed = summarise(with_request(make_results(), 0, speaker=""))
    assert (mixed.clusters, mixed.cluster_unit) == (5, "speaker or request")


def test_seed_decides_intervals_and_nothing_else() -> None:
    results = make_results(speakers=0)
    first, again, other = (summarise(results, seed).as_json() for seed in (0, 0, 1))
    assert first == again != other
    assert first["best_at_k"] == other["best_at_k"]


def test_share_of_lost_utterances_is_for_error_rates_alone() -> None:
    wer, similarity, _ = summarise(make_results()).metrics
    assert similarity.above_half is similarity.baseline_above_half is None
    assert wer.above_half == pytest.approx(1 / 12)
    assert wer.baseline_above_half is not None
    assert wer.baseline_above_half >= 5 / 48


def test_groups_are_the_run_on_their_own_requests() -> None:
    results = make_results(speakers=0)
    summary = summarise(results)
    assert [group.group for group in summary.groups] == ["plain", "numbers", "names"]
    for group in summary.groups:
        alone = replace(results, requests=tuple(r for r in results.requests if r.group == group.group))
        expected = summarise(alone).metrics
        assert group.requests == 4
        assert [metric.judged for metric in group.metrics] == [HELD_OUT, SELECTING]
        assert [m.chosen.value for m in group.metrics] == [expected[0].chosen.value, expected[2].chosen.value]
        assert [m.gain.value for m in group.metrics] == [expected[0].gain.value, expected[2].gain.value]
    assert summarise(make_results(groups=())).groups == ()


def test_cost_adds_up() -> None:
    results = make_results()
    cost = summarise(results).cost
    assert cost.total.generator_seconds == pytest.approx(48 * 0.05)
    assert cost.delivered_seconds == pytest.approx(12 * 0.4)
    assert sum(cost.judging_seconds.values()) == pytest.approx(cost.total.verifier_seconds)
    assert cost.total.flops is None


def test_json_has_exactly_what_was_agreed() -> None:
    document = summarise(make_results(), report_path="runs/demo/report/report.html").as_json()
    assert list(document) == [
        "run", "suite", "n_expected", "n_scored", "failures", "n", "limits", "metrics", "best_at_k", "cost", "report",
    ]  # fmt: skip
    assert (document["n_expected"], document["n_scored"], document["n"]) == (12, 11, 4)
    silent = {"candidates": 4, "chosen": 1, "example": "asr:tiny.en: Nothing in the clip is above -60 dBFS."}
    assert document["failures"]["silent"] == silent
    assert document["report"] == "runs/demo/report/report.html"
    metrics = document["metrics"]
    assert isinstance(metrics, dict)
    entry = metrics["asr:tiny.en/wer"]
    assert {"value", "ci", "n", "n_expected", "protocol", "judge", "selected_on"} < set(entry)
    assert entry["selected_on"] is False
    assert metrics["asr:base/wer"]["selected_on"] is True
    low, high = entry["ci"]
    assert low <= entry["value"] <= high
    curves = document["best_at_k"]
    assert isinstance(curves, dict)
    assert list(curves["asr:tiny.en/wer"]) == ["1", "2", "3", "4"]
    assert curves["asr:tiny.en/wer"]["4"] == entry["value"]
    assert json.loads(json.dumps(document, allow_nan=False)) == document


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_number_that_is_none_is_a_failure_and_never_reaches_json(bad: float) -> None:
    results = make_results(requests=3)
    request = results.requests[0]
    column = request.chosen.index
    scores = dict(request.chosen.scores)
    scores["speaker:ge2e"] = replace(scores["speaker:ge2e"], value=bad, values={"similarity": bad})
    summary = summarise(with_candidate(results, 0, column, scores=scores))
    json.dumps(summary.as_json(), allow_nan=False)
    assert summary.coverage.failures["not-a-number"] == 1
    assert summary.metrics[1].chosen.n == 1  # the other two: silent, and this one


def test_an_undefined_worst_is_null_in_json() -> None:
    endless = Metric(name="log_prob", higher_is_better=True, worst=float("-inf"), unit="log-prob")
    judged = replace(SIMILARITY, key="lm/log_prob", verifier_key="lm", metric=endless)
    summary = summarise(make_results(metrics=(judged,)))
    document = json.loads(json.dumps(summary.as_json(), allow_nan=False))
    assert document["metrics"]["lm/log_prob"]["value"] is None
    assert document["metrics"]["lm/log_prob"]["ci"] is None
    assert summary.coverage.failures["not-judged"] == 12 * 4 - 1


def test_pools_of_different_sizes_are_refused_by_name() -> None:
    results = make_results()
    short = with_request(results, 3, candidates=results.requests[3].candidates[:2])
    with pytest.raises(DataError, match=r"'sentence-003'.*has 2 candidates.*4"):
        summarise(short)


def test_a_run_without_requests_is_refused() -> None:
    with pytest.raises(DataError, match="no requests"):
        summarise(replace(make_results(), requests=()))
