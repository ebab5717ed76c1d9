from pathlib import Path

import numpy as np
import pytest

from benchmarks.suite import load_suite
from tts_eval.audio import Clip, write_audio
from tts_eval.errors import ConfigError, DataError

CHINESE = "今天天气很好"
SOUND = Clip(np.zeros(1600, dtype=np.float32), 16_000)


def make_set(root: Path, *rows: str, name: str = "en/meta.lst") -> Path:
    """A list, with the prompt p.wav beside it."""
    path = root / name
    (path.parent / "prompt-wavs").mkdir(parents=True, exist_ok=True)
    write_audio(path.parent / "prompt-wavs" / "p.wav", SOUND)
    path.write_text("\n".join(rows), encoding="utf-8")
    return root


@pytest.mark.parametrize(
    ("part", "path", "text", "language"),
    [
        ("en", "en/meta.lst", "say this", "en"),
        ("zh", "zh/meta.lst", CHINESE, "zh"),
        ("zh-hard", "zh/hardcase.lst", CHINESE, "zh"),
    ],
)
def test_each_part_has_its_list_and_language(tmp_path: Path, part, path, text, language):
    root = make_set(tmp_path, f"a|hello|prompt-wavs/p.wav|{text}", name=path)
    suite = load_suite(f"seed-tts-eval:{part}", data_dir=root)
    (request,) = suite.requests
    assert (request.id, request.text, request.language, request.speaker) == ("a", text, language, "p")
    assert suite.name.startswith(f"seed-tts-eval-{part}-part-")
    assert suite.judges[0] == "asr:base:seed-tts@1"


@pytest.mark.parametrize(("part", "rows"), [("en", 1088), ("zh-hard", 400)])
def test_only_a_list_of_the_published_length_has_the_suites_name(tmp_path: Path, part, rows):
    text, name = (CHINESE, "zh/hardcase.lst") if part == "zh-hard" else ("say this", "en/meta.lst")
    lines = [f"a{index}|hello|prompt-wavs/p.wav|{text}" for index in range(rows)]
    assert (
        load_suite(f"seed-tts-eval:{part}", data_dir=make_set(tmp_path, *lines, name=name)).name
        == f"seed-tts-eval-{part}@1"
    )
    assert "-part-" in load_suite(f"seed-tts-eval:{part}", data_dir=make_set(tmp_path, *lines[1:], name=name)).name


def test_ground_truth_is_the_fifth_column_or_the_wav_of_the_id(tmp_path: Path):
    root = make_set(
        tmp_path,
        "a|hello|prompt-wavs/p.wav|say this|prompt-wavs/p.wav",
        "b|hello|prompt-wavs/p.wav|say that",
        "c|hello|prompt-wavs/p.wav|say more",
    )
    (root / "en/wavs").mkdir()
    write_audio(root / "en/wavs/b.wav", SOUND)
    truths = [request.ground_truth for request in load_suite("seed-tts-eval:en", data_dir=root).requests]
    assert truths == [root / "en/prompt-wavs/p.wav", root / "en/wavs/b.wav", None]


def test_every_problem_is_named_at_once(tmp_path: Path):
    root = make_set(
        tmp_path,
        "a|hello|prompt-wavs/p.wav|say this",
        "a|hello|prompt-wavs/p.wav|say this twice",
        "b|hello|prompt-wavs/missing.wav|say that",
        "c|hello|prompt-wavs/p.wav|say more|wavs/missing.wav",
        "d|hello|../secret.wav|leave",
        "e|hello|prompt-wavs/link.wav|leave by a link",
        "hello|f|say this|prompt-wavs/p.wav",
    )
    (tmp_path / "en/prompt-wavs/link.wav").symlink_to("/etc/hostname")
    with pytest.raises(DataError) as caught:
        load_suite("seed-tts-eval:en", data_dir=root)
    message = str(caught.value)
    for part in (
        "meta.lst:2: the id 'a' is there twice",
        "'b': no prompt at",
        "'c': no ground truth at",
        "meta.lst:5: the path '../secret.wav' leaves the data folder",
        "meta.lst:6: the path 'prompt-wavs/link.wav' leaves the data folder",
        "meta.lst:7: 'say this' is no audio file; are the columns in another order?",
    ):
        assert part in message


def test_the_wrong_language_is_named_once(tmp_path: Path):
    rows = [f"a{index}|hello|prompt-wavs/p.wav|{CHINESE}" for index in range(20)]
    with pytest.raises(
        DataError, match=r"20 of 20 texts are in Chinese characters, 'a0' for one.*expected language 'en'"
    ):
        load_suite("seed-tts-eval:en", data_dir=make_set(tmp_path, *rows))
    rows = ["a|hello|prompt-wavs/p.wav|say this", *rows]
    assert len(load_suite("seed-tts-eval:zh", data_dir=make_set(tmp_path, *rows, name="zh/meta.lst")).requests) == 21
    with pytest.raises(DataError, match="without Chinese characters"):
        load_suite("seed-tts-eval:zh", data_dir=make_set(tmp_path, rows[0], name="zh/meta.lst"))


def test_a_folder_a_level_off_is_named_with_the_right_one(tmp_path: Path):
    root = make_set(tmp_path / "seedtts_testset", "a|hello|prompt-wavs/p.wav|say this")
    for wrong, word in ((root / "en", "too deep"), (root / "en/prompt-wavs", "too deep"), (tmp_path, "too shallow")):
        with pytest.raises(DataError, match=f"{word}.*Use --data-dir {root}"):
            load_suite("seed-tts-eval:en", data_dir=wrong)


def test_what_was_not_said(tmp_path: Path):
    with pytest.raises(ConfigError, match="write --suite seed-tts-eval:en"):
        load_suite("seed-tts-eval", data_dir=tmp_path)
    with pytest.raises(ConfigError, match="needs --data-dir"):
        load_suite("seed-tts-eval:en")


def test_the_official_rows_are_read(data: Path):
    suite = load_suite("seed-tts-eval:en", data_dir=data / "seedtts_testset")
    assert len(suite.requests) == 10
    assert len({request.speaker for request in suite.requests}) == 5
    assert all(request.prompt.audio.is_file() and request.prompt.transcript for request in suite.requests)
