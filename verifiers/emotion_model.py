"""What an emotion classifier is, and by which names it calls emotions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from tts_eval.emotions import EMOTIONS, Heard, emotion_name
from tts_eval.errors import WeightsError

RATE = 16_000


class EmotionModel(Protocol):
    """Hears emotions."""

    @property
    def judge(self) -> str:
        """Backend and checkpoint with fingerprint."""
        ...

    @property
    def emotions(self) -> tuple[str, ...]:
        """What the probabilities are of, by our names."""
        ...

    @property
    def shortest_seconds(self) -> float:
        """The model can do nothing with a shorter clip."""
        ...

    def hear(self, clips_16k: Sequence[np.ndarray]) -> list[Heard]:
        """One result per clip at 16 kHz, each of its own clip alone."""
        ...


def checked_emotions(labels: Sequence[str], where: str) -> tuple[str, ...]:
    """The labels of a checkpoint by our names.

    Raises:
        WeightsError: fewer than two of them are emotions that we know: it classifies something else.
    """
    names = tuple(emotion_name(label) for label in labels)
    if len(set(names) & set(EMOTIONS)) < 2:
        raise WeightsError(
            f"{where} is no emotion classifier: its classes are {', '.join(labels)}; expected at least two of "
            f"{', '.join(EMOTIONS)}. Classes are named by id2label in config.json."
        )
    return names
