from __future__ import annotations

import csv
import io
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from pools_factory import WER, judged, make_pools
from results_factory import make_results, section_of
from rich.console import Console

from reports.figure_style import save_figure
from reports.hacking import hacking_of
from reports.html import render_html
from reports.results import RunResults
from reports.shelf import Shelf
from reports.summary import summarise
from reports.tables import Table, to_rich
from reports.transfer import transfer_of
from reports.transfer_figure import promise_csv, promise_figure, promise_svg
from reports.transfer_tables import (
    comparison_sentences,
    first_metric_pairs,
    gaps_table,
    transfer_csv,
    transfer_tables,
    variety_sentence,
    variety_table,
)


def planted(verifier: np.ndarray, judge: np.ndarray, **options: int) -> RunResults:
    return make_pools({judged("judge", WER): judge, judged("verifier", WER, selected_on=True): verifier}, **options)


def rates(requests: int = 60, n: int = 8, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0, 0.5, (requests, n))


@pytest.mark.parametrize(
    ("verifier", "judge", "words"),
    [
        (rates(), rates(), "no less than promised as far as this run can tell"),
        (rates() + rates(seed=1), rates(), "It helps, by less than promised."),
        (rates(), rates(seed=1), "not settled; at least part of the promise pleased only the judge that chose."),
        (rates(), 0.5 - rates(), "The choice made it worse: the search exploits its verifier."),
        (rates(4), rates(4), "4 independent draws are too few"),
    ],
)  # fmt: skip
def test_each_outcome_has_its_words(verifier: np.ndarray, judge: np.ndarray, words: str) -> None:
    (sentence,) = comparison_sentences(hacking_of(planted(verifier, judge)).comparisons)
    assert words in sentence


def test_a_sentence_gives_both_judges_numbers_and_the_gap() -> None:
    (comparison,) = hacking_of(planted(rates(), rates(seed=1))).comparisons
    (sentence,) = comparison_sentences([comparison])
    first, last = comparison.gaps[0], comparison.gaps[-1]
    for value in (first.promised, last.promised, first.arrived, last.arrived):
        assert f"{100 * value:.2f} %" in sentence  # type: ignore[operator]
    assert f"Gap between the two gains: {100 * last.gap:+.2f} pp [" in sentence  # type: ignore[operator]


def test_over_optimisation_is_told_with_the_n_that_was_better() -> None:
    """The verifier agrees with the judge, but for the candidates that please it most."""
    verifier = rates(200, 16)
    (sentence,) = comparison_sentences(
        hacking_of(planted(verifier, np.where(verifier < 0.04, 0.5, verifier))).comparisons
    )
    assert "largest at N = 4" in sentence and "at N = 16 it is −" in sentence
    (steady,) = comparison_sentences(hacking_of(planted(verifier, verifier)).comparisons)
    assert "largest" not in steady
    noise = hacking_of(planted(rates(200, 16), rates(200, 16, seed=1))).comparisons
    assert noise[0].peak.n < 16  # and yet nothing was ever settled
    assert "largest" not in comparison_sentences(noise)[0]


def test_tables_say_what_was_computed() -> None:
    results = planted(rates(), rates() + rates(seed=1))
    (pair,), (comparison,) = transfer_of(results).pairs, hacking_of(results).comparisons
    (table,) = transfer_tables(transfer_of(results), [pair])
    row, oracle = table.rows
    assert table.caption == "Gain in wer by judge, percentage points"
    assert (row[0].text, row[0].detail) == ("wer", "verifier")
    assert row[1].text == f"{pair.correlation.value:+.2f}"
    assert row[2].text == "60/60"
    assert row[5].text == f"{100 * pair.gain.value:+.2f}"  # type: ignore[operator]
    assert row[6].text == f"{100 * pair.gains[3].value:+.2f} to {100 * pair.gains[3].straight:+.2f}"  # type: ignore[operator]
    assert (row[-1].text, row[-1].tone) == ("helps", "better")
    assert oracle[0].text == "the judge itself"
    assert [column.title for column in table.columns[3:8]] == [
        "N = 2",
        "N = 4",
        "N = 8",
        "N = 16, ahead",
        "N = 32, ahead",
    ]
    assert [row[0].text for row in gaps_table(comparison).rows] == ["1", "2", "4", "8"]
    assert gaps_table(comparison).rows[-1][5].text == f"{100 * comparison.gaps[-1].gap:+.2f} pp".replace("-", "−")  # type: ignore[operator]


def test_undefined_is_no_number() -> None:
    results = planted(np.full((8, 4), 0.25), rates(8, 4))
    (table,) = transfer_tables(transfer_of(results), transfer_of(results).pairs)
    assert (table.rows[0][1].text, table.rows[0][2].text, table.rows[0][-1].text) == ("n/a", "0/8", "too few")
    variety = variety_table(hacking_of(results).diversity)
    assert {cell.text for row in variety.rows for cell in row[1:]} == {"n/a"}
    assert "cannot be said" in variety_sentence(hacking_of(results).diversity)


def test_terminal_table_fits_in_80_columns_and_shows_everything_in_more() -> None:
    def shown(table: Table, *, essential: bool, width: int) -> str:
        stream = io.StringIO()
        Console(file=stream, width=width).print(to_rich(table, essential=essential))
        return stream.getvalue()

    transfer = transfer_of(planted(rates(n=4), rates(n=4, seed=1)))
    (table,) = transfer_tables(transfer, transfer.pairs)
    narrow = shown(table, essential=True, width=80)
    assert max(map(len, narrow.splitlines())) <= 80
    assert "…" not in narrow and "verifier" in narrow and "unsettled" in narrow
    assert "N = 2" not in narrow and "N = 2" in shown(table, essential=False, width=160)


def test_terminal_shows_the_first_metric_of_each_judge() -> None:
    results = make_results(n=4)
    pairs = first_metric_pairs(transfer_of(results))
    assert {pair.judged.key for pair in pairs} == {"asr:tiny.en/wer", "speaker:ge2e/similarity"}


def test_files_have_the_numbers_of_the_figure_and_of_all_pairs() -> None:
    results = make_results(n=4, requests=30, speakers=0)
    hacking, transfer = hacking_of(results), transfer_of(results)
    rows = list(csv.DictReader(io.StringIO(promise_csv(hacking))))
    assert len(rows) == 2 * 3
    for row, gap in zip(rows[:3], hacking.comparisons[0].gaps, strict=True):
        assert (int(row["n"]), float(row["promised"]), float(row["arrived"])) == (gap.n, gap.promised, gap.arrived)
        assert float(row["gap"]) == gap.gap
        assert float(row["gap_low"]) <= float(row["gap"]) <= float(row["gap_high"])
    assert [row["unit"] for row in rows] == ["error-rate"] * 3 + ["deviations"] * 3
    pairs = list(csv.DictReader(io.StringIO(transfer_csv(transfer))))
    assert len(pairs) == sum(len(pair.gains) for pair in transfer.pairs)
    assert float(pairs[0]["tau_b"]) == transfer.pairs[0].correlation.value
    assert {row["beyond_the_pool"] for row in pairs} == {"True", "False"}


def test_figure_has_a_panel_for_each_held_out_judge(tmp_path: Path) -> None:
    hacking = hacking_of(make_results(n=4))
    panels = promise_svg(hacking)
    assert len(panels) == 2
    for panel in panels:
        assert ET.fromstring(panel).attrib["role"] == "img"
    for suffix in ("svg", "png", "pdf"):
        paths = [tmp_path / f"{name}.{suffix}" for name in ("a", "b")]
        for path in paths:
            save_figure(promise_figure(hacking), path)
        assert paths[0].read_bytes() == paths[1].read_bytes()
    with pytest.raises(ValueError, match="one candidate of each request"):
        promise_figure(hacking_of(make_results(n=1)))


def test_page_has_the_section_whatever_the_run(tmp_path: Path) -> None:
    def page(results: RunResults) -> str:
        return render_html(
            results, summarise(results), Shelf(tmp_path, "none", tmp_path), section_of(results), tmp_path
        )

    assert "Does it transfer?" in page(make_results(n=4, requests=8))
    assert "keeps only what it chose" in page(make_results(n=1, requests=3))
    attack = "<script>alert(1)</script>"
    hostile = make_pools({judged(attack, WER): rates(8, 2), judged(f"{attack}2", WER, selected_on=True): rates(8, 2)})
    assert attack not in page(hostile)
