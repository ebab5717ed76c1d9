"""The recordings that `emotion-nano` learns from: RAVDESS, and read speech that nobody labelled.

RAVDESS (Livingstone and Russo 2018, CC BY-NC-SA 4.0) is known by its file names,
`03-01-EMOTION-INTENSITY-SENTENCE-REPETITION-ACTOR`, in any container. Its calm clips count as neutral, as
a class of their own that is added to it: nobody asks a voice for one and not the other. Fearful and disgusted
clips are left out. Read speech is a folder with a folder per speaker.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tts_eval.audio import AUDIO_SUFFIXES
from tts_eval.errors import DataError
from tts_eval.recipes.corpus import HELD_OUT_SPEAKERS

EMOTIONS = ("neutral", "happy", "sad", "angry", "surprised")
CLASSES = ("neutral", "neutral", "happy", "sad", "angry", "surprised")
"""What the head tells apart: the second is calm, which sounds unlike neutral but counts as such."""
CALM = 2
FOLDS = 4
SENTENCES = (1, 2)
_CODES = {1: "neutral", CALM: "neutral", 3: "happy", 4: "sad", 5: "angry", 8: "surprised"}
_NAME = re.compile(r"03-01(?:-(\d\d)){5}")
_ACTORS_PER_FOLD = 6
_HELD_OUT_EVERY = 3


class Block(NamedTuple):
    """Clips that are always trained on or tested on together."""

    fold: int
    sentence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Acted:
    """One clip of RAVDESS."""

    path: Path
    emotion: str
    is_calm: bool
    sentence: int
    """1 "Kids are talking by the door", 2 "Dogs are sitting by the door"."""
    repetition: int
    actor: int
    """1-24; odd ones are men."""

    @property
    def name(self) -> str:
        """File name without its ending."""
        return self.path.stem

    @property
    def label(self) -> int:
        """Index in `CLASSES`."""
        return 1 if self.is_calm else CLASSES.index(self.emotion)

    @property
    def fold(self) -> int:
        """Which of the four folds tests it: actors 1-6, 7-12, 13-18 or 19-24."""
        return (self.actor - 1) // _ACTORS_PER_FOLD


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """One clip of read speech."""

    path: Path
    corpus: str
    speaker: str
    is_held_out: bool
    """Whether only tests hear the speaker."""

    @property
    def name(self) -> str:
        """Unique among all corpora."""
        return f"{self.corpus}/{self.speaker}/{self.path.stem}"


def read_ravdess(folder: Path) -> list[Acted]:
    """The clips of the five emotions, in the order of their names.

    Raises:
        DataError: there are none, or one of the 24 actors is missing.
    """
    clips = sorted((clip for path in _audio(folder) if (clip := _acted(path)) is not None), key=lambda clip: clip.name)
    missing = sorted(set(range(1, FOLDS * _ACTORS_PER_FOLD + 1)) - {clip.actor for clip in clips})
    if missing:
        raise DataError(
            f"{folder} holds {len(clips)} clips named as RAVDESS names its speech (03-01-05-01-02-01-12.wav), and none "
            f"of actor {', '.join(map(str, missing))}; expected all 24. Give the unpacked Audio_Speech_Actors_01-24."
        )
    return clips


def read_speech(folders: Mapping[Path, int], random: np.random.Generator) -> list[Read]:
    """So many clips of every speaker of each folder, in random order; every third speaker is for tests only.

    Raises:
        DataError: a folder holds no folders with audio.
    """
    found: list[Read] = []
    for folder, clips_per_speaker in folders.items():
        before = len(found)
        speakers = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
        for number, speaker in enumerate(speakers):
            paths = sorted(_audio(speaker))
            names = {speaker.name, f"librispeech-{speaker.name}"}
            held_out = number % _HELD_OUT_EVERY == 0 or bool(names & HELD_OUT_SPEAKERS)
            found += [
                Read(path=paths[index], corpus=folder.name, speaker=speaker.name, is_held_out=held_out)
                for index in random.permutation(len(paths))[:clips_per_speaker]
            ]
        if len(found) == before:
            raise DataError(f"{folder} holds no read speech; expected FOLDER/SPEAKER/... with audio files.")
    random.shuffle(found)
    return found


def blocks(clips: Sequence[Acted]) -> dict[Block, list[int]]:
    """Indices of the clips by fold and sentence."""
    found: dict[Block, list[int]] = {}
    for index, clip in enumerate(clips):
        found.setdefault(Block(clip.fold, clip.sentence), []).append(index)
    return found


def test_folds(clips: Sequence[Acted]) -> Iterator[tuple[list[Block], list[int]]]:
    """Blocks to train on and indices of the clips to test on, fold after fold; no actor is in both."""
    parts = blocks(clips)
    for fold in range(FOLDS):
        yield (
            [block for block in parts if block.fold != fold],
            [index for index, clip in enumerate(clips) if clip.fold == fold],
        )


def test_folds_by_sentence(clips: Sequence[Acted]) -> Iterator[tuple[list[Block], list[int]]]:
    """As `test_folds`, but no sentence is in both either: eight folds."""
    for train, test in test_folds(clips):
        for sentence in SENTENCES:
            yield (
                [block for block in train if block.sentence != sentence],
                [index for index in test if clips[index].sentence == sentence],
            )


def _acted(path: Path) -> Acted | None:
    if not _NAME.fullmatch(path.stem):
        return None
    emotion, _, sentence, repetition, actor = map(int, path.stem.split("-")[2:])
    if emotion not in _CODES:
        return None
    return Acted(
        path=path,
        emotion=_CODES[emotion],
        is_calm=emotion == CALM,
        sentence=sentence,
        repetition=repetition,
        actor=actor,
    )


def _audio(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.suffix.lower() in AUDIO_SUFFIXES)
