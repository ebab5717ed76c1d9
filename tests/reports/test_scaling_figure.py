"""Metric over N and over cost: what is drawn, what is data, and which published rows stand beside it."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path

import pytest
from results_factory import make_results
from test_replication import TABLE as PUBLISHED

from reports.figure_style import FORMATS, STYLE, csv_text, new_figure, plain_ticks, save_figure, write_figure
from reports.page import write_report
from reports.replication import Published, PublishedRow
from reports.results import RunResults
from reports.scaling_figure import scaling_csv, scaling_figure, scaling_rows, scaling_svg
from reports.search_cost import CostOfK, cost_of_k, search_cost
from reports.summary import summarise

N = 4
TABLE = replace(
    PUBLISHED,
    rows=(
        PublishedRow(system="Human", source="A paper", values=("2.14", "0.7")),
        PublishedRow(system="Best", source="B paper", values=("0.99", "")),
        PublishedRow(system="Other", source="B paper", values=("3.5", "0.61")),
        PublishedRow(system="Unreported", source="B paper", values=("", "")),
    ),
)


def searched() -> RunResults:
    """The made-up run with the rule that its ranks stand for."""
    return replace(make_results(n=N), run={"config": {"verifier": "asr:base"}})


def data(results: RunResults, published: tuple[Published, ...] = ()) -> list[dict[str, str]]:
    rows = scaling_rows(summarise(results), published)
    return list(csv.DictReader(io.StringIO(scaling_csv(rows, cost_of_k(results)))))


def test_judges_of_one_metric_share_a_row_and_the_held_out_one_comes_first() -> None:
    rows = scaling_rows(summarise(searched()), ())
    assert [[metric.judged.key for metric in row.metrics] for row in rows] == [
        ["asr:tiny.en/wer", "asr:base/wer"], ["speaker:ge2e/similarity"],
    ]  # fmt: skip


def test_data_are_the_curves_and_the_cost_of_each_k() -> None:
    results = searched()
    summary = summarise(results)
    candidates = [candidate for request in results.requests for candidate in request.candidates]
    generator = sum(candidate.cost.generator_seconds for candidate in candidates) / len(candidates)
    choosing = sum(candidate.scores["asr:base"].seconds for candidate in candidates) / len(candidates)
    for metric in summary.metrics:
        mine = [row for row in data(results) if row["line"] == metric.judged.key]
        assert [int(row["k"]) for row in mine] == [1, 2, 3, 4]
        assert [float(row["value"]) for row in mine] == list(metric.curves.selected)
        wanted = [generator, *(k * (generator + choosing) for k in (2, 3, 4))]
        assert [float(row["seconds_a_request"]) for row in mine] == pytest.approx(wanted)
        assert {row["role"] for row in mine} == {"selected-on" if metric.judged.selected_on else "held-out"}
        assert {row["tokens_a_request"] for row in mine} == {""}


def test_judges_that_only_report_cost_the_search_nothing() -> None:
    results = searched()
    assert search_cost(results).verifier_seconds == pytest.approx(
        sum(c.scores["asr:base"].seconds for r in results.requests for c in r.candidates)
    )
    alone = replace(make_results(n=1), run={"config": {"verifier": "asr:base"}})
    assert search_cost(alone).verifier_seconds == pytest.approx(0.0)


def test_what_a_cascade_dropped_costs_only_the_stages_that_heard_it() -> None:
    results = replace(searched(), run={"config": {"verifier": "cascade(1 of speaker:ge2e, asr:base)"}})
    dropped = tuple(
        replace(
            request,
            candidates=tuple(replace(c, dropped_at=1 if c.rank else None) for c in request.candidates),
        )
        for request in results.requests
    )
    results = replace(results, requests=dropped)
    expected = sum(
        c.scores["speaker:ge2e"].seconds + (0.0 if c.rank else c.scores["asr:base"].seconds)
        for r in results.requests
        for c in r.candidates
    )
    assert search_cost(results).verifier_seconds == pytest.approx(expected)


def test_published_rows_stand_where_suite_protocol_and_judge_are_the_same() -> None:
    words, likeness = scaling_rows(summarise(searched()), (TABLE,))
    assert [(one.system, one.value) for one in words.references] == [
        ("Human", pytest.approx(0.0214)), ("Best", pytest.approx(0.0099)), ("Other", pytest.approx(0.035)),
    ]  # fmt: skip
    assert [one.system for one in words.named] == ["Human", "Best"]
    assert likeness.references == ()  # nobody says who judged there
    elsewhere = replace(TABLE, suite="demo-sentences@2")
    assert all(row.references == () for row in scaling_rows(summarise(searched()), (elsewhere,)))
    published = [row for row in data(searched(), (TABLE,)) if row["role"] == "published"]
    assert [row["line"] for row in published] == [
        "wer: Human (A paper)", "wer: Best (B paper)", "wer: Other (B paper)",
    ]  # fmt: skip


def test_the_best_published_system_is_the_highest_where_higher_is_better() -> None:
    column = replace(TABLE.metrics[1], judge="ge2e")
    table = replace(TABLE, metrics=(TABLE.metrics[0], column))
    _, likeness = scaling_rows(summarise(searched()), (table,))
    assert [one.system for one in likeness.named] == ["Human", "Other"]


def drawn_texts(path: Path) -> str:
    import matplotlib

    results = searched()
    before = STYLE["svg.fonttype"]
    try:
        STYLE["svg.fonttype"] = "none"
        save_figure(scaling_figure(scaling_rows(summarise(results), (TABLE,)), cost_of_k(results)), path)
    finally:
        STYLE["svg.fonttype"] = before
    assert matplotlib.rcParams["svg.fonttype"] == "path"
    return path.read_text()


def test_roles_axes_and_references_are_named_in_the_figure(tmp_path: Path) -> None:
    text = drawn_texts(tmp_path / "a.svg")
    for words in ("asr:tiny.en (HELD OUT)", "asr:base (selected on)", "candidates, k", "cost of a request", ">Human<",
                  ">Best<"):  # fmt: skip
        assert words in text
    assert "Other" not in text  # a tick without a name


@pytest.mark.parametrize("suffix", FORMATS)
def test_files_are_the_same_bytes_each_time(suffix: str, tmp_path: Path) -> None:
    results = searched()
    paths = [tmp_path / f"{name}.{suffix}" for name in "ab"]
    for path in paths:
        save_figure(scaling_figure(scaling_rows(summarise(results), ()), cost_of_k(results)), path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    if suffix == "pdf":
        assert b"/FontFile2" in paths[0].read_bytes() and b"/Type3" not in paths[0].read_bytes()


def test_a_free_synthesizer_can_be_drawn(tmp_path: Path) -> None:
    free = CostOfK(generator_seconds=0.0, choosing_seconds=0.0, tokens=0.0)
    save_figure(scaling_figure(scaling_rows(summarise(searched()), ()), free), tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 0


def test_the_page_shows_each_metric_over_cost_with_both_kinds_of_judges(tmp_path: Path) -> None:
    results = searched()
    rows = scaling_rows(summarise(results), ())
    panels = scaling_svg(rows, cost_of_k(results))
    assert len(panels) == len(rows)
    for words in ("asr:tiny.en (HELD OUT)", "asr:base (selected on)", "cost of a request"):
        assert words in panels[0]
    write_report(results, tmp_path)
    page = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    assert page.count("over seconds a request") == len(rows)


def test_one_candidate_scales_nothing(tmp_path: Path) -> None:
    results = make_results(tmp_path, requests=3, n=1)
    assert scaling_rows(summarise(results), ()) == []
    write_report(results, tmp_path)
    assert not list((tmp_path / "report").glob("scaling*"))
    assert 'id="scaling"' not in (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    with pytest.raises(ValueError, match="no scaling"):
        scaling_figure([], cost_of_k(results))


def test_a_figure_is_written_with_its_data(tmp_path: Path) -> None:
    figure = new_figure()
    figure.subplots().set_ylabel("likelihood, of which there is much to say")
    write_figure(tmp_path, "a", figure, "x\n1\n")
    assert (tmp_path / "a.csv").read_text() == "x\n1\n"
    starts = {path.name: path.read_bytes()[:5] for path in tmp_path.iterdir() if path.suffix != ".csv"}
    assert starts == {"a.pdf": b"%PDF-", "a.png": b"\x89PNG\r", "a.svg": b"<?xml"}
    (axes,) = figure.axes
    assert axes.get_tightbbox().x0 > 0  # the layout, found once, leaves room for what stands beside the axes


def test_undefined_cells_are_empty_and_ticks_are_plain() -> None:
    assert csv_text(["a", "b"], [[None, 0.0]]) == "a,b\n,0.0\n"
    assert plain_ticks(0.3, 3000.0)[2000.0] == "2,000" and plain_ticks(0.3, 3.0)[0.5] == "0.5"
    assert [label for tick, label in plain_ticks(360.0, 1493.0).items() if 290 < tick < 1870] == [
        "300", "500", "700", "1,000", "1,500",
    ]  # fmt: skip
