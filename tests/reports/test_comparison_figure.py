"""The differences of a comparison as a figure, and its data."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path

import pytest
from results_factory import make_results

from reports.comparison import Comparison, compare
from reports.comparison_figure import LONGEST_NAME, differences_csv, differences_figure
from reports.figure_style import FORMATS, STYLE, save_figure
from reports.results import RunResults


def run_of(name: str, seed: int) -> RunResults:
    made = make_results(requests=12, n=2, speakers=0, seed=seed)
    return replace(made, name=name, run={"suite": "demo@1", "config": {"synth": name}})


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    return compare([run_of("one", 1), run_of("two", 2), run_of("three" * 20, 3)], draws=200)


def test_data_are_every_difference_with_its_interval(comparison: Comparison) -> None:
    rows = list(csv.DictReader(io.StringIO(differences_csv(comparison))))
    assert len(rows) == 2 * 3
    found = [one for pairing in comparison.pairings for one in pairing.differences]
    assert [float(row["difference"]) for row in rows] == [one.estimate.value for one in found]
    assert [float(row["low"]) for row in rows] == [one.estimate.interval.low for one in found]
    assert [row["settled"] for row in rows] == [str(int(one.is_settled)) for one in found]
    assert {row["first"] for row in rows} == {"one"}
    assert {row["metric"] for row in rows if row["selected_in"]} == {"asr:base/wer"}


def test_sides_roles_and_the_better_half_are_named(
    comparison: Comparison, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(STYLE, "svg.fonttype", "none")
    save_figure(differences_figure(comparison), tmp_path / "a.svg")
    text = (tmp_path / "a.svg").read_text()
    for words in ("against one", "two", ("three" * 20)[: LONGEST_NAME - 1] + "…", "better", "percentage points",
                  "wer by asr:tiny.en (HELD OUT)", "wer by asr:base (selected on)"):  # fmt: skip
        assert words in text
    assert "three" * 20 not in text


@pytest.mark.parametrize("suffix", FORMATS)
def test_files_are_the_same_bytes_each_time(comparison: Comparison, suffix: str, tmp_path: Path) -> None:
    paths = [tmp_path / f"{name}.{suffix}" for name in "ab"]
    for path in paths:
        save_figure(differences_figure(comparison), path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
