from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.perf.selection_rules import find_judge, gain
from benchmarks.progress import Quiet
from benchmarks.rescore import add_judges
from benchmarks.runner import run
from benchmarks.suite import Suite, suites
from reports.calibration import calibrate, scales_of
from reports.cost_table import cost_table
from reports.coverage import coverage_of
from reports.frame import results_frame
from reports.pools import pool_of
from reports.read_run import read_run
from reports.run_line import line_of
from reports.summary import summarise
from reports.tables import coverage_table, curve_table
from search.best_of_n import BestOfN
from search.outcome import OutcomeVerifier
from search.rule_text import parse_rule
from search.selection import ranks
from search.strategy import Budget, SearchResult
from tts_eval.config import RunConfig
from tts_eval.errors import ConfigError
from tts_eval.scales import read_scales
from tts_eval.synthesizers.fake import FakeSynthesizer
from tts_eval.types import Failure, FailureKind, Item, Metric, Request, Sampling, Score
from verifiers.fake import FakeVerifier

METRICS = {name: (Metric(name="m", higher_is_better=True, worst=0.0),) for name in ("cheap", "costly")}
RULE = "cascade(2 of fake, fake:2)"
REQUESTS = [Request(id=f"r{i}", text="one two three") for i in range(3)]


class Counting(FakeVerifier):
    """Counts its calls; every clip takes a quarter of a second, or as said."""

    def __init__(self, noise: float = 0.0, seconds: float = 0.25) -> None:
        super().__init__(noise)
        self.calls: list[list[str]] = []
        self.seconds = seconds

    def score(self, items: Sequence[Item]) -> list[Score]:
        self.calls.append([f"{item.request.id}-{item.candidate.index}" for item in items])
        return [replace(score, seconds=self.seconds) for score in super().score(items)]


def search(rule: str, verifiers: dict[str, FakeVerifier], n: int = 5) -> list[SearchResult]:
    outcome = OutcomeVerifier(parse_rule(rule), verifiers)
    return list(BestOfN(sampling=Sampling()).search(REQUESTS, FakeSynthesizer(), outcome, Budget(candidates=n)))


def pool(*rows: tuple[float | None, float | None]) -> list[dict[str, Score]]:
    """(cheap, costly) values; None is a failure."""

    def score(value: float | None) -> Score:
        if value is None:
            return Score(verifier="v", judge="j", value=None, failure=Failure(FailureKind.VERIFIER, "raised"))
        return Score(verifier="v", judge="j", value=value, values={"m": value}, seconds=0.5)

    return [dict(zip(METRICS, map(score, row), strict=True)) for row in rows]


@given(st.lists(st.tuples(*[st.integers(0, 9)] * 2), min_size=1, max_size=9), st.integers(1, 9))
def test_survivors_rank_by_the_second_and_the_rest_behind_them_by_the_first(rows, keep):
    scores = parse_rule(f"cascade({keep} of cheap, costly)").selection_scores(pool(*rows), METRICS)
    by_first = sorted(range(len(rows)), key=lambda i: (-rows[i][0], i))
    survivors = sorted(by_first[:keep], key=lambda i: (-rows[i][1], i))
    expected = [*survivors, *by_first[keep:]]
    assert [ranks(scores)[position] for position in expected] == list(range(len(rows)))


@given(st.lists(st.tuples(*[st.integers(0, 9)] * 2), min_size=3, max_size=9))
def test_scores_that_it_would_not_have_asked_for_change_nothing(rows):
    rule = parse_rule("cascade(2 of cheap, rank(costly + cheap))")
    whole = pool(*rows)
    verdicts = rule.judge(whole, METRICS)
    heard = [
        {"cheap": scores["cheap"]} if verdict.dropped else scores
        for scores, verdict in zip(whole, verdicts, strict=True)
    ]
    assert rule.judge(heard, METRICS) == verdicts


def test_who_cannot_be_judged_ranks_last_and_takes_no_place():
    rows = pool((None, 9.0), (3.0, None), (2.0, 1.0), (1.0, 5.0))
    verdicts = parse_rule("cascade(2 of cheap, costly)").judge(rows, METRICS)
    assert ranks([verdict.score for verdict in verdicts]) == [2, 3, 0, 1]
    assert [(verdict.stage, verdict.dropped) for verdict in verdicts] == [
        (0, False), (1, False), (1, False), (0, True),
    ]  # fmt: skip


def test_the_costly_verifier_hears_the_survivors_of_all_requests_in_one_call():
    cheap, costly = Counting(), Counting(2.0, seconds=2.0)
    results = search(RULE, {"fake": cheap, "fake:2": costly})
    assert [len(call) for call in cheap.calls] == [15]
    (heard,) = costly.calls
    for result in results:
        items = [Item(request=result.request, candidate=candidate) for candidate in result.candidates]
        first = [score.value or 0.0 for score in FakeVerifier().score(items)]
        survivors = sorted(sorted(range(5), key=lambda i: (first[i], i))[:2])
        assert [name for name in heard if name.startswith(result.request.id)] == [
            f"{result.request.id}-{index}" for index in survivors
        ]
        second = FakeVerifier(2.0).score([items[index] for index in survivors])
        assert result.chosen.index == min(zip(second, survivors, strict=True), key=lambda x: (x[0].value, x[1]))[1]


def test_a_dropped_candidate_is_no_failure_and_says_what_it_was_spared():
    (result, *_) = search(RULE, {"fake": Counting(), "fake:2": Counting(2.0, seconds=2.0)})
    assert all(score.failure is None and score.value is not None for score in result.scores)
    dropped = [score for score in result.scores if score.details["stage"] == "1 of 2"]
    assert [(score.details["not asked"], score.spared_calls, score.spared_seconds) for score in dropped] == [
        ("fake:2", 1, 2.0)
    ] * 3
    assert (result.cost.spared_calls, result.cost.spared_seconds) == (3, 6.0)
    assert result.cost.verifier_seconds == 5 * 0.25 + 2 * 2.0


def test_a_verifier_of_both_stages_is_asked_once_and_nothing_else_is_spared():
    cheap = Counting()
    (result, *_) = search("cascade(2 of fake, rank(fake))", {"fake": cheap})
    assert [len(call) for call in cheap.calls] == [15]
    assert result.cost.spared_calls == 0


def test_without_a_cascade_nothing_is_spared():
    (result, *_) = search("fake + fake:2", {"fake": Counting(), "fake:2": Counting(2.0)})
    assert (result.cost.spared_calls, result.cost.spared_seconds) == (0, 0.0)
    assert all(score.details == {} for score in result.scores)


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("cascade")
    run(RunConfig(synth="fake", n=5, verifier=RULE, judge=("fake:3",), limit=4), folder)
    return folder


def test_a_report_ranks_the_stored_scores_as_the_search_did(finished: Path):
    results = read_run(finished)
    by_key = {metric.verifier_key: metric for metric in results.metrics}
    for request in results.requests:
        first = sorted(request.candidates, key=lambda c: (c.value(by_key["fake"]), c.index))
        second = sorted(first[:2], key=lambda c: (c.value(by_key["fake:2"]), c.index))
        assert [c.rank for c in (*second, *first[2:])] == [0, 1, 2, 3, 4]
        assert [(c.dropped_at, c.spared) for c in first] == [(None, ())] * 2 + [(1, ("fake:2",))] * 3
        assert all("fake:2" not in c.scores for c in first[2:])


def test_best_at_k_of_the_costly_metric_is_given_where_only_survivors_decide(finished: Path):
    """With ranks 2, 3, 4 unheard, the best of 4 and of 5 are always survivors; the best of fewer need not be."""
    results = read_run(finished)
    summary = summarise(results)
    costly = next(metric for metric in summary.metrics if metric.judged.verifier_key == "fake:2")
    assert [value is None for value in costly.curves.selected] == [True, True, True, False, False]
    ordered = [sorted(request.candidates, key=lambda c: c.rank) for request in results.requests]
    of_ranks = [np.mean([pool[rank].value(costly.judged) for pool in ordered]) for rank in (0, 1)]
    assert costly.curves.selected[4] == pytest.approx(of_ranks[0])
    assert costly.curves.selected[3] == pytest.approx(0.8 * of_ranks[0] + 0.2 * of_ranks[1])
    assert costly.chosen.value == pytest.approx(of_ranks[0])
    assert (costly.baseline.value, costly.difference.value, costly.oracle.value) == (None, None, None)
    held_out = next(metric for metric in summary.metrics if metric.judged.verifier_key == "fake:3")
    assert None not in held_out.curves.selected
    assert held_out.oracle.value is not None
    assert any("cascade dropped" in note for note in curve_table(summary).notes)


def test_a_report_counts_what_was_spared_and_calls_it_no_failure(finished: Path):
    results = read_run(finished)
    summary = summarise(results)
    assert summary.coverage.failures == {}
    assert summary.coverage.spared == {"fake:2": 12}
    assert "Dropped by the cascade before fake:2" in [row[0].text for row in coverage_table(summary).rows]
    assert summary.cost.total.spared_calls == 12
    heard = [c.scores["fake:2"].seconds for request in results.requests for c in request.candidates if not c.spared]
    assert 3 * 4 * min(heard) <= summary.cost.total.spared_seconds <= 3 * 4 * max(heard)
    assert "Clips it did not show to a verifier" in [row[0].text for row in cost_table(summary).rows]
    table = results_frame(results)
    assert table["fake:2#stray"].isna().sum() == (table["dropped_at"] == 1).sum() == 12
    assert set(table["fake:2#failure"]) == {""}


def test_what_an_early_stage_cannot_judge_is_worst_by_the_later_ones_and_not_waited_for(tmp_path: Path, monkeypatch):
    silent = Request(id="silent", text="one two three", metadata={"fake": "silent"})
    suite = Suite(name="one-silent@1", requests=(silent, *REQUESTS), judges=("fake:3",))
    monkeypatch.setitem(suites._objects, "mini", lambda **settings: suite)
    run(RunConfig(synth="fake", n=5, verifier=RULE), tmp_path)
    results = read_run(tmp_path)
    assert line_of(results).is_finished
    assert coverage_of(results).failures == {"silent": 5}
    costly = next(metric for metric in results.metrics if metric.verifier_key == "fake:2")
    assert [pool_of(results, costly).sums.numerators[0].tolist()] == [[1.0] * 5]
    assert results.requests[0].chosen.scores["fake:2"].judge == costly.judge
    part = next((tmp_path / "scores").glob("*.parquet"))  # a run that was stopped before anybody heard a clip
    part.unlink()
    assert not line_of(read_run(tmp_path)).is_finished


def test_a_judge_that_is_also_a_late_stage_hears_everything(tmp_path: Path):
    class Counter(Quiet):
        def __init__(self) -> None:
            self.totals: dict[str, int] = {}
            self.done: dict[str, int] = {}

        def start(self, phase: str, total: int) -> None:
            self.totals[phase] = total

        def advance(self, phase: str, amount: int) -> None:
            self.done[phase] = self.done.get(phase, 0) + amount

    counter = Counter()
    run(RunConfig(synth="fake", n=5, verifier=RULE, judge=("fake:2",), limit=4), tmp_path, counter)
    assert counter.done == counter.totals
    assert counter.totals["select fake:2"] == 8
    results = read_run(tmp_path)
    assert all("fake:2" in c.scores and not c.spared for request in results.requests for c in request.candidates)
    assert any(c.dropped_at for request in results.requests for c in request.candidates)


def test_rules_are_not_compared_on_scores_that_a_cascade_left_out(finished: Path, tmp_path: Path):
    results = read_run(finished)
    held_out = find_judge(results, "fake:3#stray")
    gain(results, RULE, held_out, seed=0)  # it asks for no more than there is
    with pytest.raises(ConfigError, match=r"tts-eval score RUN --judge fake:2"):
        gain(results, "fake:2", held_out, seed=0)
    with pytest.raises(ConfigError, match="cannot compare rules"):
        gain(results, "fake", find_judge(results, "fake:2#stray"), seed=0)


def test_scales_are_measured_over_all_candidates_and_not_over_survivors(finished: Path, tmp_path: Path):
    results = read_run(finished)
    path = tmp_path / "scales.json"
    scales = calibrate(finished, path)
    assert read_scales(path) == scales == scales_of(results)
    assert set(scales) == {"fake#stray", "fake:3#stray"}
    metric = find_judge(results, "fake:3#stray")
    values = [c.value(metric) for request in results.requests for c in request.candidates]
    scale = scales["fake:3#stray"]
    assert (scale.mean, scale.deviation) == (pytest.approx(np.mean(values)), pytest.approx(np.std(values)))
    assert (scale.judge, scale.protocol, scale.n) == ("zero-crossings:3", "fake@1", 20)


def test_a_run_keeps_the_scales_that_it_ranked_by(finished: Path, tmp_path: Path):
    path = tmp_path / "scales.json"
    scales = calibrate(finished, path)
    rule = f"z(fake + fake:3, {path})"
    config = RunConfig(synth="fake", n=3, verifier=rule, judge=("fake:2",), limit=2)
    run(config, tmp_path / "run")
    path.unlink()
    results = read_run(tmp_path / "run")
    for request in results.requests:
        for candidate in request.candidates:
            expected = -sum(
                (candidate.scores[spec].value - scales[f"{spec}#stray"].mean) / scales[f"{spec}#stray"].deviation
                for spec in ("fake", "fake:3")
            )
            assert candidate.selection_score == pytest.approx(expected)


def test_scales_of_another_judge_are_refused_before_anything_is_made(finished: Path, tmp_path: Path):
    path = tmp_path / "scales.json"
    calibrate(finished, path)
    path.write_text(path.read_text().replace("zero-crossings:3", "zero-crossings:4"))
    config = RunConfig(synth="fake", n=3, verifier=f"z(fake + fake:3, {path})", judge=("fake:2",), limit=2)
    with pytest.raises(ConfigError, match=r"judge 'zero-crossings:4', but it is 'zero-crossings:3' now"):
        run(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_judge_added_later_ends_what_was_spared(tmp_path: Path):
    run(RunConfig(synth="fake", n=5, verifier=RULE, judge=("fake:3",), limit=2), tmp_path)
    before = [[c.rank for c in request.candidates] for request in read_run(tmp_path).requests]
    add_judges(tmp_path, ["fake:2"])
    results = read_run(tmp_path)
    assert [[c.rank for c in request.candidates] for request in results.requests] == before
    assert summarise(results).coverage.spared == {}
