"""Who is ranked with whom, by what, and what is said of those who are not."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from results_factory import METRICS, make_results
from typer.testing import CliRunner

from reports.leaderboard import Leaderboard, groups_of, names_of, read_leaderboard
from reports.leaderboard_page import FILES, render_leaderboard, write_leaderboard
from reports.leaderboard_tables import leaderboard_csv, leaderboard_latex, leaderboard_markdown, leaderboard_tables
from reports.results import CandidateResult, JudgedMetric, RunResults
from reports.run_line import RunLine, line_of
from tts_eval.cli.app import app
from tts_eval.types import Failure, FailureKind

HOSTILE = '<script>alert(1)</script>"><img src=x onerror=alert(2)> \u202eabc \\input{x} | `a`'
HELD_OUT = "whisper-tiny.en 1a5afae06a4d"


def run(name: str, n: int = 4, **changes: Any) -> RunResults:
    """A made-up run of the same requests; those of another n chose among other candidates."""
    return replace(make_results(n=n, requests=24, speakers=0), name=name, **changes)


def lines(*runs: RunResults) -> list[RunLine]:
    return [line_of(one) for one in runs]


def changed(results: RunResults, change: Callable[[CandidateResult], CandidateResult]) -> RunResults:
    return replace(
        results,
        requests=tuple(replace(r, candidates=tuple(map(change, r.candidates))) for r in results.requests),
    )


def with_judges(results: RunResults, change: Callable[[JudgedMetric], JudgedMetric]) -> RunResults:
    return replace(results, metrics=tuple(map(change, results.metrics)))


def worse_run(results: RunResults, name: str) -> RunResults:
    """The same run with every clip heard half wrong."""

    def change(candidate: CandidateResult) -> CandidateResult:
        scores = {
            key: replace(score, values={**score.values, "wer": 0.5, "errors": score.values["words"] / 2})
            if score.failure is None and "wer" in score.values else score
            for key, score in candidate.scores.items()
        }  # fmt: skip
        return replace(candidate, scores=scores)

    return replace(changed(results, change), name=name)


def board(*runs: RunResults) -> Leaderboard:
    return Leaderboard(groups=groups_of(lines(*runs)))


def test_the_best_by_the_held_out_judge_is_first_and_differences_are_to_it() -> None:
    good = run("good")
    (group,) = board(worse_run(good, "bad"), good).groups
    assert [(row.place, row.line.name, row.standing) for row in group.rows] == [
        (1, "good", "first"), (2, "bad", "worse"),
    ]  # fmt: skip
    assert group.ranked_by is not None and group.ranked_by.identity.judge == HELD_OUT
    first, second = (row.values[group.ranked_by.identity].estimate.value for row in group.rows)
    change = group.rows[1].to_first
    assert change is not None and change.value == pytest.approx(second - first)
    assert group.rows[0].to_first is None


def test_differences_are_paired() -> None:
    """A run against itself differs by exactly nothing, whatever its own interval is."""
    (group,) = board(run("a"), run("b")).groups
    assert group.rows[1].to_first.interval == (0.0, 0.0)
    assert group.rows[1].standing == "not told apart"
    assert np.diff(group.rows[1].values[group.ranked_by.identity].estimate.interval) > 0


def test_equal_runs_share_a_place() -> None:
    good = run("a")
    (group,) = board(good, worse_run(good, "c"), worse_run(good, "d"), run("b"), worse_run(run("x", 2), "e")).groups
    assert [row.place for row in group.rows] == [1, 1, 3, 3, 3]


def test_the_order_of_requests_does_not_matter() -> None:
    one = run("a")
    (group,) = board(one, replace(one, name="b", requests=one.requests[::-1])).groups
    assert group.rows[1].to_first.interval == (0.0, 0.0)


def test_few_draws_settle_nothing() -> None:
    few = replace(make_results(requests=8, speakers=2), name="few")
    (group,) = board(few, worse_run(few, "bad")).groups
    assert group.rows[1].standing == "too few"


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (run("b", suite="other@1"), "Another suite, other@1"),
        (run("b", suite="demo-sentences@1, first 4 of 24 requests", requests=run("").requests[:4]), "4 here (first 4"),
        (
            run("b", requests=(replace(run("").requests[0], text="Other words."), *run("").requests[1:])),
            "Other requests",
        ),
        (with_judges(run("b"), lambda one: replace(one, judge=f"{one.judge}x")), "Other judges"),
        (
            with_judges(run("b"), lambda one: replace(one, metric=replace(one.metric, protocol="new@2"))),
            "Other judges or protocols",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_compared_is_not_ranked_together(other: RunResults, reason: str) -> None:
    groups = board(run("a"), other).groups
    assert [[row.line.name for row in group.rows] for group in groups] == [["a"], ["b"]]
    assert groups[0].reason == "" and reason in groups[1].reason
    assert [group.rows[0].place for group in groups] == [1, 1]


def test_a_judge_that_chose_ranks_nobody() -> None:
    """With judges that swap roles the one that is held out everywhere ranks; without such a one they part."""
    swapped = with_judges(run("b"), lambda one: replace(one, selected_on=one.verifier_key == "asr:tiny.en"))
    (group,) = board(run("a"), swapped).groups
    assert group.ranked_by.identity.metric == "similarity"
    text = leaderboard_markdown(Leaderboard(groups=(group,)))
    assert text.count("selected on") >= 2
    apart = board(replace(run("a"), metrics=METRICS[:1]), replace(swapped, metrics=swapped.metrics[:1])).groups
    assert [group.rows[0].standing for group in apart] == ["first", "not ranked"]
    assert "flatters" in apart[1].rows[0].note


def test_a_run_that_is_still_going_is_shown_and_not_ranked() -> None:
    missing = Failure(FailureKind.NOT_MADE, "Not generated yet.")
    half = changed(
        run("half"),
        lambda c: replace(c, failure=missing, audio=None, scores={}) if c.index > 1 else c,
    )  # fmt: skip
    unheard = changed(
        run("unheard"), lambda c: replace(c, scores={k: s for k, s in c.scores.items() if k != "asr:base"})
    )
    (group,) = board(half, unheard, run("whole")).groups
    assert [(row.place, row.line.name) for row in group.rows] == [(1, "whole"), (None, "half"), (None, "unheard")]
    assert group.rows[1].note == "48 of 96 candidates are missing"
    made = sum(c.audio is not None for r in run("").requests for c in r.candidates)
    assert group.rows[2].note == f"{made} scores are missing"


def test_what_is_not_judged_yet_has_no_number() -> None:
    """The worst value would look like one."""
    begun = changed(run("begun"), lambda c: replace(c, scores={}))
    (entry,) = leaderboard_tables(board(begun))
    assert [cell.text for cell in entry.table.rows[0][2:5]] == ["n/a"] * 3


def test_a_run_that_does_not_say_which_part_it_was_is_known_by_its_requests() -> None:
    """As runs of older versions."""
    (group,) = board(run("old", suite="demo-sentences@1"), run("new", suite="demo-sentences@1, first 24")).groups
    assert group.suite == "demo-sentences@1, first 24" and len(group.rows) == 2


def test_what_a_cascade_spared_is_not_missing() -> None:
    spared = changed(run("a"), lambda c: replace(c, scores={}, spared=tuple(m.verifier_key for m in METRICS)))
    assert line_of(spared).is_finished


def test_cost_is_of_one_request_and_without_judges_that_only_report() -> None:
    line = line_of(replace(run("a"), run={"config": {"verifier": "asr:base"}}))
    candidates = [c for r in run("a").requests for c in r.candidates]
    assert line.generator_seconds == pytest.approx(0.05 * 4)
    assert line.choosing_seconds == pytest.approx(sum(c.scores["asr:base"].seconds for c in candidates) / 24)


def test_tokens_are_a_column_where_somebody_counts_them() -> None:
    counted = changed(run("a"), lambda c: replace(c, cost=replace(c.cost, tokens=40)))
    (entry,) = leaderboard_tables(board(counted, run("b")))
    assert entry.table.columns[-1].title == "Tokens"
    assert {row[1].text: row[-1].text for row in entry.table.rows} == {"a": "160", "b": "n/a"}
    assert {keys[-1] for keys in entry.keys} == {160.0, None}
    (entry,) = leaderboard_tables(board(run("a")))
    assert entry.table.columns[-1].title == "Choice, s"


def test_every_format_has_the_same_numbers() -> None:
    one = board(run("a"), worse_run(run("a"), "b"))
    (entry,) = leaderboard_tables(one)
    rows = list(csv.DictReader(io.StringIO(leaderboard_csv(one))))
    assert len(rows) == 2 * 3
    ranking = [row for row in rows if row["ranking"] == "1"]
    assert [(row["place"], row["run"], row["to_first"] == "") for row in ranking] == [
        ("1", "a", True),
        ("2", "b", False),
    ]
    value = f"{100 * float(ranking[1]['value']):.2f} %"
    assert value in leaderboard_markdown(one)
    assert value.replace("%", r"\%") in leaderboard_latex(one)
    assert value.replace(" ", "\N{NO-BREAK SPACE}") in render_leaderboard(one)
    assert entry.keys[1][0] == 2.0 and entry.keys[1][2] == float(ranking[1]["value"])
    for words in (HELD_OUT, "whisper-norm@1", "paired"):
        assert all(
            words in text for text in (leaderboard_markdown(one), leaderboard_latex(one), render_leaderboard(one))
        )


def test_hostile_names_are_text_everywhere() -> None:
    one = Leaderboard(
        groups=groups_of(lines(run(HOSTILE, synthesizer=HOSTILE, suite=HOSTILE))), unreadable=((HOSTILE, HOSTILE),)
    )
    page, text, paper = render_leaderboard(one), leaderboard_markdown(one), leaderboard_latex(one)
    assert "<script>alert" not in page and "<img" not in page
    assert "<script" not in text and "<img" not in text
    assert "\\input{x}" not in paper and r"\textbackslash{}input\{x\}" in paper


def test_links_go_to_runs_by_name() -> None:
    page = render_leaderboard(board(run("a"), run("b")), {"a": "runs/a/"})
    assert page.count('<a href="runs/') == 1


def test_names_that_are_shared_are_whole_paths(tmp_path: Path) -> None:
    paths = [tmp_path / "x/run", tmp_path / "y/run", tmp_path / "z"]
    assert names_of(paths) == {paths[0]: str(paths[0]), paths[1]: str(paths[1]), paths[2]: "z"}


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    (damaged / "run.json").write_text("{")
    one = read_leaderboard([damaged, tmp_path / "nothing"])
    assert one.groups == ()
    assert [name for name, _ in one.unreadable] == ["damaged", "nothing"]
    assert "cannot be read" in one.unreadable[0][1] and "does not exist" in one.unreadable[1][1]
    assert "damaged" in render_leaderboard(one)
    write_leaderboard(one, tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == set(FILES)


def test_command_ranks_runs_and_leaves_them_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    cli = CliRunner()
    common = ["run", "--suite", "mini", "--limit", "3", "--synth", "fake", "--verifier", "fake", "--judge", "fake:2"]
    for name, n in (("a", "1"), ("b", "2")):
        assert cli.invoke(app, [*common, "--n", n, "--out", name]).exit_code == 0
    before = sorted(path for name in "ab" for path in (tmp_path / name).rglob("*"))
    done = cli.invoke(app, ["report", "a", "b", "nothing", "--json"])
    assert done.exit_code == 0, done.output
    record = json.loads(done.stdout.splitlines()[-1])
    assert {row["run"] for row in record["rows"]} == {"a", "b"} and list(record["unreadable"]) == ["nothing"]
    assert Path(record["report"]).is_file() and record["report"] == "runs/leaderboard/leaderboard.html"
    assert sorted(path for name in "ab" for path in (tmp_path / name).rglob("*")) == before
    assert cli.invoke(app, ["report", "a", "b", "--out", "board"]).exit_code == 0
    assert {path.name for path in Path("board").iterdir()} == set(FILES)
    assert cli.invoke(app, ["report", "a", "--out", "board"]).exit_code == 2


@pytest.mark.parametrize("option", [["--audio", "none"], ["--audio-dir", "clips"]])
@pytest.mark.parametrize("is_sweep", [False, True])
def test_where_clips_go_is_no_question_of_a_leaderboard_or_a_sweep(
    tmp_path: Path, option: list[str], is_sweep: bool
) -> None:
    (tmp_path / "sweep.json").write_text("{}")
    result = CliRunner().invoke(app, ["report", *([str(tmp_path)] if is_sweep else ["a", "b"]), *option])
    assert result.exit_code == 2
    assert "goes with one run" in " ".join(result.output.split())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--audio-dir", "."], "expected a name"), (["--audio-dir", "../clips"], "expected a name"),
        (["--audio-dir", "/clips"], "expected a name"), (["--audio-dir", "clips", "--audio", "none"], "one of them"),
        (["--audio", "loud"], "not one of"),
    ],
)  # fmt: skip
def test_clips_of_one_run_have_one_place_beside_its_page(tmp_path: Path, options: list[str], message: str) -> None:
    result = CliRunner().invoke(app, ["report", str(tmp_path), *options], env={"COLUMNS": "300"})
    assert result.exit_code == 2
    assert message in " ".join(result.output.split())
    assert not list(tmp_path.iterdir())
