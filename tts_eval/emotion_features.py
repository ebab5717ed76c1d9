"""What `emotion-nano` looks at: how the layers of Whisper tiny.en's encoder move, and prosody.

A clip is freed of the silence at its ends, brought to one loudness and cut into equal pieces of at most 4 s,
about as long as the clips that the classifier learned from. Of a piece it sees the mean and the deviation
over time of every state of the encoder's four layers, and the numbers of `tts_eval.prosody`.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from tts_eval.prosody import NAMES, RATE, prosody, speech_bounds

PIECE_SECONDS = 4.0
LOUDNESS = 0.06
"""Root mean square that every clip is brought to."""


class EmotionFeatures:
    """Turns clips into rows of numbers; runs on the CPU."""

    def __init__(self, weights: Path) -> None:
        """Load the encoder of a Whisper model in CTranslate2's format.

        Raises:
            WeightsError: `weights` is no such file.
        """
        from tts_eval.whisper_encoder import WhisperEncoder

        self._encoder = WhisperEncoder(weights).eval()
        self.size = 2 * len(self._encoder.layers) * self._encoder.norm.normalized_shape[0] + len(NAMES)
        """Numbers of a row."""

    def rows(self, samples_16k: np.ndarray) -> np.ndarray:
        """Float32 [pieces, size] of a clip at 16 kHz that is not silent."""
        return np.stack([self._row(piece) for piece in pieces(samples_16k)])

    def _row(self, samples: np.ndarray) -> np.ndarray:
        import torch

        with torch.inference_mode():
            states = self._encoder.states(torch.from_numpy(samples)[None])[1:]
            moments = [
                moment for state in states for moment in (state[0].mean(dim=0), state[0].std(dim=0, correction=0))
            ]
            heard: np.ndarray = torch.cat(moments).numpy()
        return np.concatenate([heard, prosody(samples)])


def speech_of(samples_16k: np.ndarray) -> np.ndarray:
    """The clip without the silence at its ends, float32, at one loudness."""
    first, end = speech_bounds(samples_16k)
    speech = np.asarray(samples_16k[first:end], np.float32)
    level = float(np.sqrt(np.mean(np.square(speech, dtype=np.float64))))
    return speech * np.float32(LOUDNESS / level if level > 0 else 1.0)


def pieces(samples_16k: np.ndarray) -> list[np.ndarray]:
    """`speech_of` the clip in equal parts of at most 4 s."""
    speech = speech_of(samples_16k)
    return np.array_split(speech, math.ceil(len(speech) / RATE / PIECE_SECONDS))
