from pathlib import Path

import numpy as np
import pytest
import soundfile

from benchmarks.mini import prompt_path
from benchmarks.suite import Suite, load_suite, suites
from tts_eval.audio import read_audio
from tts_eval.errors import ConfigError, DataError, UnknownNameError
from tts_eval.types import Request


@pytest.mark.parametrize("name", ["mini", "mini-dev"])
def test_the_built_in_suites_have_48_sentences_in_6_groups(name):
    suite = load_suite(name)
    groups = [request.group for request in suite.requests]
    assert len(groups) == 48
    assert {groups.count(group) for group in groups} == {8}
    assert len({request.id for request in suite.requests}) == 48
    assert suite.name == f"{name}@1"


def test_the_two_built_in_suites_share_no_sentence():
    assert not {r.text for r in load_suite("mini").requests} & {r.text for r in load_suite("mini-dev").requests}


def test_the_built_in_prompt_is_audible_speech():
    clip = read_audio(prompt_path())
    assert clip.rate == 16000
    assert 3 < clip.seconds < 6
    assert clip.peak_dbfs > -20


def test_limit_takes_the_first_requests():
    assert [r.id for r in load_suite("mini", limit=3).requests] == ["plain-1", "plain-2", "plain-3"]
    with pytest.raises(ConfigError, match="limit is 0"):
        load_suite("mini", limit=0)


def test_ids_are_unique_whoever_made_the_suite(monkeypatch):
    twice = Suite(name="t@1", requests=(Request(id="a", text="x"), Request(id="a", text="y")), judges=())
    monkeypatch.setitem(suites._objects, "mini", lambda **settings: twice)
    with pytest.raises(DataError, match="more than one request with the id 'a'"):
        load_suite("mini")


def test_settings_that_a_built_in_suite_would_ignore_are_refused(tmp_path: Path):
    with pytest.raises(ConfigError) as caught:
        load_suite("mini:x", data_dir=tmp_path)
    assert len(caught.value.problems) == 2


def test_an_unknown_suite_gets_the_close_match():
    with pytest.raises(UnknownNameError, match="Did you mean 'librispeech'"):
        load_suite("librispech")


def make_librispeech(root: Path, lines: dict[str, float], transcript: list[str] | None = None) -> Path:
    chapter = root / "dev-clean" / "84" / "121"
    chapter.mkdir(parents=True)
    for utterance, seconds in lines.items():
        soundfile.write(chapter / f"{utterance}.flac", np.zeros(int(seconds * 16000)), 16000)
    text = transcript if transcript is not None else [f"{utterance} SOME WORDS HERE" for utterance in lines]
    (chapter / "84-121.trans.txt").write_text("\n".join(text))
    return root


def test_librispeech_takes_utterances_of_4_to_10_seconds(tmp_path: Path):
    make_librispeech(tmp_path, {"84-121-0000": 3.9, "84-121-0001": 4.0, "84-121-0002": 10.0, "84-121-0003": 10.1})
    suite = load_suite("librispeech", data_dir=tmp_path)
    assert suite.name == "librispeech-dev-clean@1"
    assert [r.id for r in suite.requests] == ["84-121-0001", "84-121-0002"]
    assert {(r.text, r.speaker) for r in suite.requests} == {("SOME WORDS HERE", "84")}
    assert suite.requests[0].ground_truth.is_file()


def test_librispeech_names_every_problem(tmp_path: Path):
    lines = ["84-121-0000", "84-121-0001 SAID", "84-121-0001 AGAIN", "84-121-0009 NOT THERE"]
    make_librispeech(tmp_path, {"84-121-0001": 5.0}, lines)
    with pytest.raises(DataError) as caught:
        load_suite("librispeech", data_dir=tmp_path)
    for part in ("trans.txt:1: '84-121-0000' has no text", "trans.txt:3: '84-121-0001' is there twice", "trans.txt:4"):
        assert part in str(caught.value)


def test_librispeech_names_broken_audio(tmp_path: Path):
    make_librispeech(tmp_path, {"84-121-0001": 5.0})
    (tmp_path / "dev-clean/84/121/84-121-0001.flac").write_text("text")
    with pytest.raises(DataError, match=r"84-121-0001\.flac cannot be read as audio"):
        load_suite("librispeech", data_dir=tmp_path)


def test_librispeech_folders_that_are_not_there(tmp_path: Path):
    with pytest.raises(ConfigError, match="needs --data-dir"):
        load_suite("librispeech")
    with pytest.raises(DataError, match="No folder at"):
        load_suite("librispeech", data_dir=tmp_path / "nowhere")
    make_librispeech(tmp_path, {"84-121-0001": 5.0})
    with pytest.raises(DataError, match=r"No subset 'test-other'.*dev-clean"):
        load_suite("librispeech:test-other", data_dir=tmp_path)


def test_librispeech_reads_the_official_files(data: Path):
    suite = load_suite("librispeech:train-clean-5", data_dir=data / "LibriSpeech")
    assert len(suite.requests) == 230
    assert len({request.speaker for request in suite.requests}) == 27


def write_list(folder: Path, *lines: str) -> Path:
    path = folder / "meta.lst"
    path.write_text("\n".join(lines))
    return path


def test_a_list_with_and_without_ground_truth(tmp_path: Path):
    path = write_list(tmp_path, "a|hello|p/a.wav|say this", "", "b|hello|p/a.wav|say that|t/b.wav")
    for suite in (load_suite(f"list:{path}"), load_suite("list", data_dir=tmp_path)):
        first, second = suite.requests
        assert (first.id, first.text, first.prompt.transcript) == ("a", "say this", "hello")
        assert first.prompt.audio == tmp_path / "p/a.wav"
        assert second.ground_truth == tmp_path / "t/b.wav"
        assert first.ground_truth is None


def test_a_list_names_every_bad_row(tmp_path: Path):
    path = write_list(
        tmp_path,
        "a|hello|p.wav|fine",
        "b|too few",
        "a|hello|p.wav|again",
        "c|hello|../../etc/passwd|leaves",
        "d|hello|/etc/passwd|leaves too",
        "../e|hello|p.wav|bad id",
        "f|hello|p.wav| ",
    )
    with pytest.raises(DataError) as caught:
        load_suite(f"list:{path}")
    message = str(caught.value)
    assert "meta.lst:2: 2 columns, expected 4 or 5" in message
    assert "meta.lst:3: the id 'a' is there twice" in message
    assert "meta.lst:4: the path '../../etc/passwd' leaves the data folder" in message
    assert "meta.lst:5" in message
    assert "meta.lst:6" in message
    assert "meta.lst:7: 'f' has no text" in message


def test_only_the_first_ten_problems_are_named(tmp_path: Path):
    path = write_list(tmp_path, *(["bad"] * 13))
    with pytest.raises(DataError, match="and 3 more"):
        load_suite(f"list:{path}")


def test_an_empty_list_and_no_list(tmp_path: Path):
    with pytest.raises(DataError, match="no requests"):
        load_suite(f"list:{write_list(tmp_path, '')}")
    with pytest.raises(ConfigError, match="needs list:FILE"):
        load_suite("list")
    with pytest.raises(DataError, match="cannot be read"):
        load_suite(f"list:{tmp_path / 'nowhere.lst'}")


def test_the_official_list_is_read(data: Path):
    suite = load_suite("list", data_dir=data / "seedtts_testset/en")
    assert len(suite.requests) == 10
    assert all(request.prompt.audio.is_file() for request in suite.requests)
