from collections import Counter
from pathlib import Path

import pytest

from benchmarks import esd
from benchmarks.suite import load_suite
from tts_eval.errors import ConfigError, DataError

TEXT = {"en": "It’s the nine eggs I keep, number {}.", "zh": "打远一看，它们的确很是美丽，第{}句。"}
LABELS = {
    "en": {name: name for name in esd.EMOTIONS},
    "zh": dict(zip(esd.EMOTIONS, ["中立", "生气", "快乐", "伤心", "惊喜"], strict=True)),
}


def make_esd(root: Path, speakers: list[str], language: str = "en", encoding: str = "utf-8", test: str = "") -> Path:
    """Speakers with the test part of each emotion; `test` is the folder of the older edition."""
    for speaker in speakers:
        lines = []
        for emotion, before in esd.EMOTIONS.items():
            folder = root / speaker / emotion / test
            folder.mkdir(parents=True, exist_ok=True)
            for number in esd.TEST:
                name = f"{speaker}_{before + number:06d}"
                (folder / f"{name}.wav").touch()
                lines.append(f"{name}\t{TEXT[language].format(number)}\t{LABELS[language][emotion]}")
        (root / speaker / f"{speaker}.txt").write_bytes("\r\n".join(lines).encode(encoding))
    return root


@pytest.mark.parametrize(
    ("language", "encoding"),
    [
        ("en", "utf-8"), ("en", "utf-8-sig"), ("en", "utf-16"), ("en", "utf-16-le"), ("en", "cp1252"),
        ("en", "gb18030"), ("zh", "utf-8"), ("zh", "utf-16"), ("zh", "utf-16-be"), ("zh", "gb18030"), ("zh", "gb2312"),
    ],
)  # fmt: skip
def test_esd_reads_transcripts_in_every_encoding_that_they_come_in(tmp_path: Path, language, encoding):
    speaker = esd.SPEAKERS[language][0]
    suite = load_suite(f"esd:{language}", data_dir=make_esd(tmp_path, [speaker], language, encoding))
    assert len(suite.requests) == 150
    assert suite.requests[0].text == TEXT[language].format(21)
    assert {request.language for request in suite.requests} == {language}


@pytest.mark.parametrize("test", ["", "test"])
def test_esd_takes_the_previous_clip_of_speaker_and_emotion(tmp_path: Path, test):
    suite = load_suite("esd:en", data_dir=make_esd(tmp_path, esd.SPEAKERS["en"], test=test))
    assert suite.name == "esd-en@1"
    assert len(suite.requests) == 1500
    by_id = {request.id: request for request in suite.requests}
    request, first = by_id["0011_000372"], by_id["0011_000371"]
    assert request.prompt.audio == tmp_path / "0011/Angry" / test / "0011_000371.wav"
    assert request.prompt.transcript == first.text
    assert first.prompt.audio.stem == "0011_000400"
    assert (request.group, request.prompt.style, request.metadata["emotion"]) == ("angry", "angry", "angry")
    assert request.speaker == "0011"
    assert request.ground_truth.stem == request.id
    assert {r.group for r in suite.requests} == {"neutral", "angry", "happy", "sad", "surprised"}


def test_esd_reads_lines_without_tabs_or_label(tmp_path: Path):
    root = make_esd(tmp_path, ["0011"])
    path = root / "0011/0011.txt"
    lines = path.read_text().splitlines()
    lines[0] = "0011_000021 Let the glass globe be. Neutral"
    lines[1] = "0011_000022\tLet it be."
    lines[2] += "\n\nnot a line of a transcript"
    path.write_text("\n".join(lines))
    first, second, *_ = load_suite("esd:en", data_dir=root).requests
    assert (first.text, second.text) == ("Let the glass globe be.", "Let it be.")


def test_esd_names_every_problem(tmp_path: Path):
    root = make_esd(tmp_path, ["0011", "0012"])
    (root / "0011/Sad/0011_001071.wav").unlink()
    path = root / "0012/0012.txt"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[1:], lines[1].replace("nine", "ten")]))
    with pytest.raises(DataError) as caught:
        load_suite("esd:en", data_dir=root)
    for part in (
        "'0011_001071': no audio",
        "'0012_000021': no text in 0012.txt",
        "'0012_000022': 0012.txt has it twice",
    ):
        assert part in str(caught.value)
    path.unlink()
    with pytest.raises(DataError, match=r"0012\.txt cannot be read"):
        load_suite("esd:en", data_dir=root)


def test_esd_names_the_other_language_and_the_folder_that_was_meant(tmp_path: Path):
    root = make_esd(tmp_path / "Emotional Speech Dataset (ESD)/Emotion Speech Dataset", ["0011"], "zh")
    with pytest.raises(DataError, match="texts are in Chinese characters"):
        load_suite("esd:en", data_dir=root)
    with pytest.raises(DataError, match=r"too shallow.*Use --data-dir .*/Emotion Speech Dataset\."):
        load_suite("esd:en", data_dir=tmp_path)
    with pytest.raises(DataError, match="too deep"):
        load_suite("esd:en", data_dir=root / "0011")
    with pytest.raises(ConfigError, match="parts en and zh"):
        load_suite("esd", data_dir=root)


def make_ravdess(root: Path, actor: int = 1) -> Path:
    folder = root / f"Actor_{actor:02d}"
    folder.mkdir(parents=True)
    for emotion in range(1, 9):
        for intensity in (1,) if emotion == 1 else (1, 2):
            for statement in (1, 2):
                for repetition in (1, 2):
                    name = f"03-01-{emotion:02d}-{intensity:02d}-{statement:02d}-{repetition:02d}-{actor:02d}.wav"
                    (folder / name).touch()
    return root


def test_ravdess_prompts_with_the_other_sentence(tmp_path: Path):
    suite = load_suite("ravdess", data_dir=make_ravdess(tmp_path))
    assert suite.name.startswith("ravdess-part-")
    assert len(suite.requests) == 36
    by_id = {request.id: request for request in suite.requests}
    request = by_id["03-01-05-02-01-02-01"]
    assert request.text == "Kids are talking by the door."
    assert request.prompt.audio.stem == "03-01-05-02-02-02-01"
    assert request.prompt.transcript == "Dogs are sitting by the door."
    assert request.metadata == {"emotion": "angry", "intensity": "strong"}
    assert (request.speaker, request.group) == ("Actor_01", "angry")
    everything = load_suite("ravdess:all", data_dir=tmp_path).requests
    assert len(everything) == 60
    assert {r.group for r in everything} - {r.group for r in suite.requests} == {"calm", "fearful", "disgusted"}


def test_ravdess_names_what_is_odd(tmp_path: Path):
    root = make_ravdess(tmp_path)
    (root / "Actor_01/03-01-08-02-01-02-01.wav").rename(root / "Actor_01/03-01-08-02-01-02-07.wav")
    (root / "Actor_01/03-01-01-01-01-01-01.flac").touch()
    with pytest.raises(DataError) as caught:
        load_suite("ravdess", data_dir=root)
    for part in ("02-07.wav: expected names such as", "is there twice", "has 59 clips, expected 60"):
        assert part in str(caught.value)
    with pytest.raises(ConfigError, match="takes no argument or 'all'"):
        load_suite("ravdess:some", data_dir=root)
    with pytest.raises(DataError, match="too deep"):
        load_suite("ravdess", data_dir=root / "Actor_01")


def test_the_real_ravdess_is_read(data: Path):
    suite = load_suite("ravdess", data_dir=data / "RAVDESS")
    assert (suite.name, len(suite.requests)) == ("ravdess@1", 864)
    assert load_suite("ravdess:all", data_dir=data / "RAVDESS").name == "ravdess-all@1"
    sample = load_suite("ravdess", data_dir=data / "RAVDESS", sample=10).requests
    counts = Counter(request.group for request in sample)
    assert len({request.speaker for request in sample}) >= 8
    for emotion, count in Counter(request.group for request in suite.requests).items():
        assert abs(counts[emotion] - count / 86.4) < 1
