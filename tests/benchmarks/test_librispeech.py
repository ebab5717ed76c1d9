import errno
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from benchmarks.librispeech import UTTERANCES
from benchmarks.librispeech_pc import read_pairs
from benchmarks.suite import load_suite
from tts_eval.audio import Excerpt, load_clip
from tts_eval.errors import ConfigError, DataError


def make_librispeech(
    root: Path, lines: dict[str, float], transcript: list[str] | None = None, subset: str = "dev"
) -> Path:
    """A subset with one chapter per speaker; seconds by utterance."""
    for utterance, seconds in lines.items():
        speaker, chapter, _ = utterance.split("-")
        folder = root / subset / speaker / chapter
        folder.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / f"{utterance}.flac", np.zeros(int(seconds * 16000)), 16000)
        with (folder / f"{speaker}-{chapter}.trans.txt").open("a") as stream:
            stream.write(f"{utterance} SOME WORDS {int(utterance[-4:])}\n")
    if transcript is not None:
        (folder / f"{speaker}-{chapter}.trans.txt").write_text("\n".join(transcript))
    return root


def test_it_takes_utterances_of_4_to_10_seconds(tmp_path: Path, monkeypatch):
    monkeypatch.setitem(UTTERANCES, "dev", 4)
    make_librispeech(tmp_path, {"84-121-0000": 3.9, "84-121-0001": 4.0, "84-121-0002": 10.0, "84-121-0003": 10.1})
    suite = load_suite("librispeech", data_dir=tmp_path)
    assert suite.name == "librispeech-dev@1"
    assert [r.id for r in suite.requests] == ["84-121-0001", "84-121-0002"]
    assert [(r.text, r.speaker, r.prompt) for r in suite.requests] == [
        ("SOME WORDS 1", "84", None),
        ("SOME WORDS 2", "84", None),
    ]
    assert suite.requests[0].ground_truth.is_file()


def test_cross_sentence_takes_the_speakers_previous_utterance_of_the_window(tmp_path: Path, monkeypatch):
    monkeypatch.setitem(UTTERANCES, "dev", 6)
    lengths = {"1-1-0000": 5.0, "1-1-0001": 3.0, "1-1-0002": 5.0, "1-2-0000": 5.0, "2-9-0000": 5.0, "2-9-0001": 6.0}
    suite = load_suite("librispeech:cross-sentence", data_dir=make_librispeech(tmp_path, lengths))
    assert suite.name == "librispeech-cross-sentence-dev@1"
    assert {r.id: r.prompt.audio.stem for r in suite.requests} == {
        "1-1-0000": "1-2-0000",
        "1-1-0002": "1-1-0000",
        "1-2-0000": "1-1-0002",
        "2-9-0000": "2-9-0001",
        "2-9-0001": "2-9-0000",
    }
    assert suite.requests[1].prompt.transcript == "SOME WORDS 0"
    assert suite.requests[1].metadata == {"prompt": "1-1-0000"}


def test_a_speaker_with_one_utterance_is_left_out_and_named(tmp_path: Path, caplog, monkeypatch):
    monkeypatch.setitem(UTTERANCES, "dev", 4)
    root = make_librispeech(tmp_path, {"1-1-0000": 5.0, "1-1-0001": 3.0})
    with pytest.raises(DataError, match=r"No speaker in .* has two utterances of 4-10 s"):
        load_suite("librispeech:cross-sentence", data_dir=root)
    make_librispeech(root, {"2-1-0000": 5.0, "2-1-0001": 5.0})
    suite = load_suite("librispeech:cross-sentence", data_dir=root)
    assert [request.id for request in suite.requests] == ["2-1-0000", "2-1-0001"]
    assert suite.name.startswith("librispeech-cross-sentence-dev-part-")
    assert "'1-1-0000' is left out: speaker 1 has no other utterance" in caplog.text
    assert len(load_suite("librispeech:continuation", data_dir=root).requests) == 3


def test_continuation_begins_with_the_first_three_seconds(tmp_path: Path):
    root = make_librispeech(tmp_path, {"1-1-0000": 5.0})
    audio = root / "dev/1/1/1-1-0000.flac"
    ramp = np.linspace(-0.5, 0.5, 80000).astype(np.float32)
    soundfile.write(audio, ramp, 16000)
    (request,) = load_suite("librispeech:continuation", data_dir=root).requests
    assert request.prompt.audio == Excerpt(audio, 3.0)
    assert request.prompt.transcript is None
    assert request.metadata == {"task": "continuation"}
    heard = load_clip(request.prompt.audio)
    assert heard.seconds == 3.0
    np.testing.assert_allclose(heard.samples, ramp[:48000], atol=1e-4)


def test_a_part_of_an_official_subset_bears_another_name(tmp_path: Path):
    root = make_librispeech(tmp_path, {"1-1-0000": 5.0, "1-1-0001": 5.0}, subset="test-clean")
    name = load_suite("librispeech:test-clean", data_dir=root).name
    assert name.startswith("librispeech-test-clean-part-")
    make_librispeech(root, {"2-1-0000": 5.0}, subset="test-clean")
    assert load_suite("librispeech:test-clean", data_dir=root).name != name


@pytest.mark.parametrize(
    ("subset", "published"),
    [("test-clean", 2620), ("train-clean-100", 28539), ("train-clean-360", 104014), ("train-other-500", 148688),
     ("train-clean-5", 1519), ("dev-clean-2", 1089), ("mine", None)],
)  # fmt: skip
def test_only_a_subset_whose_published_count_is_there_passes_for_the_whole(tmp_path: Path, subset, published):
    assert UTTERANCES.get(subset) == published
    root = make_librispeech(tmp_path, {"1-1-0000": 5.0, "1-1-0001": 5.0}, subset=subset)
    assert load_suite("librispeech", data_dir=root).name.startswith(f"librispeech-{subset}-part-")


def test_it_names_every_problem(tmp_path: Path):
    lines = ["84-121-0000", "84-121-0001 SAID", "84-121-0001 AGAIN", "84-121-0009 NOT THERE"]
    make_librispeech(tmp_path, {"84-121-0001": 5.0}, lines)
    with pytest.raises(DataError) as caught:
        load_suite("librispeech", data_dir=tmp_path)
    for part in ("trans.txt:1: '84-121-0000' has no text", "trans.txt:3: '84-121-0001' is there twice", "trans.txt:4"):
        assert part in str(caught.value)


def test_a_transcript_or_list_that_cannot_be_read_is_named(tmp_path: Path):
    make_librispeech(tmp_path, {"84-121-0001": 5.0})
    (tmp_path / "dev/84/122").mkdir()
    (tmp_path / "dev/84/122/84-122.trans.txt").mkdir()
    with pytest.raises(DataError, match=r"84-122\.trans\.txt cannot be read \(Is a directory\)"):
        load_suite("librispeech", data_dir=tmp_path)
    problems: list[str] = []
    assert read_pairs(tmp_path / "dev", tmp_path, problems) == ()
    assert "dev cannot be read (Is a directory); expected prompt id" in problems[0]


def test_it_names_broken_audio(tmp_path: Path):
    make_librispeech(tmp_path, {"84-121-0001": 5.0})
    (tmp_path / "dev/84/121/84-121-0001.flac").write_text("text")
    with pytest.raises(DataError, match=r"84-121-0001\.flac cannot be read as audio"):
        load_suite("librispeech", data_dir=tmp_path)


def test_folders_that_are_not_there(tmp_path: Path):
    with pytest.raises(ConfigError, match="needs --data-dir"):
        load_suite("librispeech")
    with pytest.raises(DataError, match="No folder at"):
        load_suite("librispeech", data_dir=tmp_path / "nowhere")
    make_librispeech(tmp_path, {"84-121-0001": 5.0})
    with pytest.raises(DataError, match=r"does not hold LibriSpeech's test-other.*It has: dev\."):
        load_suite("librispeech:test-other", data_dir=tmp_path)


@pytest.mark.parametrize("argument", ["cross-sentence,continuation", "dev,test", "../dev", "continuation,a/b"])
def test_an_argument_that_makes_no_sense(tmp_path: Path, argument):
    with pytest.raises(ConfigError, match="is not librispeech"):
        load_suite(f"librispeech:{argument}", data_dir=tmp_path)


def test_a_folder_a_level_off_is_named_with_the_right_one(tmp_path: Path):
    root = make_librispeech(tmp_path / "LibriSpeech", {"84-121-0001": 5.0}, subset="test-clean")
    for wrong, word in (
        (root / "test-clean", "too deep"),
        (root / "test-clean/84", "too deep"),
        (tmp_path, "too shallow"),
    ):
        with pytest.raises(DataError, match=f"{word}.*Use --data-dir {root}"):
            load_suite("librispeech", data_dir=wrong)


def test_a_folder_of_somebody_else_is_passed_over_on_the_way_to_the_right_one(tmp_path: Path, monkeypatch):
    root = make_librispeech(tmp_path / "LibriSpeech", {"84-121-0001": 5.0}, subset="test-clean")
    locked = tmp_path / ".locked"
    locked.mkdir()
    stat, iterdir = Path.stat, Path.iterdir  # rights mean nothing to root, so they are acted

    def may_be_looked_at(path: Path, **settings: bool) -> os.stat_result:
        if path.parent == locked:
            raise PermissionError(errno.EACCES, "Permission denied")
        return stat(path, **settings)

    def may_be_listed(path: Path) -> Iterator[Path]:
        if path == locked:
            raise PermissionError(errno.EACCES, "Permission denied")
        return iterdir(path)

    monkeypatch.setattr(Path, "stat", may_be_looked_at)
    monkeypatch.setattr(Path, "iterdir", may_be_listed)
    with pytest.raises(DataError, match=f"too shallow.*Use --data-dir {root}"):
        load_suite("librispeech:test-clean", data_dir=tmp_path)


def test_the_official_files_are_read(data: Path):
    suite = load_suite("librispeech:train-clean-5", data_dir=data / "LibriSpeech")
    assert len(suite.requests) == 230
    assert len({request.speaker for request in suite.requests}) == 27
    paired = load_suite("librispeech:cross-sentence,train-clean-5", data_dir=data / "LibriSpeech").requests
    assert [request.id for request in paired] == [r.id for r in suite.requests if r.id != "19-198-0037"]
    assert all(request.prompt.audio.stem != request.id for request in paired)
    assert all(request.prompt.audio.stem.startswith(f"{request.speaker}-") for request in paired)
    part = load_suite("librispeech:continuation", data_dir=data / "LibriSpeech")
    assert part.name.startswith("librispeech-continuation-test-clean-part-")
