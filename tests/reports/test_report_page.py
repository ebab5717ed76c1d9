from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from results_factory import make_results

from reports.page import write_report
from reports.players import encode, link
from reports.results import RunResults
from tts_eval.audio import Clip, write_audio
from tts_eval.errors import AudioError, StoreError


def written(results: RunResults, folder: Path, **settings: object) -> Path:
    """Path of the page."""
    return Path(str(write_report(results, folder, **settings).report))


def test_report_is_complete_and_leaves_nothing_else(tmp_path: Path) -> None:
    page = written(make_results(tmp_path, requests=3, n=2), tmp_path)
    assert page == tmp_path / "report/report.html"
    assert {path.name for path in page.parent.iterdir()} == {
        "report.html", "report.md", "summary.json",
        "best_at_k.svg", "best_at_k.png", "best_at_k.pdf", "best_at_k.csv",
        "promise.svg", "promise.png", "promise.pdf", "promise.csv", "transfer.csv", "transfer.json",
    }  # fmt: skip
    summary = json.loads((page.parent / "summary.json").read_text())
    assert summary["report"] == str(page)
    document = (page.parent / "report.md").read_text()
    assert "best_at_k.png" in document and "promise.png" in document
    measured = json.loads((page.parent / "transfer.json").read_text())["hacking"]["diversity"]
    assert measured["by_n"][0]["spread"]["n"] == 2  # of three, one is silent


def test_writing_again_gives_the_same_bytes(tmp_path: Path) -> None:
    results = make_results(tmp_path, requests=3, n=2)
    folder = written(results, tmp_path).parent
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    write_report(results, tmp_path)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_one_candidate_has_no_figure(tmp_path: Path) -> None:
    page = written(make_results(tmp_path, requests=3, n=1), tmp_path)
    assert {path.name for path in page.parent.iterdir()} == {
        "report.html", "report.md", "summary.json", "transfer.json",
    }  # fmt: skip


def test_audio_and_seed_are_passed_on(tmp_path: Path) -> None:
    results = make_results(tmp_path, requests=8, n=2, speakers=0)
    embedded = written(results, tmp_path).read_text()
    first = json.loads((tmp_path / "report/summary.json").read_text())
    linked = written(results, tmp_path, audio="link", seed=1).read_text()
    assert "data:audio" in embedded and "data:audio" not in linked
    assert json.loads((tmp_path / "report/summary.json").read_text())["metrics"] != first["metrics"]


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "report").write_text("a file in the way")
    with pytest.raises(StoreError):
        write_report(make_results(requests=2, n=2), tmp_path, audio="none")


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 24000, 44100, 48000, 96000, 11000])
def test_players_keep_rate_length_and_sound(rate: int, tmp_path: Path) -> None:
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(rate) / rate)
    write_audio(tmp_path / "a.flac", Clip(tone.astype(np.float32), rate))
    encoded = encode(tmp_path / "a.flac")
    data = base64.b64decode(encoded.base64)
    samples, found = soundfile.read(io.BytesIO(data))
    assert (found, len(samples)) == (rate, rate)
    assert np.corrcoef(samples, tone)[0, 1] > 0.99
    assert encoded.mime == ("audio/ogg" if data.startswith(b"OggS") else "audio/mpeg")
    assert encoded.uri.startswith(f"data:{encoded.mime};base64,")


def test_players_are_far_smaller_than_the_file(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 5 * 22050).astype(np.float32)
    write_audio(tmp_path / "a.flac", Clip(noise, 22050))
    assert len(encode(tmp_path / "a.flac").base64) < (tmp_path / "a.flac").stat().st_size / 4


def test_audio_that_is_none_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.flac").write_bytes(b"not audio")
    with pytest.raises(AudioError, match=r"a\.flac"):
        encode(tmp_path / "a.flac")


def test_links_survive_odd_names() -> None:
    assert link("audio/a b#1?.flac", up=1) == "../audio/a%20b%231%3F.flac"
