"""The voice model of Seed-TTS-Eval: WavLM-large with an ECAPA-TDNN head, out of the published file alone.

`wavlm_large_finetune.pth` (microsoft/UniSpeech, downstreams/speaker_verification) holds WavLM under
the names of UniLM's code and the head under UniSpeech's. Here WavLM runs in transformers and the head
in `verifiers.ecapa_tdnn`: no s3prl, no fairseq, no torch.hub, and the file is read with `weights_only`.
Sizes come from the weights, so WavLM-base-plus checkpoints of the same family load too. As in s3prl,
the head mixes the inputs of all layers and the encoder's output; clips of one batch are padded, masked
and do not change each other.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tts_eval.devices import most_together
from tts_eval.errors import MissingDependencyError, WeightsError
from tts_eval.execution import batched_by_length
from verifiers.fairseq_layout import STRIDES, renamed, sizes
from verifiers.speaker_encoder import RATE, direction

if TYPE_CHECKING:
    import torch
    from torch import Tensor

FARTHEST = 800
"""Frames beyond which relative positions are not told apart; the same in every WavLM."""
MAX_BATCH_SECONDS = 40.0
"""Of a batch with its padding; attention takes memory with the square of the longest clip."""

IGNORED = ("loss_calculator.", "feature_extract.model.mask_emb")
"""Weights that only training needs."""
_WAVLM = "feature_extract.model."
_HEAD_PARTS = {"Conv1dReluBn1": "before", "Res2Conv1dReluBn": "res2", "Conv1dReluBn2": "after", "SE_Connect": "gate"}


class WavLMEcapaEncoder:
    """Embeddings of 256 numbers, of either sign."""

    shortest_seconds = 0.045
    """Two frames: the variance over one is nothing."""
    lowest_cosine = -1.0

    def __init__(self, checkpoint: Path, device: torch.device) -> None:
        """Load the .pth file.

        Raises:
            WeightsError: the file cannot be read, or is not such a checkpoint.
            MissingDependencyError: transformers is not installed.
        """
        try:
            from transformers import WavLMConfig, WavLMModel
        except ImportError as error:
            raise MissingDependencyError(
                "transformers", f"speaker:{checkpoint}", "tts-eval-harness[speaker]"
            ) from error
        from verifiers.ecapa_tdnn import EcapaTdnn

        state = _read(checkpoint)
        try:
            wavlm = renamed(state, _WAVLM)
            model: Any = WavLMModel(WavLMConfig(**wavlm_settings(wavlm)))
            model.load_state_dict(wavlm)
            head = {_head_name(key): value for key, value in state.items() if not key.startswith("feature_extract.")}
            self._head = EcapaTdnn.from_state(head)
            expected = (model.config.num_hidden_layers + 1, model.config.hidden_size)
            if (self._head.layers, self._head.inputs) != expected:
                raise ValueError(f"the head mixes {self._head.layers} layers of {self._head.inputs}, not {expected}")
        except (KeyError, IndexError, RuntimeError, ValueError) as error:
            raise WeightsError(
                f"{checkpoint} is not WavLM with an ECAPA-TDNN head in UniSpeech's layout: {error}. Expected the "
                "file of UniSpeech's speaker verification that Seed-TTS-Eval uses, wavlm_large_finetune.pth."
            ) from error
        self._model = model.to(device).eval()
        self._head.to(device)
        # WavLM-large was trained on clips of mean 0 and variance 1, base and base-plus on clips as they are.
        self._standardise = bool(self._model.config.do_stable_layer_norm)
        # The group norm of WavLM-base takes its statistics over the padding too, so that there clips come alone.
        is_grouped = self._model.config.feat_extract_norm == "group"
        self._most_samples = 0 if is_grouped else most_together(device, int(MAX_BATCH_SECONDS * RATE))
        self._device = device

    def embed(self, clips_16k: Sequence[np.ndarray]) -> list[np.ndarray | None]:
        """One vector of length 1 per clip at 16 kHz of at least `shortest_seconds`; None if it has no direction."""
        import torch

        found: dict[int, np.ndarray | None] = {}
        with torch.inference_mode():
            for batch in batched_by_length([len(clip) for clip in clips_16k], self._most_samples):
                vectors = self._batch([clips_16k[index] for index in batch]).float().cpu().numpy()
                found.update(zip(batch, map(direction, vectors), strict=True))
        return [found[index] for index in range(len(clips_16k))]

    def _batch(self, clips: Sequence[np.ndarray]) -> Tensor:
        import torch

        longest = max(map(len, clips))
        audio = torch.zeros(len(clips), longest)
        mask = torch.zeros(len(clips), longest, dtype=torch.long)
        for row, clip in enumerate(clips):
            samples = torch.from_numpy(np.array(clip))
            audio[row, : len(clip)] = (
                torch.nn.functional.layer_norm(samples, samples.shape) if self._standardise else samples
            )
            mask[row, : len(clip)] = 1
        layers, lengths = self._layers(audio.to(self._device), mask.to(self._device))
        result: Tensor = self._head(layers, lengths)
        return result

    def _layers(self, audio: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """What WavLM's layers hear and what the last one says [layers + 1, B, T, D], and each row's frames [B]."""
        import torch

        with warnings.catch_warnings():
            # transformers 5 hands PyTorch a mask of truth values and one of numbers.
            warnings.filterwarnings("ignore", message="Support for mismatched key_padding_mask")
            heard = self._model(audio, attention_mask=mask, output_hidden_states=True)
        lengths: Tensor = self._model._get_feat_extract_output_lengths(mask.sum(dim=1))
        # transformers 5 gives the last layer's output as it was before the encoder's layer norm, version 4 after it.
        return torch.stack([*heard.hidden_states[:-1], heard.last_hidden_state]), lengths


def wavlm_settings(state: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of transformers' WavLMConfig for weights under its names.

    Raises:
        KeyError: a weight that tells a size is missing.
    """
    # Layer norms after every convolution, as in WavLM-large, come with layer norms before every block.
    large = f"feature_extractor.conv_layers.{len(STRIDES) - 1}.layer_norm.weight" in state
    buckets, heads = state["encoder.layers.0.attention.rel_attn_embed.weight"].shape
    return {
        **sizes(state),
        "num_attention_heads": heads,
        "conv_bias": "feature_extractor.conv_layers.0.conv.bias" in state,
        "num_buckets": buckets,
        "max_bucket_distance": FARTHEST,
        "feat_extract_norm": "layer" if large else "group",
        "do_stable_layer_norm": large,
        "mask_time_prob": 0.0,
        "mask_feature_prob": 0.0,
    }


def _read(checkpoint: Path) -> dict[str, Tensor]:
    import torch

    try:
        loaded = torch.load(checkpoint, map_location="cpu", weights_only=True)
        state = loaded.get("model", loaded)
        return {key: value.float() for key, value in state.items() if not key.startswith(IGNORED)}
    except Exception as error:  # torch raises half a dozen kinds for a damaged or foreign file
        raise WeightsError(
            f"{checkpoint} cannot be read as weights: {type(error).__name__}: {(str(error).splitlines() or [''])[0]} "
            "Expected a .pth file with nothing but tensors; download it again."
        ) from error


def _head_name(key: str) -> str:
    name = re.sub(r"^layer([234])\.", lambda match: f"blocks.{int(match[1]) - 2}.", key)
    return ".".join(_HEAD_PARTS.get(part, part) for part in name.split("."))
