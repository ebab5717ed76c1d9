"""How differently a speech recogniser hears two sounds: what the codec must not lose is the words.

The distance is between the outputs of Whisper tiny.en's encoder, which is frozen. Llasa's codec keeps
words in a like way: part of its encoder is a pre-trained speech model.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from tts_eval.whisper_encoder import WhisperEncoder


class RecogniserDistance(nn.Module):
    """Mean absolute difference of encoder outputs, which have about unit variance."""

    def __init__(self, weights: Path) -> None:
        """Load the encoder of a Whisper model in CTranslate2's format, float16.

        Raises:
            WeightsError: `weights` is no such file.
        """
        super().__init__()
        self.encoder = WhisperEncoder(weights)

    def forward(self, made: Tensor, real: Tensor) -> Tensor:
        """One number for audio [B, T] and [B, T] at 16 kHz."""
        # In float32: under bfloat16 autocast this takes three times as long on a CPU.
        with torch.autocast(made.device.type, enabled=False):
            with torch.no_grad():
                wanted = self.encoder(real)
            difference: Tensor = (self.encoder(made) - wanted).abs().mean()
            return difference
