from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from results_factory import make_results

from reports.page import write_report
from reports.players import encode, link, spectrogram, waveform
from reports.results import RunResults
from reports.shelf import AudioMode, Shelf
from tts_eval.audio import Clip, Excerpt, read_audio, write_audio
from tts_eval.errors import StoreError


def written(results: RunResults, folder: Path, **settings: object) -> Path:
    """Path of the page."""
    return Path(str(write_report(results, folder, **settings).report))


def test_report_is_complete_and_leaves_nothing_else(tmp_path: Path) -> None:
    page = written(make_results(tmp_path, requests=3, n=2), tmp_path)
    assert page == tmp_path / "report/report.html"
    assert {path.name for path in page.parent.iterdir()} == {
        "report.html", "report.md", "report.tex", "tables.tex", "summary.json",
        "best_at_k.svg", "best_at_k.png", "best_at_k.pdf", "best_at_k.csv",
        "scaling.svg", "scaling.png", "scaling.pdf", "scaling.csv",
        "distribution.svg", "distribution.png", "distribution.pdf", "distribution.csv",
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


def test_one_candidate_has_no_curves(tmp_path: Path) -> None:
    page = written(make_results(tmp_path, requests=3, n=1), tmp_path)
    assert {path.name for path in page.parent.iterdir()} == {
        "report.html", "report.md", "report.tex", "tables.tex", "summary.json", "transfer.json",
        "distribution.svg", "distribution.png", "distribution.pdf", "distribution.csv",
    }  # fmt: skip


def test_audio_and_seed_are_passed_on(tmp_path: Path) -> None:
    results = make_results(tmp_path, requests=8, n=2, speakers=0)
    embedded = written(results, tmp_path).read_text()
    first = json.loads((tmp_path / "report/summary.json").read_text())
    linked = written(results, tmp_path, audio="link", seed=1).read_text()
    assert '"base64":' in embedded and '"base64":' not in linked
    assert json.loads((tmp_path / "report/summary.json").read_text())["metrics"] != first["metrics"]


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "report").write_text("a file in the way")
    with pytest.raises(StoreError):
        write_report(make_results(requests=2, n=2), tmp_path, audio="none")


def test_audio_may_lie_in_a_folder_beside_the_page(tmp_path: Path) -> None:
    results = make_results(tmp_path, requests=3, n=2)
    page = written(results, tmp_path, audio_dir="clips").read_text()
    files = sorted(path.name for path in (tmp_path / "report/clips").iterdir())
    assert files == sorted(f"{number:03d}-{index}.ogg" for number in range(3) for index in range(2))
    assert all(f'"clips/{name}"' in page for name in files)
    assert '"base64":' not in page


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 24000, 44100, 48000, 96000, 11000])
def test_players_keep_length_and_sound(rate: int) -> None:
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(rate) / rate)
    encoded = encode(Clip(tone.astype(np.float32), rate))
    samples, found = soundfile.read(io.BytesIO(encoded.data))
    assert found == {8000: 8000, 11025: 12000, 11000: 12000, 16000: 16000, 22050: 24000, 24000: 24000}.get(rate, 48000)
    assert len(samples) == found
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(found) / found)
    assert np.corrcoef(samples, expected)[0, 1] > 0.99
    assert base64.b64decode(encoded.uri.removeprefix("data:audio/ogg;base64,")) == encoded.data
    assert encode(Clip(tone.astype(np.float32), rate)) == encoded


def test_players_are_far_smaller_than_the_file(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 5 * 22050).astype(np.float32)
    write_audio(tmp_path / "a.flac", Clip(noise, 22050))
    assert len(encode(read_audio(tmp_path / "a.flac")).data) < (tmp_path / "a.flac").stat().st_size / 8


def levels(letters: str) -> list[int]:
    alphabet = base64.b64encode(bytes(range(256))).decode()  # has every letter
    order = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    assert set(letters) <= set(alphabet)
    return [order.index(letter) for letter in letters]


def test_a_waveform_shows_where_it_is_loud() -> None:
    samples = np.zeros(16000, dtype=np.float32)
    samples[8000:12000] = 0.25
    heights = levels(waveform(Clip(samples, 16000)))
    assert len(heights) == 160
    assert heights[:80] == [0] * 80 and heights[120:] == [0] * 40
    assert set(heights[80:120]) == {round(0.5 * 63)}  # the square root of a quarter


def test_a_spectrogram_shows_which_pitch_comes_when() -> None:
    time = np.arange(16000) / 16000
    tone = 0.3 * np.sin(2 * np.pi * np.where(time < 0.5, 300, 4000) * time)
    cells = np.array(levels(spectrogram(Clip(tone.astype(np.float32), 16000)))).reshape(20, 72)
    assert cells.max() == 63
    assert cells[:, 18].argmax() < 4 and cells[:, 54].argmax() > 10


def test_short_and_silent_clips_have_pictures_too() -> None:
    for samples in (
        np.zeros(1, dtype=np.float32),
        np.zeros(3000, dtype=np.float32),
        np.full(40, np.nan, dtype=np.float32),
    ):
        clip = Clip(samples, 22050)
        assert set(waveform(clip)) == {"A"}
        assert len(spectrogram(clip)) == 20 * 72
        assert encode(clip).data.startswith(b"OggS")


def test_links_survive_odd_names() -> None:
    assert link("audio/a b#1?.flac", up=1) == "../audio/a%20b%231%3F.flac"


def shelf(root: Path, mode: AudioMode = "embed", **settings: Any) -> Shelf:
    return Shelf(root, mode, root / "report", **settings)


def save(path: Path, seconds: float = 0.5) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_audio(path, Clip(np.full(int(seconds * 16000), 0.1, dtype=np.float32), 16000))


def test_the_page_carries_what_there_is_room_for_and_links_the_rest(tmp_path: Path) -> None:
    names = [f"audio/{number:03d}.flac" for number in range(70)]
    for name in names:
        save(tmp_path / name)
    full = shelf(tmp_path, most_seconds=20.0)
    full.stock(names)
    found = [full.sound(name) for name in names]
    assert [bool(sound.block) for sound in found] == [True] * 64 + [False] * 6
    assert [sound.url for sound in found[64:]] == [f"../{name}" for name in names[64:]]


def test_audio_that_is_none_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.flac").write_bytes(b"not audio")
    one = shelf(tmp_path)
    one.stock(["a.flac"])
    assert "a.flac" in one.sound("a.flac").problem


@pytest.mark.parametrize("mode", ["embed", "link"])
def test_audio_outside_the_run_is_not_taken_for_the_runs(mode: AudioMode, tmp_path: Path) -> None:
    save(tmp_path / "secret.flac")
    (tmp_path / "run").mkdir()
    (tmp_path / "run/inside.flac").symlink_to(tmp_path / "secret.flac")
    one = shelf(tmp_path / "run", mode)
    one.stock(["../secret.flac", "inside.flac"])
    for name in ("../secret.flac", "inside.flac"):
        assert "outside the run" in one.sound(name).problem and not one.sound(name).url


def test_prompts_lie_anywhere_and_are_carried_once(tmp_path: Path) -> None:
    save(tmp_path / "suite/prompt.flac", 2.0)
    (tmp_path / "run").mkdir()
    prompt, beginning = tmp_path / "suite/prompt.flac", Excerpt(tmp_path / "suite/prompt.flac", 0.5)
    one = shelf(tmp_path / "run")
    one.stock([prompt, beginning, prompt])
    assert len(one.blocks) == 2 and one.seconds == 2.5
    linked = shelf(tmp_path / "run", "link")
    linked.stock([prompt])
    assert "no file of the run" in linked.sound(prompt).problem
    beside = shelf(tmp_path / "run", beside=tmp_path / "run/report/clips")
    beside.stock([prompt])
    assert (tmp_path / "run/report" / beside.sound(prompt).url).is_file()
