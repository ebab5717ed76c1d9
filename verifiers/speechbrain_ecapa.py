"""SpeechBrain's ECAPA-TDNN for speaker verification, out of `embedding_model.ckpt` alone.

SpeechBrain's own loader runs the constructors that the recipe beside the weights names, links or copies
files about and may ask the hub again. Here the published settings of spkrec-ecapa-voxceleb are code (80
mel bands, mean of the clip subtracted, dilations 1, 2, 3, 4), sizes come from the weights, and nothing
but the one file is opened. Clips come one at a time: SpeechBrain's convolutions reflect at the end of a
batch, so the padding of a shorter clip would change its embedding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tts_eval.errors import MissingDependencyError, WeightsError
from verifiers.speaker_encoder import direction

if TYPE_CHECKING:
    import torch

MEL_BANDS = 80
KERNELS = (5, 3, 3, 3, 1)
DILATIONS = (1, 2, 3, 4, 1)


class SpeechBrainEcapaEncoder:
    """Embeddings of 192 numbers, of either sign, as `EncoderClassifier.encode_batch` gives them."""

    shortest_seconds = 0.06
    """The widest convolution reflects four frames of 10 ms."""
    lowest_cosine = -1.0

    def __init__(self, checkpoint: Path, device: torch.device) -> None:
        """Load `embedding_model.ckpt`.

        Raises:
            WeightsError: the file cannot be read, or holds another model.
            MissingDependencyError: speechbrain is not installed.
        """
        import torch

        try:
            from speechbrain.lobes.features import Fbank
            from speechbrain.lobes.models.ECAPA_TDNN import ECAPA_TDNN
            from speechbrain.processing.features import InputNormalization
        except ImportError as error:
            raise MissingDependencyError(
                "speechbrain", f"speaker:{checkpoint.parent}", "tts-eval-harness[speaker]"
            ) from error
        try:
            state = torch.load(checkpoint, map_location="cpu", weights_only=True)
            self._model = ECAPA_TDNN(**ecapa_settings(state))
            self._model.load_state_dict(state)
        except Exception as error:  # torch raises half a dozen kinds for a damaged or foreign file
            raise WeightsError(
                f"{checkpoint} is not SpeechBrain's ECAPA-TDNN: {type(error).__name__}: {error}. Expected the file of "
                "speechbrain/spkrec-ecapa-voxceleb; other SpeechBrain models are not known here."
            ) from error
        self._model.to(device).eval()
        self._features = Fbank(n_mels=MEL_BANDS).to(device).eval()
        self._centre = InputNormalization(norm_type="sentence", std_norm=False).to(device).eval()
        self._device = device

    def embed(self, clips_16k: Sequence[np.ndarray]) -> list[np.ndarray | None]:
        """One vector of length 1 per clip at 16 kHz of at least `shortest_seconds`; None if it has no direction."""
        import torch

        with torch.inference_mode():
            return [direction(self._embedding(torch.from_numpy(np.array(clip)))) for clip in clips_16k]

    def _embedding(self, samples: torch.Tensor) -> np.ndarray:
        import torch

        whole = torch.ones(1, device=self._device)
        features = self._centre(self._features(samples[None].to(self._device)), whole)
        result: np.ndarray = self._model(features, whole)[0, 0].cpu().numpy()
        return result


def ecapa_settings(state: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of SpeechBrain's ECAPA_TDNN for these weights.

    Raises:
        KeyError: a weight that tells a size is missing.
    """
    blocks = [state["blocks.0.conv.conv.weight"], *(state[f"blocks.{n}.tdnn1.conv.conv.weight"] for n in (1, 2, 3))]
    inner = [key for key in state if key.startswith("blocks.1.res2net_block.") and key.endswith(".conv.conv.weight")]
    return {
        "input_size": MEL_BANDS,
        "lin_neurons": state["fc.conv.weight"].shape[0],
        "channels": [weight.shape[0] for weight in (*blocks, state["mfa.conv.conv.weight"])],
        "kernel_sizes": list(KERNELS),
        "dilations": list(DILATIONS),
        "attention_channels": state["asp.tdnn.conv.conv.weight"].shape[0],
        "res2net_scale": 1 + len(inner),
        "se_channels": state["blocks.1.se_block.conv1.conv.weight"].shape[0],
    }
