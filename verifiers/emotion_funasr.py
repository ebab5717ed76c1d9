"""emotion2vec through funasr: seven emotions, "other" and "unknown".

Thin: the clip goes to `generate`, whose scores are the probabilities and whose utterance features are the
embedding. funasr downloads the model from ModelScope.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tts_eval.emotions import Heard
from tts_eval.errors import WeightsError
from verifiers.emotion_model import RATE, checked_emotions
from verifiers.funasr_models import load_funasr


class FunasrEmotions:
    """A model of the emotion2vec family with a classification head."""

    shortest_seconds = 0.1

    def __init__(self, model: str, device: str) -> None:
        """Load a ModelScope name or a folder.

        Raises:
            WeightsError: funasr cannot load it, or it is no emotion classifier.
            MissingDependencyError: funasr is not installed.
        """
        self._model, self.judge = load_funasr(model, needed_for=f"emotion:{model}", extra="emotion2vec", device=device)
        try:
            (answer,) = self._answers(np.zeros(RATE, np.float32))
            self._labels = list(answer["labels"])
        except Exception as error:  # a model of another kind fails, or answers, in its own way
            raise WeightsError(
                f"The FunASR model '{model}' is no emotion classifier ({type(error).__name__}: {error}). Expected one "
                "of the emotion2vec_plus family, such as emotion:iic/emotion2vec_plus_large."
            ) from error
        self.emotions = checked_emotions(self._labels, model)

    def hear(self, clips_16k: Sequence[np.ndarray]) -> list[Heard]:
        """One result per clip; the model hears one at a time."""
        return [self._one(clip) for clip in clips_16k]

    def _one(self, clip: np.ndarray) -> Heard:
        (answer,) = self._answers(np.array(clip, np.float32))
        if list(answer["labels"]) != self._labels:
            raise ValueError(f"funasr named other classes than before: {answer['labels']}")
        scores = np.asarray(answer["scores"], np.float64)
        return Heard(scores / scores.sum(), np.asarray(answer["feats"], np.float32).reshape(-1))

    def _answers(self, clip: np.ndarray) -> list[dict[str, Any]]:
        answers: list[dict[str, Any]] = self._model.generate(
            clip, fs=RATE, granularity="utterance", extract_embedding=True
        )
        return answers
