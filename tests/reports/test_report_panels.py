"""Banners, provenance, speakers and distributions: what a page shows beside numbers and clips."""

from __future__ import annotations

import csv
import fcntl
import io
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from results_factory import METRICS, make_results

from reports.banners import banners
from reports.distribution_figure import distribution_csv, distribution_figure, distributions, distributions_svg
from reports.figure_style import save_figure
from reports.live import is_going
from reports.provenance_tables import provenance_tables
from reports.results import RunResults
from reports.run_line import line_of
from reports.shelf import AudioMode, Shelf
from reports.speaker_table import MOST_SPEAKERS, speakers_table
from reports.summary import summarise
from reports.tables import headline
from tts_eval import __version__
from tts_eval.types import Failure, FailureKind, FinishReason


def said(results: RunResults, folder: Path, mode: AudioMode = "embed", most_seconds: float = 3600.0) -> list[str]:
    shelf = Shelf(folder, mode, folder / "report", most_seconds=most_seconds)
    audio = [candidate.audio for request in results.requests for candidate in request.candidates if candidate.audio]
    shelf.stock(audio)
    for path in audio:
        shelf.sound(path)
    return banners(results, shelf, folder)


def half(results: RunResults) -> RunResults:
    """The run without the last candidate of each request."""
    missing = Failure(FailureKind.NOT_MADE, "Not generated yet.")
    requests = [
        replace(request, candidates=(*request.candidates[:-1], replace(
            request.candidates[-1], failure=missing, finish=FinishReason.FAILED, audio=None, scores={}
        )))
        for request in results.requests
    ]  # fmt: skip
    return replace(results, requests=tuple(requests))


def test_a_whole_run_has_no_banner(tmp_path: Path) -> None:
    assert said(make_results(tmp_path, requests=3, n=2), tmp_path) == []


def test_what_a_scored_folder_lacks_makes_no_half_a_run(tmp_path: Path) -> None:
    whole = make_results(tmp_path, requests=3, n=2)
    there, other = whole.requests[0].candidates
    gone = replace(other, failure=Failure(FailureKind.MISSING, "No a.wav."), audio=None, scores={})
    first = replace(whole.requests[0], candidates=(there, gone))
    lacking = replace(whole, requests=(first, *whole.requests[1:]))
    assert said(lacking, tmp_path) == []
    assert "missing" not in headline(summarise(lacking))
    assert line_of(lacking).is_finished and not line_of(half(whole)).is_finished


def test_half_a_run_and_one_that_still_goes_are_told_apart(tmp_path: Path) -> None:
    results = half(make_results(tmp_path, requests=3, n=2))
    assert said(results, tmp_path)[0].startswith("Half a run: 3 of 6 candidates are missing and count as worst.")
    with (tmp_path / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert is_going(tmp_path)
        (first, *_) = said(results, tmp_path)
        assert first.startswith("This run is still going: 3 of 6 candidates are there")
    assert not is_going(tmp_path)


def test_a_judge_that_has_not_heard_everything_is_named(tmp_path: Path) -> None:
    results = make_results(tmp_path, requests=3, n=2)
    first = results.requests[0]
    scores = {key: score for key, score in first.candidates[1].scores.items() if key != "speaker:ge2e"}
    unheard = replace(first, candidates=(first.candidates[0], replace(first.candidates[1], scores=scores)))
    (banner,) = said(replace(results, requests=(unheard, *results.requests[1:])), tmp_path)
    assert banner.startswith("speaker:ge2e has not heard 1 candidates")


def test_audio_that_is_not_in_the_page_is_said(tmp_path: Path) -> None:
    results = make_results(tmp_path, requests=20, n=4)
    assert "left out" in said(results, tmp_path, "none")[0]
    assert said(results, tmp_path, "link") == []
    (banner,) = said(results, tmp_path, most_seconds=20.0)
    assert banner.startswith("The first 0 minutes of audio are inside") and "other clips are played from" in banner
    (banner,) = said(results, tmp_path, "link", most_seconds=20.0)
    assert re.match(r"\d+ clips play, but have no picture of their sound", banner)
    for file in (tmp_path / "audio").iterdir():
        file.unlink()
    (banner,) = said(results, tmp_path)
    assert banner.startswith("79 clips cannot be played; the first: No audio file at")


def test_a_run_of_another_version_is_said(tmp_path: Path) -> None:
    results = make_results(tmp_path, requests=2, n=2)
    same = replace(results, run={"provenance": {"tts_eval": __version__}})
    assert said(same, tmp_path) == []
    (banner,) = said(replace(results, run={"provenance": {"tts_eval": "0.0.1"}}), tmp_path)
    assert "made by tts-eval 0.0.1" in banner and __version__ in banner


def test_provenance_shows_what_run_json_has_and_no_more() -> None:
    run = {
        "suite": "mini@1", "searching": ["asr:tiny.en"],
        "config": {"n": 8, "then": "", "judge": ["asr:base", "speaker"], "temperature": 0.0},
        "verifiers": {
            "asr:tiny.en": {"identity": "asr@3", "judge": "x@1"},
            "asr:base": {"identity": "asr@3", "judge": "y"},
        },
        "provenance": {
            "tts_eval": "0.1.0", "packages": {"numpy": "2.0", "absent": None}, "host": {"cores": 2},
            "weights": {"whisper": {"licence": "MIT", "source": "hub", "sha256": {"model.bin": "ab" * 32}}},
        },
    }  # fmt: skip
    tables = {table.caption: table for table in provenance_tables(run)}
    cells = {name: [[(cell.text, cell.detail) for cell in row] for row in table.rows] for name, table in tables.items()}
    assert [("config: judge", ""), ("asr:base, speaker", "")] in cells["Settings"]
    assert [("config: temperature", ""), ("0.0", "")] in cells["Settings"]
    assert not any(row[0][0] == "config: then" for row in cells["Settings"])
    assert [row[2][0] for row in cells["Judges"]] == ["chose", "reports"]
    (weights,) = cells["Weights on the machine"]
    assert weights[1][0] == "MIT" and weights[3][1] == f"{'ab' * 8} model.bin"
    assert [row[0][0] for row in cells["Versions and machine"]] == ["tts-eval", "cores", "numpy"]
    assert provenance_tables({}) == [] and provenance_tables({"config": 3, "verifiers": [1]}) == []


def test_speakers_are_served_worst_first() -> None:
    results = make_results(requests=24, n=3, speakers=4)
    table = speakers_table(results)
    assert table is not None
    names = [row[0].text for row in table.rows[::2]]
    means = {
        speaker: np.mean([r.chosen.value(METRICS[1]) for r in results.requests if r.speaker == speaker])
        for speaker in names
    }
    similarity = {row[0].text: row for row in speakers_table(replace(results, metrics=METRICS[1:2])).rows}  # type: ignore[union-attr]
    for speaker, mean in means.items():
        assert similarity[speaker][4].text == f"{mean:.3f}"
    assert list(similarity) == sorted(means, key=means.__getitem__)  # higher is better
    assert speakers_table(make_results(requests=3, speakers=0)) is None
    assert speakers_table(make_results(requests=3, speakers=1)) is None


def test_of_many_speakers_the_worst_are_shown() -> None:
    table = speakers_table(make_results(requests=60, n=2, speakers=60))
    assert table is not None
    assert len({row[0].text for row in table.rows}) == MOST_SPEAKERS
    assert any("of 60 speakers" in note for note in table.notes)


def test_a_distribution_has_every_clip_of_its_kind() -> None:
    results = make_results(requests=12, n=4)
    one = distributions(results)[0]
    values = [[candidate.value(METRICS[0]) for candidate in request.candidates] for request in results.requests]
    assert one.values["single sample"].tolist() == sorted(value for pool in values for value in pool)
    assert one.values["chosen"].tolist() == sorted(request.chosen.value(METRICS[0]) for request in results.requests)
    assert one.values["oracle"].tolist() == sorted(min(pool) for pool in values)
    assert [set(shown.values) for shown in distributions(make_results(requests=3, n=1))] == [{"chosen"}, {"chosen"}]
    assert distributions(replace(results, metrics=())) == []


def test_the_figures_data_rise_to_one() -> None:
    shown = distributions(make_results(requests=12, n=4))
    rows = list(csv.DictReader(io.StringIO(distribution_csv(shown))))
    for one in shown:
        for name in one.values:
            line = [row for row in rows if row["metric"] == one.judged.key and row["clips"] == name]
            shares = [float(row["share_up_to"]) for row in line]
            assert shares == sorted(shares) and shares[-1] == 1.0
            middle = line[len(line) // 2]
            expected = np.mean(one.values[name] <= float(middle["value"]))
            assert float(middle["share_up_to"]) == pytest.approx(expected)


def test_the_figure_is_drawn_also_where_all_clips_are_equal(tmp_path: Path) -> None:
    shown = distributions(make_results(requests=2, n=2))
    flat = [replace(shown[0], values={name: np.zeros(2) for name in shown[0].values})]
    assert all(svg.startswith("<svg") and "chosen" not in svg.split(">")[0] for svg in distributions_svg(flat))
    save_figure(distribution_figure(shown), tmp_path / "d.png")
    assert (tmp_path / "d.png").stat().st_size > 5000
    with pytest.raises(ValueError, match="no distribution"):
        distribution_figure([])
