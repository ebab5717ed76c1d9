from pathlib import Path

import pytest

from benchmarks.mini import prompt_path
from benchmarks.suite import Suite, load_suite, suites
from tts_eval.audio import read_audio
from tts_eval.errors import ConfigError, DataError, UnknownNameError
from tts_eval.registry import parse_spec
from tts_eval.text import load_languages
from tts_eval.types import Request
from verifiers import asr


@pytest.mark.parametrize("name", ["mini", "mini-dev"])
def test_the_built_in_suites_have_48_sentences_in_6_groups(name):
    suite = load_suite(name)
    groups = [request.group for request in suite.requests]
    assert len(groups) == 48
    assert {groups.count(group) for group in groups} == {8}
    assert len({request.id for request in suite.requests}) == 48
    assert suite.name == f"{name}@1"


@pytest.mark.parametrize("name", ["mini", "mini-dev"])
def test_voices_are_judged_by_another_model_than_the_one_that_speaker_chooses_with(name):
    assert [judge for judge in load_suite(name).judges if judge.startswith("speaker")] == ["speaker:campplus"]


def test_the_two_built_in_suites_share_no_sentence():
    assert not {r.text for r in load_suite("mini").requests} & {r.text for r in load_suite("mini-dev").requests}


def test_the_built_in_prompt_is_audible_speech():
    clip = read_audio(prompt_path())
    assert clip.rate == 16000
    assert 3 < clip.seconds < 6
    assert clip.peak_dbfs > -20


def test_limit_takes_the_first_requests():
    assert [r.id for r in load_suite("mini", limit=3).requests] == ["plain-1", "plain-2", "plain-3"]
    assert load_suite("mini", limit=3).subset == "first 3 of 48 requests"
    assert load_suite("mini", limit=48).subset == load_suite("mini").subset == ""
    with pytest.raises(ConfigError, match="limit is 0"):
        load_suite("mini", limit=0)


def test_a_sample_says_what_it_is_and_is_no_limit():
    suite = load_suite("mini", sample=12)
    assert (len(suite.requests), suite.subset) == (12, "sample of 12 of 48 requests, seed 0")
    assert {[r.group for r in suite.requests].count(group) for group in {r.group for r in suite.requests}} == {2}
    assert load_suite("mini", sample=48).subset == ""
    with pytest.raises(ConfigError, match="sample is 0"):
        load_suite("mini", sample=0)
    with pytest.raises(ConfigError, match="not both"):
        load_suite("mini", sample=2, limit=2)


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


def test_the_characters_of_a_list_tell_its_languages(tmp_path: Path):
    path = write_list(tmp_path, "a|say this", "b|今天天气不错")
    assert [request.language for request in load_suite(f"list:{path}").requests] == ["en", "zh"]


@pytest.mark.parametrize(("texts", "protocol"), [(["one"], "whisper-norm@1"), (["one", "天气"], "seed-tts@1")])
def test_the_judge_of_a_list_has_a_protocol_for_its_languages(tmp_path: Path, texts, protocol):
    path = write_list(tmp_path, *(f"{number}|{text}" for number, text in enumerate(texts)))
    suite = load_suite(f"list:{path}")
    assert asr._split_protocol(parse_spec(suite.judges[0]).argument) == ("base", protocol)
    assert {request.language for request in suite.requests} <= set(load_languages(protocol))


def test_the_short_forms_of_a_list(tmp_path: Path):
    path = write_list(tmp_path, "a|say this", "b.wav|say that|p/b.wav")
    first, second = load_suite(f"list:{path}").requests
    assert (first.id, first.text, first.prompt) == ("a", "say this", None)
    assert (second.id, second.text) == ("b", "say that")
    assert (second.prompt.audio, second.prompt.transcript) == (tmp_path / "p/b.wav", None)


@pytest.mark.parametrize(
    ("prompts", "speakers"),
    [
        (["prompt-wavs/a.wav", "prompt-wavs/b.wav", "./prompt-wavs/a.wav"], ["a", "b", "a"]),
        (["spk0/ref.wav", "spk1/ref.wav", "spk0/ref.wav"], ["spk0/ref", "spk1/ref", "spk0/ref"]),
        (["wavs/spk0/ref.wav", "wavs/spk1/ref.wav"], ["spk0/ref", "spk1/ref"]),
        (["ref.wav", "spk1/ref.wav"], ["ref", "spk1/ref"]),
        (["p.1.wav", "", "p.2.wav"], ["p.1", "", "p.2"]),
        (["", ""], ["", ""]),
    ],
)
def test_the_path_of_a_prompt_tells_whose_voice_it_is_as_far_as_paths_differ(tmp_path: Path, prompts, speakers):
    path = write_list(tmp_path, *(f"r{row}|hello|{prompt}|say this" for row, prompt in enumerate(prompts)))
    assert [request.speaker for request in load_suite(f"list:{path}").requests] == speakers


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_lines_of_a_list_end_as_any_system_ends_them_and_nowhere_else(tmp_path: Path, newline):
    text = newline.join(["a|say\u2028this", "", "b|say\u0085that", ""])
    (tmp_path / "meta.lst").write_bytes(text.encode())
    requests = load_suite("list", data_dir=tmp_path).requests
    assert [request.text for request in requests] == ["say\u2028this", "say\u0085that"]


def test_a_list_names_every_bad_row(tmp_path: Path):
    path = write_list(
        tmp_path,
        "a|hello|p.wav|fine",
        "b",
        "a|hello|p.wav|again",
        "c|hello|../../etc/passwd|leaves",
        "d|hello|/etc/passwd|leaves too",
        "../e|hello|p.wav|bad id",
        "f|hello|p.wav| ",
        "p.wav|hello|g|say this",
        "h|say this|p.wav|hello.wav",
        "i\0|say this",
        "j|hello|p\0.wav|say this",
    )
    with pytest.raises(DataError) as caught:
        load_suite(f"list:{path}")
    message = str(caught.value)
    assert "meta.lst:2: 1 columns, expected 2 to 5" in message
    assert "meta.lst:3: the id 'a' is there twice" in message
    assert "meta.lst:4: the path '../../etc/passwd' leaves the data folder" in message
    assert "meta.lst:5" in message
    assert "meta.lst:6" in message
    assert "meta.lst:7: 'f' has no text" in message
    assert "meta.lst:8: 'g' is no audio file; are the columns in another order?" in message
    assert "meta.lst:9: the text is 'hello.wav', a file name; are the columns in another order?" in message
    assert "meta.lst:10: 'i\0' is not usable as an id" in message
    assert r"meta.lst:11: 'p\x00.wav' is no usable path" in message


def test_only_the_first_ten_problems_are_named(tmp_path: Path):
    path = write_list(tmp_path, *(["a|b|c|d|e|f"] * 13))
    with pytest.raises(DataError, match="and 3 more"):
        load_suite(f"list:{path}")


def test_an_empty_list_and_no_list(tmp_path: Path):
    with pytest.raises(DataError, match="no requests"):
        load_suite(f"list:{write_list(tmp_path, '')}")
    with pytest.raises(ConfigError, match="needs list:FILE"):
        load_suite("list")
    with pytest.raises(DataError, match="cannot be read"):
        load_suite(f"list:{tmp_path / 'nowhere.lst'}")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "gb18030"])
def test_a_list_is_read_in_whatever_encoding_it_came(tmp_path: Path, encoding):
    (tmp_path / "meta.lst").write_text("a|你好|p.wav|今天天气很好", encoding=encoding)
    (request,) = load_suite("list", data_dir=tmp_path).requests
    assert (request.id, request.text, request.language) == ("a", "今天天气很好", "zh")


def test_the_official_list_is_read(data: Path):
    suite = load_suite("list", data_dir=data / "seedtts_testset/en")
    assert len(suite.requests) == 10
    assert all(request.prompt.audio.is_file() for request in suite.requests)
