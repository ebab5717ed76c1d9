from __future__ import annotations

import csv
import io
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from results_factory import METRICS, make_results

from reports.figure_style import save_figure
from reports.figures import _limits, best_at_k_figure, curve_csv, ordered_metrics, panels_svg
from reports.summary import Summary, summarise


@pytest.fixture(scope="module")
def summary() -> Summary:
    return summarise(make_results(n=6))


def test_csv_is_the_data_of_the_figure(summary: Summary) -> None:
    rows = list(csv.DictReader(io.StringIO(curve_csv(summary))))
    assert len(rows) == 3 * 6
    for metric in summary.metrics:
        mine = [row for row in rows if row["metric"] == metric.judged.key]
        assert [float(row["selected"]) for row in mine] == list(metric.curves.selected)
        assert [float(row["oracle"]) for row in mine] == list(metric.curves.oracle)
        assert {row["role"] for row in mine} == {"selected-on" if metric.judged.selected_on else "held-out"}
        assert all(float(row["low"]) <= float(row["selected"]) <= float(row["high"]) for row in mine)


def test_csv_leaves_undefined_cells_empty() -> None:
    rows = list(csv.DictReader(io.StringIO(curve_csv(summarise(make_results(speakers=1))))))
    assert {row["low"] for row in rows} == {""}


def test_judges_of_one_metric_stand_side_by_side_and_share_their_range(summary: Summary) -> None:
    ordered = ordered_metrics(summary)
    assert [metric.judged.key for metric in ordered] == [
        "asr:tiny.en/wer", "asr:base/wer", "speaker:ge2e/similarity",
    ]  # fmt: skip
    wer, other_wer, similarity = (_limits(metric, ordered) for metric in ordered)
    assert wer == other_wer != similarity
    assert wer[0] == 0
    highest = max(interval.high for m in ordered[:2] for interval in m.curves.intervals if interval)
    assert wer[1] > 100 * highest


def test_panels_can_stand_together_in_a_page(summary: Summary) -> None:
    panels = panels_svg(summary)
    assert len(panels) == 3
    ids: list[str] = []
    for panel in panels:
        root = ET.fromstring(panel)
        assert root.tag.endswith("svg") and root.attrib["role"] == "img"
        ids += [element.attrib["id"] for element in root.iter() if "id" in element.attrib]
        assert "<style" not in panel and "<metadata" not in panel
        for name in ("ink", "rule", "selected", "oracle", "random"):
            assert f"var(--{name}, #" in panel
    assert len(ids) == len(set(ids)) > 0
    assert "HELD OUT" in panels[0] and "selected on" in panels[1]


@pytest.mark.parametrize("suffix", ["svg", "png", "pdf"])
def test_files_are_the_same_bytes_each_time(summary: Summary, suffix: str, tmp_path: Path) -> None:
    first, second = tmp_path / f"a.{suffix}", tmp_path / f"b.{suffix}"
    save_figure(best_at_k_figure(summary), first)
    save_figure(best_at_k_figure(summary), second)
    assert first.read_bytes() == second.read_bytes()


def test_pdf_embeds_its_fonts(summary: Summary, tmp_path: Path) -> None:
    save_figure(best_at_k_figure(summary), tmp_path / "a.pdf")
    content = (tmp_path / "a.pdf").read_bytes()
    assert b"/FontFile2" in content  # TrueType, which fonttype 42 means
    assert b"/Type3" not in content


def test_no_metrics_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="score it"):
        best_at_k_figure(summarise(make_results(metrics=())))


@pytest.mark.parametrize("count", [1, 2, 4, 5])
def test_any_number_of_panels_can_be_drawn(count: int, tmp_path: Path) -> None:
    summary = summarise(make_results(requests=3, n=2, metrics=(METRICS * 2)[:count]))
    save_figure(best_at_k_figure(summary), tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 0


def test_drawing_leaves_global_state_alone(summary: Summary, tmp_path: Path) -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    save_figure(best_at_k_figure(summary), tmp_path / "a.svg")
    panels_svg(summary)
    assert dict(matplotlib.rcParams) == before
