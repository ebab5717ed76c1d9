"""Features of many clips as they are, disturbed, or cut short; computed once and kept.

A view is a way of changing a clip: `clean`, `v1` ... `v4` (what is trained with), one of `UNSEEN` or
`first-SECONDS`; its randomness follows from the clip's name and its own. A file of features that is there is
used if it is of the same clips and features; so a killed run goes on with the view it was at.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from tts_eval.audio import read_audio
from tts_eval.emotion_features import EmotionFeatures
from tts_eval.files import write_atomically
from tts_eval.recipes.emotion_data import Acted, Read
from tts_eval.recipes.perturbations import RATE, UNSEEN, perturbed

logger = logging.getLogger(__name__)

CLEAN = "clean"
DISTURBED = ("v1", "v2", "v3", "v4")
_FIRST = "first-"
_CUT_SHARE = 0.5
"""Of the disturbed clips, cut to a random stretch: unfinished speech."""
_SHORTEST_CUT = 0.5
_READ_SECONDS = (1.3, 3.5)


def first(seconds: float) -> str:
    """The view that hears no more than the first seconds."""
    return f"{_FIRST}{seconds:g}"


def acted_features(folder: Path, view: str, clips: Sequence[Acted], features: EmotionFeatures) -> np.ndarray:
    """Float32 [clips, size] of a view of RAVDESS clips."""
    return _kept(
        folder / f"{view}.npz",
        [clip.name for clip in clips],
        features,
        lambda index: _viewed(read_audio(clips[index].path).at(RATE), view, clips[index].name),
    )


def read_features(
    folder: Path, clips: Sequence[Read], features: EmotionFeatures, random: np.random.Generator
) -> np.ndarray:
    """Float32 [clips, size] of random stretches of read speech, about as long as the clips of RAVDESS."""

    def stretch(index: int) -> np.ndarray:
        samples = read_audio(clips[index].path).at(RATE)
        length = int(RATE * random.uniform(*_READ_SECONDS))
        start = int(random.integers(0, len(samples) - length)) if len(samples) > length else 0
        return samples[start : start + length]

    return _kept(folder / "read.npz", [clip.name for clip in clips], features, stretch)


def _viewed(samples: np.ndarray, view: str, name: str) -> np.ndarray:
    if view == CLEAN:
        return samples
    if view.startswith(_FIRST):
        return samples[: int(RATE * float(view.removeprefix(_FIRST)))]
    random = np.random.default_rng([*map(int, name.split("-")), sum(map(ord, view))])
    if view in UNSEEN:
        return UNSEEN[view](samples, random)
    disturbed = perturbed(samples, random)
    if random.random() >= _CUT_SHARE:
        return disturbed
    length = int(len(disturbed) * random.uniform(_SHORTEST_CUT, 1.0))
    start = int(random.integers(0, len(disturbed) - length + 1))
    return disturbed[start : start + length]


def _kept(
    path: Path, names: Sequence[str], features: EmotionFeatures, samples_of: Callable[[int], np.ndarray]
) -> np.ndarray:
    """The first piece of every clip: none of these is longer than a piece, but for a few slowed ones."""
    if path.is_file():
        with np.load(path, allow_pickle=False) as kept:
            if kept["names"].tolist() == list(names) and kept["rows"].shape[1] == features.size:
                found: np.ndarray = kept["rows"].astype(np.float32)
                return found
    rows = np.empty((len(names), features.size), np.float16)
    for index in range(len(names)):
        rows[index] = features.rows(samples_of(index))[0]
        if index % 200 == 199:
            logger.info("%s: %d of %d", path.stem, index + 1, len(names))
    write_atomically(path, lambda temporary: np.savez(temporary, names=np.array(names), rows=rows))
    return rows.astype(np.float32)
