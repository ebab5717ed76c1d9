"""What a comparison writes: page, Markdown, JSON and tables."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas
from comparison_factory import HELD_OUT, SELECTING, SIMILARITY, run_of
from test_report_html import Page

from reports.comparison import Comparison, compare
from reports.comparison_page import FILES, write_comparison


def written(tmp_path: Path, **options: str) -> tuple[Comparison, dict[str, object]]:
    runs = [run_of(name, seed=seed, folder=tmp_path / name) for name, seed in (("a", 1), ("<b>", 2))]
    comparison = compare(runs, draws=200)
    folders = {run.name: tmp_path / run.name for run in runs}
    return comparison, write_comparison(comparison, folders, tmp_path / "out", **options)  # type: ignore[arg-type]


def test_page_is_well_formed_escaped_and_plays_both_clips(tmp_path: Path) -> None:
    comparison, _ = written(tmp_path)
    text = (tmp_path / "out/compare.html").read_text()
    page = Page(text)
    assert "<b>" not in text
    assert not page.all("link") and not page.all("img")
    articles = page.all("article")
    assert len(articles) == len(comparison.pairings[0].changes)
    players = [found for found, _ in page.all("audio")]
    with_audio = sum(
        run.requests[change.row].chosen.audio is not None
        for change in comparison.pairings[0].changes
        for run in comparison.aligned.runs
    )
    assert len(players) == with_audio > 10
    assert all(str(found["src"]).startswith("data:audio/") for found in players)
    policy = str(page.all("meta", **{"http-equiv": "Content-Security-Policy"})[0][0]["content"])
    assert "default-src 'none'" in policy and "script-src 'sha256-" in policy


def test_audio_can_be_left_out(tmp_path: Path) -> None:
    written(tmp_path, audio="none")
    assert "data:audio" not in (tmp_path / "out/compare.html").read_text()


def test_every_file_is_written_and_again_with_the_same_bytes(tmp_path: Path) -> None:
    written(tmp_path)
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert set(before) == {*FILES, *(f"differences.{suffix}" for suffix in ("csv", "pdf", "png", "svg"))}
    written(tmp_path)
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before
    markdown = before["compare.md"].decode()
    assert "| wer" in markdown and "a/audio/" in markdown and "&lt;b&gt;" in markdown


def test_json_and_parquet_hold_what_was_found(tmp_path: Path) -> None:
    comparison, record = written(tmp_path)
    assert json.loads((tmp_path / "out/compare.json").read_text()) == record
    (one,) = record["comparisons"]  # type: ignore[misc]
    assert (one["run"], one["against"]) == ("<b>", "a")
    entry = one["metrics"][HELD_OUT.key]
    difference = comparison.pairings[0].differences[0]
    assert (entry["difference"], entry["p"], entry["p_holm"]) == (
        difference.estimate.value, difference.p, difference.p_corrected,
    )  # fmt: skip
    assert entry["selected_in"] == [] and one["metrics"][SELECTING.key]["selected_in"] == ["a", "<b>"]
    assert Path(one["most_changed"][0]["audio_before"][0]).is_file()
    frame = pandas.read_parquet(tmp_path / "out/compare.parquet")
    assert len(frame) == 2 * 24 * 3
    similarity = frame[frame.metric == SIMILARITY.key].set_index(["run", "request_id"]).value
    assert similarity[("a", "sentence-000")] == comparison.aligned.runs[0].requests[0].chosen.value(SIMILARITY)
    assert np.isnan(similarity[("a", "sentence-023")])  # silent: no number, never a made-up one
