"""`emotion-nano`: five emotions, heard by a linear classifier on what Whisper tiny.en's encoder makes of speech.

The head comes with the package (`tts_eval/bundled/emotion-nano`, with its model card); the encoder's weights are
those of `asr:tiny.en`. `python -m tts_eval.recipes.emotion` trains it. The head's weights are CC BY-NC-SA 4.0,
because those of the recordings are. Runs on the CPU.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tts_eval import weights
from tts_eval.emotion_features import EmotionFeatures
from tts_eval.emotions import Heard
from tts_eval.errors import WeightsError

ENCODER = "whisper-tiny.en"
FORMAT = "emotion-nano@1"
LIMIT = 5.0
"""Features further than this many deviations from the mean are cut: what the training never saw says nothing."""


@dataclass(frozen=True, slots=True, eq=False)
class EmotionHead:
    """Standardised features, mapped to where the classes differ most, and there compared with each class."""

    emotions: tuple[str, ...]
    mean: np.ndarray
    """[D]"""
    deviation: np.ndarray
    """[D]"""
    hidden: np.ndarray
    """[H, D]"""
    hidden_bias: np.ndarray
    output: np.ndarray
    """[emotions, H]"""
    output_bias: np.ndarray

    def __call__(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities [N, emotions] and embeddings [N, H] of feature rows [N, D]."""
        standardised = np.clip((rows - self.mean) / self.deviation, -LIMIT, LIMIT)
        embeddings = standardised @ self.hidden.T + self.hidden_bias
        logits = (embeddings @ self.output.T + self.output_bias).astype(np.float64)
        return np.exp(logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)), embeddings

    def logits(self, rows: np.ndarray) -> np.ndarray:
        """Log-probabilities [N, emotions] of feature rows."""
        logs: np.ndarray = np.log(np.maximum(self(rows)[0], np.finfo(np.float64).tiny))
        return logs

    def save(self, path: Path) -> None:
        """Write safetensors, float32."""
        from safetensors.numpy import save_file

        tensors = {name: np.ascontiguousarray(getattr(self, name), np.float32) for name in _SHAPES}
        # One entry only: safetensors writes several in any order, and the same head should be the same file.
        save_file(tensors, path, {FORMAT: ",".join(self.emotions)})

    @classmethod
    def load(cls, path: Path) -> EmotionHead:
        """The head in a file that `save` wrote, in float32.

        Raises:
            WeightsError: it is none.
        """
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, "numpy") as file:
                metadata = file.metadata() or {}
                tensors = {name: file.get_tensor(name).astype(np.float32) for name in file.keys()}  # noqa: SIM118
            if FORMAT not in metadata:
                raise ValueError(f"it is not marked as {FORMAT}")
            head = cls(tuple(metadata[FORMAT].split(",")), **tensors)
            head._check()
        except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
            raise WeightsError(
                f"{path} is no head of emotion-nano ({error}). Make it again: python -m tts_eval.recipes.emotion"
            ) from error
        return head

    def _check(self) -> None:
        sizes = {"E": len(self.emotions), "H": len(self.hidden_bias), "D": len(self.mean)}
        for name, axes in _SHAPES.items():
            array, expected = getattr(self, name), tuple(sizes[axis] for axis in axes)
            if array.shape != expected or not np.isfinite(array).all():
                raise ValueError(f"{name} has shape {array.shape}, expected {expected} of finite numbers")


_SHAPES = {"mean": "D", "deviation": "D", "hidden": "HD", "hidden_bias": "H", "output": "EH", "output_bias": "E"}


class EmotionNano:
    """Features and head: what the verifier `emotion:nano` hears with."""

    shortest_seconds = 0.1

    def __init__(self, head: EmotionHead, features: EmotionFeatures, judge: str) -> None:
        """Join a head with the features that it was trained on.

        Raises:
            WeightsError: the head is made for other features.
        """
        if len(head.mean) != features.size:
            raise WeightsError(
                f"The head of emotion-nano reads {len(head.mean)} features, and there are {features.size}. "
                "Make it again: python -m tts_eval.recipes.emotion"
            )
        self.emotions = head.emotions
        self.judge = judge
        self._head = head
        self._features = features

    @classmethod
    def shipped(cls) -> EmotionNano:
        """The one that comes with the package.

        Raises:
            WeightsError: the encoder has not been fetched.
        """
        features = EmotionFeatures(weights.locate(ENCODER) / "model.bin")
        path = weights.bundled("emotion-nano").folder / "model.safetensors"
        digest = hashlib.sha256(path.read_bytes() + weights.fingerprint(ENCODER).encode()).hexdigest()
        return cls(EmotionHead.load(path), features, f"emotion-nano@{digest[:12]}")

    def hear(self, clips_16k: Sequence[np.ndarray]) -> list[Heard]:
        """One result per clip: the means over its pieces, which are equally long."""
        heard = (self._head(self._features.rows(clip)) for clip in clips_16k)
        return [Heard(probabilities.mean(axis=0), embeddings.mean(axis=0)) for probabilities, embeddings in heard]
