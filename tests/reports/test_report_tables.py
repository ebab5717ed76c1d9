from __future__ import annotations

import io
from dataclasses import replace

import pytest
from results_factory import METRICS, make_results, section_of

from reports.cost_table import cost_table
from reports.formatting import difference_text, gain_text, interval_text, number, percent
from reports.markdown import render_markdown
from reports.results import SINGLE_SAMPLE, CandidateResult
from reports.statistics import Interval
from reports.summary import FEWEST_CLUSTERS, Summary, summarise
from reports.tables import (
    Table,
    coverage_table,
    curve_table,
    escape_markdown,
    groups_table,
    headline,
    metrics_table,
    shown_points,
    to_markdown,
    to_rich,
)
from tts_eval.types import Failure, FailureKind, Metric

RATE = Metric(name="wer", higher_is_better=False, worst=1.0, unit="error-rate")
SCORE = Metric(name="similarity", higher_is_better=True, worst=0.0)
SECONDS = Metric(name="latency", higher_is_better=False, worst=60.0, unit="seconds")


@pytest.fixture(scope="module")
def summary() -> Summary:
    return summarise(make_results(requests=40, n=8, speakers=0))


def texts(table: Table, column: str) -> list[str]:
    index = [entry.title for entry in table.columns].index(column)
    return [row[index].text for row in table.rows]


def test_names_in_captions_and_notes_are_no_markup() -> None:
    page = to_markdown(Table("A: a*b*; B: <b>", (), (), ("Left out: run|1: <script>", "[x](y)")))
    assert page.splitlines()[0] == r"## A: a\*b\*; B: &lt;b&gt;"
    assert page.splitlines()[-3:] == [r"Left out: run\|1: &lt;script&gt;", "", r"[x\](y)"]


def test_coverage_says_scored_of_expected_and_every_class_of_failure(summary: Summary) -> None:
    rows = {row[0].text: (row[1].text, row[2].text) for row in coverage_table(summary).rows}
    assert next(iter(rows)) == "Scored by every judge"
    assert rows["Scored by every judge"] == ("39 of 40", "311 of 320")
    assert rows["Failure: silent"] == ("1", "8")
    assert rows["Failure: synthesis"] == ("0", "1")
    details = {row[0].text: row[0].detail for row in coverage_table(summary).rows}
    assert details["Failure: synthesis"] == "ValueError: <b>no phonemes</b>"
    assert details["Scored by every judge"] == ""


def test_a_class_of_failure_is_explained_by_its_first_in_so_many_words() -> None:
    results = make_results(requests=3, speakers=0, n=2)
    first, second, third = results.requests
    long = Failure(FailureKind.SYNTHESIS, "status 3.\n" + "out of memory " * 40)
    heard = {key: replace(score, value=None, failure=Failure(FailureKind.VERIFIER, "no model"))
             for key, score in first.candidates[0].scores.items()}  # fmt: skip
    requests = (
        replace(first, candidates=(replace(first.candidates[0], scores=heard), *first.candidates[1:])),
        replace(second, candidates=tuple(replace(c, failure=long) for c in second.candidates)),
        replace(third, candidates=tuple(replace(c, failure=replace(long, message="later")) for c in third.candidates)),
    )
    rows = {row[0].text: row[0].detail for row in coverage_table(summarise(replace(results, requests=requests))).rows}
    said = rows["Failure: synthesis"]
    assert said.startswith("status 3. out of memory out") and said.endswith("…") and len(said) == 200
    assert rows["Failure: verifier"].split(": ")[-1] == "no model"
    assert any(rows["Failure: verifier"].startswith(judged.verifier_key) for judged in results.metrics)


def test_metrics_table_marks_roles_and_directions_in_words(summary: Summary) -> None:
    table = metrics_table(summary)
    assert texts(table, "Role") == ["HELD OUT", "HELD OUT", "selected on"]
    details = [row[0].detail for row in table.rows]
    assert details == [
        "asr:tiny.en\nlower is better", "speaker:ge2e\nhigher is better", "asr:base\nlower is better",
    ]  # fmt: skip
    assert texts(table, "Verdict") == ["better", "unsettled", "better"]
    assert texts(table, "Scored") == ["39/40"] * 3
    assert texts(table, "Over 50 %")[1] == "n/a"


def test_verdict_is_worse_when_the_search_hurt() -> None:
    results = make_results(requests=40, speakers=0)
    upside_down = tuple(
        replace(
            request,
            candidates=tuple(replace(c, rank=len(request.candidates) - 1 - c.rank) for c in request.candidates),
        )
        for request in results.requests
    )
    hurt = summarise(replace(results, requests=upside_down))
    assert texts(metrics_table(hurt), "Verdict")[2] == "worse"
    assert "worse than a single sample" in headline(hurt)


def test_undefined_prints_as_not_available_and_never_as_zero() -> None:
    lone = summarise(make_results(n=1, speakers=1))
    table = metrics_table(lone)
    assert "Difference" not in {column.title for column in table.columns}
    assert any("at least two" in note for note in table.notes)
    assert curve_table(lone) is None


def test_few_clusters_are_admitted(summary: Summary) -> None:
    assert any("too narrow" in note for note in metrics_table(summarise(make_results(speakers=4))).notes)
    assert not any("too narrow" in note for note in metrics_table(summary).notes)


def test_groups_table_has_a_row_per_group_and_headline_metric(summary: Summary) -> None:
    table = groups_table(summary)
    assert table is not None
    assert texts(table, "Group") == ["plain", "plain", "numbers", "numbers", "names", "names"]
    assert texts(table, "Role") == ["HELD OUT", "selected on"] * 3
    assert groups_table(summarise(make_results(groups=("only",)))) is None


def test_curve_table_shows_powers_of_two_and_n(summary: Summary) -> None:
    table = curve_table(summary)
    assert table is not None
    assert [column.title for column in table.columns[3:]] == ["k=1", "k=2", "k=4", "k=8"]
    assert texts(table, "k=8")[0] == texts(metrics_table(summary), "Best of 8")[0]
    assert shown_points(6) == [1, 2, 4, 6]
    assert shown_points(1) == [1]


def test_cost_is_per_second_of_delivered_audio(summary: Summary) -> None:
    rows = {row[0].text: row for row in cost_table(summary).rows}
    assert rows["Audio delivered"][1].text == "16.0 s"
    assert rows["Audio made"][2].text == f"{319 * 0.4 / 16:.2f}"
    assert rows["Model FLOPs"][1].text == "n/a"
    shares = [name for name in rows if name.startswith("of which")]
    assert shares == [
        "of which asr:tiny.en, HELD OUT",
        "of which speaker:ge2e, HELD OUT",
        "of which asr:base, selected on",
    ]


def test_headline_is_by_the_held_out_judge(summary: Summary) -> None:
    sentence = headline(summary)
    assert "held-out judge asr:tiny.en" in sentence
    assert "better than a single sample" in sentence
    only_selecting = headline(summarise(make_results(metrics=METRICS[2:])))
    assert "selecting judge asr:base" in only_selecting
    assert "nothing to compare" in headline(summarise(make_results(metrics=())))


def test_numbers_carry_their_units() -> None:
    assert number(0.0321, RATE) == "3.21 %"
    assert number(-0.5, SCORE) == "−0.500"
    assert number(1.5, SECONDS) == "1.50 s"
    assert number(None, RATE) == percent(None) == difference_text(None, RATE) == gain_text(None) == "n/a"
    assert difference_text(-0.0102, RATE) == "−1.02 pp"
    assert difference_text(0.2, SECONDS) == "+0.20 s"
    assert interval_text(Interval(-0.02, 0.01), RATE) == "[−2.00, +1.00]"
    assert interval_text(Interval(0.02, 0.1), RATE, signed=False) == "[2.00, 10.00]"
    assert interval_text(None, RATE) == "n/a"


def test_terminal_table_fits_in_80_columns_and_can_show_everything(summary: Summary) -> None:
    from rich.console import Console

    def shown(table: Table, *, essential: bool, width: int) -> str:
        stream = io.StringIO()
        Console(file=stream, width=width).print(to_rich(table, essential=essential))
        return stream.getvalue()

    narrow = shown(metrics_table(summary), essential=True, width=80)
    assert max(map(len, narrow.splitlines())) <= 80
    for text in ("HELD OUT", "−", "better", "39/40", "unsettled"):
        assert text in narrow
    assert "Oracle" not in narrow
    assert "Oracle of 8" in shown(metrics_table(summary), essential=False, width=200)


def test_markdown_tables_are_rectangular_and_complete(summary: Summary) -> None:
    section = section_of(make_results(n=4))
    document = render_markdown(summary, "best_at_k.png", section)
    assert "![" in document and "](best_at_k.png)" in document and "](promise.png)" in document
    assert "![" not in render_markdown(summary, None, section_of(make_results(n=1)))
    headings = [line for line in document.splitlines() if line.startswith("## ")]
    expected = ["## Coverage", "## Metrics", "## Scale", "## Per group", "## best@k curves", "## Does it transfer?"]
    assert headings[:6] == expected
    assert headings[-2:] == ["## best@k", "## Cost"]
    assert len(headings) == 8 + len(section.tables) + len(section.folded)
    for table in (metrics_table(summary), coverage_table(summary)):
        lines = [line for line in to_markdown(table).splitlines() if line.startswith("|")]
        assert len({line.count("|") for line in lines}) == 1
        assert all(cell.text in to_markdown(table) for row in table.rows for cell in row)


def test_markdown_shows_hostile_names_as_text() -> None:
    assert escape_markdown("a|b <script>*x*\n[y](z)") == r"a\|b &lt;script&gt;\*x\* [y\](z)"
    results = make_results(groups=("plain|<b>", "x"))
    assert r"plain\|&lt;b&gt;" in render_markdown(summarise(results), None, section_of(results))


def test_no_verdict_from_a_handful_of_draws() -> None:
    few = summarise(make_results(requests=40, speakers=FEWEST_CLUSTERS - 1))
    enough = summarise(make_results(requests=40, speakers=FEWEST_CLUSTERS))
    assert texts(metrics_table(few), "Verdict") == ["too few"] * 3
    assert "too few" not in texts(metrics_table(enough), "Verdict")
    assert "5 independent draws are too few to say how sure" in headline(few)


def test_headline_says_that_candidates_are_missing() -> None:
    results = make_results(requests=40, speakers=0)
    first = results.requests[0]
    gone = Failure(FailureKind.NOT_MADE, "Not generated yet.")
    lost = tuple(replace(candidate, failure=gone, scores={}) for candidate in first.candidates)
    unfinished = replace(results, requests=(replace(first, candidates=lost), *results.requests[1:]))
    assert headline(summarise(unfinished)).startswith("4 of 160 candidates are missing and count as worst. Best of 4")


def test_headline_of_a_run_in_which_nothing_could_be_judged() -> None:
    results = make_results(requests=3, n=2)
    gone = Failure(FailureKind.SILENT, "Nothing in it.")
    silent = tuple(
        replace(request, candidates=tuple(replace(c, failure=gone, scores={}) for c in request.candidates))
        for request in results.requests
    )
    sentence = headline(summarise(replace(results, requests=silent)))
    assert "None of the 6 candidates could be judged" in sentence
    assert "0.00 %" not in sentence


def test_a_judge_that_fails_everywhere_does_not_silence_the_others() -> None:
    results = make_results(requests=40, speakers=0)
    first = results.metrics[0].verifier_key
    mute = Failure(FailureKind.NO_REFERENCE, "No prompt.")

    def without(candidate: CandidateResult) -> CandidateResult:
        score = candidate.scores.get(first)
        scores = candidate.scores if score is None else candidate.scores | {first: replace(score, failure=mute)}
        return replace(candidate, scores=scores)

    requests = tuple(
        replace(request, candidates=tuple(map(without, request.candidates))) for request in results.requests
    )
    sentence = headline(summarise(replace(results, requests=requests)))
    assert results.metrics[1].verifier_key in sentence
    assert "nothing to compare" not in sentence


def test_the_choice_of_a_search_is_not_called_a_single_sample() -> None:
    lone = make_results(n=1)
    search, single = (summarise(replace(lone, strategy=name)) for name in ("beam, guided by speaker", SINGLE_SAMPLE))
    for summary, mine, other in ((search, "Search's choice", "Single sample"), (single, "Single sample", "Search's")):
        shown = render_markdown(summary, None, section_of(lone))
        assert mine in shown and other not in shown and "Best of 1" not in shown
        titles = [column.title for table in (metrics_table(summary), groups_table(summary)) for column in table.columns]  # type: ignore[union-attr]
        assert mine in titles and "Difference" not in titles
    assert "tts-eval compare" in headline(search)
    assert "with one candidate per request" in headline(single)


def test_names_of_judges_are_not_cut_in_the_terminal() -> None:
    from rich.console import Console

    judged = replace(METRICS[0], verifier_key="asr:/models/faster-whisper-large-v3:seed-tts@1")
    stream = io.StringIO()
    Console(file=stream, width=80).print(to_rich(metrics_table(summarise(make_results(metrics=(judged,))))))
    assert "…" not in stream.getvalue()
    assert "seed" in stream.getvalue()
