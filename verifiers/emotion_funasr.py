"""emotion2vec through funasr: seven emotions, "other" and "unknown".

Thin: the clip goes to `generate`, whose scores are the probabilities and whose utterance features are the
embedding. funasr downloads the model from ModelScope; code that lies beside a model is not run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tts_eval.emotions import Heard
from tts_eval.errors import MissingDependencyError, WeightsError
from verifiers.emotion_model import RATE, checked_emotions


class FunasrEmotions:
    """A model of the emotion2vec family with a classification head."""

    shortest_seconds = 0.1

    def __init__(self, model: str, name: str, device: str) -> None:
        """Load a ModelScope name or a folder.

        Raises:
            WeightsError: funasr cannot load it, or it is no classifier.
            MissingDependencyError: funasr is not installed.
        """
        try:
            from funasr import AutoModel
        except ImportError as error:
            raise MissingDependencyError("funasr", f"emotion:{name}", "tts-eval-harness[emotion2vec]") from error
        try:
            self._model: Any = AutoModel(model=model, device=device, disable_update=True, disable_pbar=True)
            (answer,) = self._answers(np.zeros(RATE, np.float32))
        except Exception as error:  # funasr raises whatever its downloader and torch raise
            raise WeightsError(
                f"funasr cannot load the emotion classifier '{model}': {error}. Give a model of the emotion2vec_plus "
                "family (emotion:iic/emotion2vec_plus_large) or the folder of a copy, or check the connection."
            ) from error
        self._labels = list(answer.get("labels", []))
        self.emotions = checked_emotions(self._labels, model)
        self.judge = f"funasr:{name}"

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
