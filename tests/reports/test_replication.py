"""A number of ours stands beside a published one only where it was measured the same way."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from results_factory import METRICS, make_results

from reports.replication import Published, PublishedMetric, PublishedRow, load_published, replication_page
from reports.summary import Summary, summarise
from tts_eval.cli import replicate

TABLE = Published(
    title="A benchmark",
    suite="demo-sentences@1",
    n="1234",
    protocol="As it was.",
    metrics=(
        PublishedMetric(title="WER %", metric="wer", protocol="whisper-norm@1", judge="^whisper-tiny"),
        PublishedMetric(title="SIM", metric="similarity", protocol="ge2e@1", judge=""),
    ),
    rows=(
        PublishedRow(system="Their system", source="Their paper", values=("1.40", "")),
        PublishedRow(system="Another", source="Their paper", values=("2.5", "0.61")),
    ),
)


@pytest.fixture(scope="module")
def summary() -> Summary:
    return summarise(make_results())


def section(page: str, title: str) -> list[list[str]]:
    """The cells of the table below a heading, without its header."""
    after = page.partition(f"## {title}\n")[2].partition("\n## ")[0]
    lines = [line for line in after.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_published_rows_are_as_printed_and_empty_cells_are_empty(summary: Summary) -> None:
    rows = section(replication_page([TABLE], []), "A benchmark")
    assert rows == [
        ["Their system", "Their paper", "1.40", "", "1234"],
        ["Another", "Their paper", "2.5", "0.61", "1234"],
    ]
    assert "Measured here" not in replication_page([TABLE], [])


def test_ours_stands_beside_them_with_interval_and_n(summary: Summary) -> None:
    page = replication_page([TABLE], [summary])
    ours = section(page, "A benchmark")[2:]
    assert [row[0].partition("<br>")[0] for row in ours] == [
        "**demo-run: One sample**", "**demo-run: Random of 4**", "**demo-run: Chosen of 4**",
        "**demo-run: Oracle of 4**",
    ]  # fmt: skip
    (metric,) = [one for one in summary.metrics if one.judged.verifier_key == "asr:tiny.en"]
    chosen = ours[2]
    low, high = metric.chosen.interval.low, metric.chosen.interval.high
    assert chosen[1:] == [
        "here", f"{100 * metric.chosen.value:.2f} %<br>[{100 * low:.2f}, {100 * high:.2f}]", "", "11/12",
    ]  # fmt: skip


def test_what_was_measured_in_another_way_has_a_table_of_its_own_per_run(summary: Summary) -> None:
    page = replication_page([TABLE], [summary])
    rows = section(page, "Measured here in other ways: demo-run")
    assert {row[0].rpartition("<br>")[2] for row in rows} == {"ge2e 39373b86598f", "whisper-base d01c3014881c"}
    header = next(line for line in page.partition("other ways: demo-run")[2].splitlines() if line.startswith("|"))
    assert [cell.strip() for cell in header.strip("|").split("|")] == [
        "Metric", "One sample", "Random of 4", "Chosen of 4", "Oracle of 4", "n",
    ]  # fmt: skip
    (chosen_by,) = [row for row in rows if "whisper-base" in row[0]]
    (metric,) = [one for one in summary.metrics if one.judged.judge.startswith("whisper-base")]
    assert chosen_by[3].startswith(f"{100 * metric.chosen.value:.2f} %") and chosen_by[3].endswith("selected on")
    assert chosen_by[2].startswith(f"{100 * metric.baseline.value:.2f} %") and chosen_by[5] == "11/12"
    assert not any("selected on" in cell for row in rows if "ge2e" in row[0] for cell in row)
    assert summary.synthesizer in page and summary.strategy in page


@pytest.mark.parametrize(
    "changed",
    [{"suite": "demo-sentences-part-0a1b2c3d@1"}, {"suite": "demo-sentences@1, first 12 of 40 requests"}],
)
def test_other_requests_do_not_stand_beside_them(summary: Summary, changed: dict[str, str]) -> None:
    page = replication_page([TABLE], [replace(summary, **changed)])
    assert len(section(page, "A benchmark")) == 2
    assert len(section(page, "Measured here in other ways: demo-run")) == len(METRICS)


@pytest.mark.parametrize("change", [{"protocol": "seed-tts@1"}, {"judge": "whisper-large"}, {"metric": "corpus_wer"}])
def test_another_protocol_judge_or_metric_does_not_stand_beside_them(summary: Summary, change: dict[str, str]) -> None:
    table = replace(TABLE, metrics=(replace(TABLE.metrics[0], **change), TABLE.metrics[1]))
    assert len(section(replication_page([table], [summary]), "A benchmark")) == 2


def test_what_is_published_can_be_read() -> None:
    tables = {table.title: table for table in load_published()}
    english = tables["Seed-TTS-Eval, English"]
    rows = {row.system: row.values for row in english.rows}
    assert rows["Human"] == ("2.14", "0.734", "")
    assert rows["Llasa 8B 250k h, partial PRM (SIM) + ORM (WER)"] == ("1.39", "0.783", "0.799")
    for table in tables.values():
        names = [row.system for row in table.rows]
        assert len(set(names)) == len(names), table.title
        for row in table.rows:
            for metric, value in zip(table.metrics, row.values, strict=True):
                assert value == "" or 0 < float(value) < (1 if "SIM" in metric.title else 20), (table.title, row.system)


def test_the_page_that_comes_along_has_all_that_is_published() -> None:
    page = (Path(__file__).parents[2] / "benchmarks/replication.md").read_text(encoding="utf-8").splitlines()
    assert [line for line in replication_page(load_published(), []).splitlines() if line not in page] == []


@pytest.mark.parametrize(
    ("judge", "protocol", "fits"),
    [
        ("transformers:openai/whisper-large-v3@0123456789ab:float32:greedy:seed-tts@1", "seed-tts@1", True),
        ("transformers:openai/whisper-large-v3@0123456789ab:float32:greedy", "whisper-norm@1", False),
        ("ctranslate2:base@0123456789ab:int8:fast:seed-tts@1", "seed-tts@1", False),
    ],
)
def test_only_the_official_recogniser_and_protocol_fit(judge: str, protocol: str, fits: bool) -> None:
    (english,) = [table for table in load_published() if table.suite == "seed-tts-eval-en@1"]
    judged = replace(METRICS[0], judge=judge, metric=replace(METRICS[0].metric, protocol=protocol))
    assert english.metrics[0].fits(judged) is fits


def test_the_command_writes_the_page(tmp_path: Path) -> None:
    replicate.replicate_command(None, tmp_path / "page.md")
    assert (tmp_path / "page.md").read_text() == replication_page(load_published(), [])
