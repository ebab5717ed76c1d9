"""Emotions by one set of names, whatever a data set or a model calls them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

EMOTIONS = ("neutral", "happy", "sad", "angry", "surprised", "fearful", "disgusted")
"""Names that mean the same in all models; others stay as they are."""

_SYNONYMS = {
    "neutral": ("neu", "neutrality"),
    "happy": ("hap", "happiness", "joy", "joyful"),
    "sad": ("sadness",),
    "angry": ("ang", "anger"),
    "surprised": ("sur", "surprise", "pleasant surprise"),
    "fearful": ("fea", "fear", "afraid"),
    "disgusted": ("dis", "disgust"),
}
_NAMES = {synonym: name for name, synonyms in _SYNONYMS.items() for synonym in (name, *synonyms)}


def emotion_name(label: str) -> str:
    """Our name of a label: `angry` of ANG, anger or 生气/angry; a label that we do not know, in lower case."""
    # funasr writes the Chinese word, a slash and the English one.
    plain = label.rpartition("/")[2].strip().lower().replace("_", " ")
    return _NAMES.get(plain, plain)


class Heard(NamedTuple):
    """What a classifier makes of one clip."""

    probabilities: np.ndarray
    """Float64 [labels], sums to 1."""
    embedding: np.ndarray
    """[D]; only its direction means something."""
