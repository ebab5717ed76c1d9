"""x-vector models of transformers, such as microsoft/wavlm-base-plus-sv.

Any folder that `AutoModelForAudioXVector` knows and whose model hears raw audio (WavLM, wav2vec 2.0,
UniSpeech-SAT, Data2Vec). Clips come one at a time: the group norm of the base models takes its
statistics over the padding too.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tts_eval.errors import WeightsError
from verifiers.speaker_encoder import RATE, direction
from verifiers.transformers_audio import load_audio_model

if TYPE_CHECKING:
    import torch

UNUSED = ("classifier.", "objective.")
"""Parts of the head that only training needs."""


class XVectorEncoder:
    """Embeddings of 512 numbers, of either sign."""

    lowest_cosine = -1.0

    def __init__(self, folder: Path, device: torch.device) -> None:
        """Load the folder.

        Raises:
            WeightsError: it holds no x-vector model for 16 kHz audio.
            MissingDependencyError: transformers is not installed.
        """
        self._model, self._extractor = load_audio_model(
            "AutoModelForAudioXVector",
            folder,
            device,
            kind="x-vector model for speaker verification",
            example="microsoft/wavlm-base-plus-sv",
            extra="speaker",
            unused=UNUSED,
        )
        try:
            self.shortest_seconds = shortest_samples(self._model.config) / RATE
        except AttributeError as error:
            raise WeightsError(f"{folder} is no x-vector model that hears raw audio: {error}.") from error
        self._device = device

    def embed(self, clips_16k: Sequence[np.ndarray]) -> list[np.ndarray | None]:
        """One vector of length 1 per clip at 16 kHz of at least `shortest_seconds`; None if it has no direction."""
        import torch

        with torch.inference_mode():
            return [direction(self._embedding(clip)) for clip in clips_16k]

    def _embedding(self, clip: np.ndarray) -> np.ndarray:
        # Copied, because clips are read-only and PyTorch warns of such arrays.
        heard = self._extractor(np.array(clip), sampling_rate=RATE, return_tensors="pt")
        result: np.ndarray = self._model(heard.input_values.to(self._device)).embeddings[0].float().cpu().numpy()
        return result


def shortest_samples(config: Any) -> int:
    """Fewest samples of which two frames, enough for a standard deviation, come out of the head's convolutions."""
    frames = 2 + sum(
        (kernel - 1) * dilation for kernel, dilation in zip(config.tdnn_kernel, config.tdnn_dilation, strict=True)
    )
    for kernel, stride in zip(reversed(config.conv_kernel), reversed(config.conv_stride), strict=True):
        frames = (frames - 1) * stride + kernel
    return int(frames)
