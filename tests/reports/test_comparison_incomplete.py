"""What becomes of a comparison when one side lacks clips or numbers."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from comparison_factory import HELD_OUT, SELECTING, SIMILARITY, run_of, with_request, worsened

from reports.comparison import compare
from reports.comparison_page import as_json
from reports.comparison_tables import (
    coverage_table,
    headline,
    verdict,
)
from reports.results import JudgedMetric, RunResults
from tts_eval.types import Failure, FailureKind, FinishReason

FOLDERS = {"one": Path("a"), "two": Path("b")}


@pytest.fixture(scope="module")
def pair() -> tuple[RunResults, RunResults]:
    return run_of("one", seed=1), run_of("two", seed=2)


def test_requests_that_only_one_run_has_count_as_failures_of_the_other(pair: tuple[RunResults, RunResults]) -> None:
    short = replace(pair[1], requests=pair[1].requests[2:])
    comparison = compare([pair[0], short])
    assert comparison.aligned.missing == {"two": ("sentence-000", "sentence-001")}
    wer, similarity, _ = comparison.pairings[0].differences
    assert similarity.estimate.n_expected == 24 and similarity.estimate.n == 21
    kept = [request.chosen.value(SIMILARITY) for request in short.requests]
    assert similarity.after == pytest.approx(sum(kept) / 24)
    assert wer.after is not None and wer.before is not None
    assert comparison.unscored == {"one": ("sentence-023",), "two": ("sentence-000", "sentence-001", "sentence-023")}
    text = " ".join(cell.text for row in coverage_table(comparison).rows for cell in row)
    assert "sentence-000, sentence-001" in text
    assert headline(comparison).startswith("one has no number for 1 of 24 requests, which count as worst. two has")
    assert "3 of 24 requests, which count as worst (2 were not made or not heard: is the run finished?)." in headline(
        comparison
    )
    assert verdict(similarity).text == "incomplete" and similarity.is_settled is None
    assert "no verdict while 2 of 24 are not made or not heard" in headline(comparison)
    turned = compare([short, pair[0]])
    assert turned.aligned.missing == {"two": ("sentence-000", "sentence-001")}
    assert turned.pairings[0].differences[1].estimate.value == pytest.approx(-similarity.estimate.value)  # type: ignore[operator]


def test_a_pool_of_which_only_the_beginning_was_made_leaves_no_verdict(pair: tuple[RunResults, RunResults]) -> None:
    """The choice among four is compared with a choice among fewer until the run is finished."""
    worse = worsened(pair[0], "half", 0.05)
    later = max(worse.requests[0].candidates, key=lambda candidate: candidate.rank)
    waits = Failure(FailureKind.NOT_MADE, "Not generated yet.")
    candidates = tuple(
        replace(candidate, failure=waits, finish=FinishReason.FAILED, audio=None, scores={})
        if candidate is later
        else candidate
        for candidate in worse.requests[0].candidates
    )
    whole, half = (compare([pair[0], run]) for run in (worse, with_request(worse, 0, candidates=candidates)))
    assert [one.pairings[0].differences[1].not_there for one in (whole, half)] == [0, 1]
    changed = compare([pair[0], replace(pair[1], requests=pair[1].requests[2:])]).pairings[0].changes
    absent = {request.id for request in pair[1].requests[:2]}
    assert changed and not absent & {change.request.id for change in changed}
    assert verdict(whole.pairings[0].differences[1]).text == "B worse"
    assert verdict(half.pairings[0].differences[1]).text == "incomplete"


@pytest.mark.parametrize(
    ("judge", "is_chosen", "waiting"),
    [
        (HELD_OUT, True, [12, 0, 0]),  # of its own numbers alone
        (HELD_OUT, False, [0, 0, 0]),
        (SELECTING, False, [12, 12, 12]),  # who has not heard all of them has not chosen among all of them
    ],
)
def test_what_a_judge_has_not_heard_yet_leaves_no_verdict(
    pair: tuple[RunResults, RunResults], judge: JudgedMetric, is_chosen: bool, waiting: list[int]
) -> None:
    """As in a run that was stopped while it judged: all clips are made."""
    half = replace(pair[0], name="half")
    for row in range(3, 15):
        candidates = tuple(
            replace(one, scores={key: score for key, score in one.scores.items() if key != judge.verifier_key})
            if (one.rank == 0) is is_chosen
            else one
            for one in half.requests[row].candidates
        )
        half = with_request(half, row, candidates=candidates)
    comparison = compare([pair[0], half])
    (pairing,) = comparison.pairings
    assert [one.not_there for one in pairing.differences] == waiting
    assert [verdict(one).text == "incomplete" for one in pairing.differences] == [count > 0 for count in waiting]
    assert ("while 12 of 24 are not made or not heard" in headline(comparison)) is (waiting[0] > 0)
    assert len(pairing.changes) == 0


def test_the_judge_without_numbers_is_named_where_others_have_theirs(pair: tuple[RunResults, RunResults]) -> None:
    one, two = (replace(run, requests=run.requests[:-1]) for run in pair)  # the last one nobody could judge
    first = one.requests[0]
    deaf = replace(first.chosen.scores["speaker:ge2e"], value=None, values={}, failure=Failure(FailureKind.SHORT, "x"))
    candidates = tuple(
        replace(candidate, scores={**candidate.scores, "speaker:ge2e": deaf}) for candidate in first.candidates
    )
    said = headline(compare([with_request(one, 0, candidates=candidates), two]))
    assert said.startswith("one has no number by speaker:ge2e for 1 of 23 requests, which count as worst. two against")
    endless = replace(deaf, value=math.nan, values={"similarity": math.nan}, failure=None)
    candidates = tuple(
        replace(candidate, scores={**candidate.scores, "speaker:ge2e": endless}) for candidate in first.candidates
    )
    assert headline(compare([with_request(one, 0, candidates=candidates), two])) == said


def test_a_failure_without_a_finite_price_is_undefined_and_never_reaches_json(
    pair: tuple[RunResults, RunResults],
) -> None:
    metric = replace(SIMILARITY, metric=replace(SIMILARITY.metric, worst=-math.inf))
    one, two = (replace(run, metrics=(metric,)) for run in pair)
    candidates = tuple(replace(candidate, scores={}) for candidate in two.requests[0].candidates)
    comparison = compare([one, with_request(two, 0, candidates=candidates)])
    assert verdict(comparison.pairings[0].differences[0]).text == "incomplete"
    gone = Failure(FailureKind.MISSING, "No sentence-000.wav.")
    candidates = tuple(replace(candidate, failure=gone, audio=None) for candidate in candidates)
    comparison = compare([one, with_request(two, 0, candidates=candidates)])
    (change, *_) = json.loads(json.dumps(as_json(comparison, FOLDERS, "page"), allow_nan=False))["comparisons"][0][
        "most_changed"
    ]
    assert (change["request"], change["after"], change["difference"]) == ("sentence-000", None, None)
    assert change["before"] == one.requests[0].chosen.value(metric)


def test_a_file_that_a_scored_folder_lacks_is_a_failure_with_a_verdict(pair: tuple[RunResults, RunResults]) -> None:
    lacking = worsened(pair[0], "folder", 0.05)
    gone = Failure(FailureKind.MISSING, "No sentence-000.wav.")
    first = tuple(
        replace(candidate, failure=gone, finish=FinishReason.FAILED, audio=None, scores={})
        for candidate in lacking.requests[0].candidates
    )
    comparison = compare([pair[0], with_request(lacking, 0, candidates=first)])
    _, similarity, _ = comparison.pairings[0].differences
    assert similarity.not_there == 0 and verdict(similarity).text == "B worse"
    kept = [request.chosen.value(SIMILARITY) for request in lacking.requests[1:]]
    assert similarity.after == pytest.approx(sum(kept) / 24)
    assert "folder has no number for 2 of 24 requests, which count as worst. " in headline(comparison)
    assert "finished?" not in headline(comparison)
