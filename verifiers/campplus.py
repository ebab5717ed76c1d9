"""CAM++ of 3D-Speaker (zh + en, 200,000 speakers): a voice model that took no part in a choice by GE2E.

The checkpoint `campplus_cn_en_common.pt` of iic/speech_campplus_sv_zh_en_16k-common_advanced. Features are
3D-Speaker's: Kaldi's filter bank on samples in [-1, 1], without dither, the clip's mean taken off. Clips of one
batch are padded and do not change each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tts_eval.devices import most_together
from tts_eval.errors import WeightsError
from tts_eval.execution import batched_by_length
from tts_eval.kaldi_fbank import FRAME, HOP, RATE, kaldi_fbank
from verifiers.speaker_encoder import direction

if TYPE_CHECKING:
    import torch
    from torch import Tensor

SHORTEST_FRAMES = 3
"""Two at half rate: the deviation of one is nothing."""
MAX_BATCH_SECONDS = 20.0
"""Of a batch with its padding. On a CPU, the images of more than that leave the cache and take a third longer."""


class CamPlusPlusEncoder:
    """Embeddings of 192 numbers, of either sign."""

    shortest_seconds = (FRAME + (SHORTEST_FRAMES - 1) * HOP) / RATE
    lowest_cosine = -1.0

    def __init__(self, checkpoint: Path, device: torch.device) -> None:
        """Load the file.

        Raises:
            WeightsError: it cannot be read, or is not such a checkpoint.
        """
        import torch

        from verifiers.campplus_network import CamPlusPlus

        try:
            state = torch.load(checkpoint, map_location="cpu", weights_only=True)
            self._network = CamPlusPlus.from_state(state).to(device)
        except Exception as error:  # torch raises half a dozen kinds for a damaged or foreign file
            raise WeightsError(
                f"{checkpoint} is not a CAM++ checkpoint of 3D-Speaker ({type(error).__name__}: {error}). "
                f"Delete {checkpoint.parent} and run: tts-eval fetch campplus"
            ) from error
        self._most_samples = most_together(device, int(MAX_BATCH_SECONDS * RATE))
        self._device = device

    def embed(self, clips_16k: Sequence[np.ndarray]) -> list[np.ndarray | None]:
        """One vector of length 1 per clip at 16 kHz of at least `shortest_seconds`; None if it has no direction."""
        import torch

        found: dict[int, np.ndarray | None] = {}
        with torch.inference_mode():
            for batch in batched_by_length([len(clip) for clip in clips_16k], self._most_samples):
                vectors = self._batch([self._features(clips_16k[index]) for index in batch]).cpu().numpy()
                found.update(zip(batch, map(direction, vectors), strict=True))
        return [found[index] for index in range(len(clips_16k))]

    def _features(self, clip: np.ndarray) -> Tensor:
        import torch

        features = kaldi_fbank(clip, self._network.bands)
        return torch.from_numpy(features - features.mean(axis=0))

    def _batch(self, features: Sequence[Tensor]) -> Tensor:
        import torch

        lengths = torch.tensor([len(frames) for frames in features])
        padded = torch.nn.utils.rnn.pad_sequence(list(features), batch_first=True)
        result: Tensor = self._network(padded.to(self._device), lengths.to(self._device))
        return result
