from pathlib import Path

import pytest

from benchmarks.librispeech_pc import LIST, read_pairs
from benchmarks.suite import load_suite
from tts_eval.errors import ConfigError, DataError

GOOD = ["1-2-0000", "3.5", "What's that?", "1-3-0000", "5.5", "Well, it is."]


def make_corpus(root: Path, *rows: list[str], audio: str = "test-clean", newline: str = "\r\n") -> Path:
    """The list, and a file for each id of its good rows."""
    for row in [GOOD, *rows]:
        for name in (row[0], row[3] if len(row) > 3 else row[0]):
            speaker, chapter = (*name.split("-"), "x")[:2]
            path = root / audio / speaker / chapter / f"{name}.flac"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    (root / LIST).write_bytes(newline.join("\t".join(row) for row in rows).encode())
    return root


@pytest.mark.parametrize("audio", ["test-clean", "LibriSpeech/test-clean"])
def test_a_pair_is_a_request(tmp_path: Path, audio):
    suite = load_suite("librispeech-pc", data_dir=make_corpus(tmp_path, GOOD, audio=audio))
    (request,) = suite.requests
    assert (request.id, request.text, request.speaker) == ("1-3-0000", "Well, it is.", "1")
    assert request.prompt.transcript == "What's that?"
    assert request.prompt.audio == tmp_path / audio / "1/2/1-2-0000.flac"
    assert request.ground_truth == tmp_path / audio / "1/3/1-3-0000.flac"
    assert suite.name.startswith("librispeech-pc-part-")
    assert "asr:base:f5@1" in suite.judges


def test_every_bad_row_is_named(tmp_path: Path):
    root = make_corpus(
        tmp_path,
        GOOD,
        GOOD,
        GOOD[:5],
        ["3.5", "1-2-0000", *GOOD[2:]],
        [*GOOD[:3], "1-3-0001", "10.5", "Too long."],
        [*GOOD[:3], "1-3-0002", "soon", "When?"],
        [*GOOD[:3], "1-3-0003", "5.0", "..."],
        [*GOOD[:3], "../../1-3-0004", "5.0", "Out."],
        [*GOOD[:3], "9-9-0000", "5.0", "Missing."],
    )
    (root / "test-clean/9/9/9-9-0000.flac").unlink()
    with pytest.raises(DataError) as caught:
        load_suite("librispeech-pc", data_dir=root)
    message = str(caught.value)
    for part in (
        ":2: the target '1-3-0000' is there twice",
        ":3: 5 columns, expected 6",
        ":4: '3.5' is no LibriSpeech id",
        ":5: '1-3-0001' has 10.5 s; the protocol takes 4-10 s",
        ":6: 'soon' is no number of seconds",
        ":7: '1-3-0003' has no text",
        ":8: '../../1-3-0004' is no LibriSpeech id",
        ":9: no audio at",
    ):
        assert part in message


def test_what_is_missing_is_named(tmp_path: Path):
    with pytest.raises(ConfigError, match="needs --data-dir"):
        load_suite("librispeech-pc")
    with pytest.raises(DataError, match="does not hold the list"):
        load_suite("librispeech-pc", data_dir=tmp_path)
    (tmp_path / LIST).write_text("\t".join(GOOD))
    with pytest.raises(DataError, match="prepare librispeech --data-dir"):
        load_suite("librispeech-pc", data_dir=tmp_path)
    (tmp_path / "test-clean").mkdir()
    with pytest.raises(DataError, match="is a folder; expected a list"):
        load_suite("librispeech-pc:test-clean", data_dir=tmp_path)


def test_the_published_list_is_read(data: Path, tmp_path: Path):
    """With a file for each id, since the corpus is not at hand: 1,127 pairs, 39 speakers, 448 prompts."""
    published = data / LIST
    rows = [line.split("\t") for line in published.read_text().splitlines()]
    make_corpus(tmp_path, *rows)
    suite = load_suite("librispeech-pc", data_dir=tmp_path)
    assert suite.name == "librispeech-pc@1"
    assert len(suite.requests) == 1127
    assert len({request.speaker for request in suite.requests}) == 39
    assert len({request.prompt.audio for request in suite.requests}) == 448
    problems: list[str] = []
    assert not read_pairs(published, tmp_path / "nowhere", problems)
    assert len(problems) == 1127
