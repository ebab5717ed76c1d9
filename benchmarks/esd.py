"""ESD, the Emotional Speech Dataset: ten English and ten Mandarin speakers, five emotions each.

`esd:en` (speakers 0011-0020) and `esd:zh` (0001-0010) read 0011/0011.txt and 0011/EMOTION/[test/]0011_000021.wav
below --data-dir: the folder "Emotion Speech Dataset" of the archive. It needs a signed licence
(github.com/HLTSingapore/Emotional-Speech-Data), so nothing is downloaded. Of the 350 clips of a speaker
and emotion the official test part counts, the 21st to 50th, in either edition of the archive (with and
without folders for the parts): 1,500 requests. The prompt is the previous clip of speaker and emotion, the last one
for the first.

A transcript file says, in whatever encoding it was saved (`benchmarks.layout.decode`), `ID text label`; most
lines have tabs between, some have spaces, some lack the label.
"""

from __future__ import annotations

import re
from pathlib import Path

from benchmarks.emotional import EMOTION_JUDGES, ActedClip, acted_request
from benchmarks.layout import (
    data_root,
    decode,
    is_file,
    lines_of,
    raise_problems,
    require_data_dir,
    suite_name,
    wrong_language,
)
from benchmarks.suite import Suite
from tts_eval.errors import ConfigError

SPEAKERS = {
    "en": [f"{number:04d}" for number in range(11, 21)],
    "zh": [f"{number:04d}" for number in range(1, 11)],
}
EMOTIONS = {"Neutral": 0, "Angry": 350, "Happy": 700, "Sad": 1050, "Surprise": 1400}
"""By the number of the clip before the emotion's first."""
TEST = range(21, 51)
REQUESTS = 1500
_LINE = re.compile(r"(\d{4}_\d{6})\s+(.*)")
_LABELS = (*EMOTIONS, "中立", "生气", "愤怒", "快乐", "开心", "伤心", "悲伤", "难过", "惊喜", "惊讶")


def load_esd(*, argument: str, data_dir: Path | None) -> Suite:
    """`esd-LANGUAGE@1`; where speakers are missing, a `-part-DIGEST`.

    Raises:
        ConfigError: no such language, or no --data-dir.
        DataError: the folder is not in ESD's layout; the first ten problems are named.
    """
    if argument not in SPEAKERS:
        raise ConfigError(["Suite 'esd' has the parts en and zh; write --suite esd:en."])
    speakers = SPEAKERS[argument]
    what = f"ESD's speakers {speakers[0]} to {speakers[-1]}"
    folder = require_data_dir(f"esd:{argument}", data_dir, what)
    root = data_root(folder, [f"{speaker}/{speaker}.txt" for speaker in speakers], what)
    problems: list[str] = []
    requests = []
    for speaker in speakers:
        if (root / speaker).is_dir():
            texts = _read_transcripts(root / speaker / f"{speaker}.txt", problems)
            for emotion in EMOTIONS:
                clips = _test_clips(root, speaker, emotion, texts, problems)
                previous = [clips[-1], *clips[:-1]] if clips else []
                requests += [acted_request(*pair, argument) for pair in zip(clips, previous, strict=True)]
    problems += wrong_language(requests, argument, "The parts are en and zh.")
    raise_problems(f"{root} is not as ESD has it", problems)
    return Suite(
        name=suite_name(f"esd-{argument}", requests, is_whole=len(requests) == REQUESTS),
        requests=tuple(requests),
        judges=("asr:base" if argument == "en" else "asr:base:seed-tts@1", *EMOTION_JUDGES),
    )


def _read_transcripts(path: Path, problems: list[str]) -> dict[str, list[str]]:
    """What the file says of each clip.

    What is no line of a transcript is passed over: the file as published has such lines, and a clip whose text is
    lost that way is named where it is needed.
    """
    try:
        lines = lines_of(decode(path.read_bytes()))
    except OSError as error:
        problems.append(f"{path} cannot be read ({error.strerror}); expected lines of 'ID text label'")
        return {}
    texts: dict[str, list[str]] = {}
    for line in lines:
        if found := _LINE.fullmatch(line.strip()):
            texts.setdefault(found[1], []).append(_without_label(found[2]))
    return texts


def _without_label(text: str) -> str:
    text = text.strip()
    head, _, last = text.rpartition("\t")
    if head:
        return head.strip()
    head, _, last = text.rpartition(" ")
    return head.strip() if last in _LABELS else text


def _test_clips(
    root: Path, speaker: str, emotion: str, texts: dict[str, list[str]], problems: list[str]
) -> list[ActedClip]:
    clips = []
    folder = root / speaker / emotion
    for number in TEST:
        name = f"{speaker}_{EMOTIONS[emotion] + number:06d}"
        audio = next(
            (path for path in (folder / f"{name}.wav", folder / "test" / f"{name}.wav") if is_file(path)), None
        )
        said = list(dict.fromkeys(texts.get(name, [])))
        if audio is None:
            problems.append(f"'{name}': no audio at {folder / name}.wav; unpack the archive again")
        elif len(said) > 1:
            problems.append(f"'{name}': {speaker}.txt has it twice, with different texts; delete the wrong one")
        elif not said or not any(mark.isalnum() for mark in said[0]):
            problems.append(f"'{name}': no text in {speaker}.txt; add a line 'ID text label'")
        else:
            clips.append(ActedClip(id=name, audio=audio, text=said[0], speaker=speaker, emotion=emotion))
    return clips
