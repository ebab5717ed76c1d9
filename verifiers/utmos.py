"""UTMOS: the opinion score of the VoiceMOS challenge 2022 that TTS papers report, from a file the user has.

The strong learner of Saeki et al. (arXiv 2204.02152) in the layout of tarepan/SpeechMOS's
`utmos22_strong_step7459_v1.pt` (MIT): wav2vec 2.0, the embeddings of one listener and one data set, a
bidirectional LSTM, a score per frame, their mean. No wheel carries the weights. wav2vec 2.0 runs in
transformers: no fairseq, no torch.hub, and the file is read with `weights_only`. Sizes come from the weights.
Clips come one at a time, as its group norm takes statistics over padding too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tts_eval.errors import MissingDependencyError, WeightsError
from verifiers.fairseq_layout import renamed, sizes

if TYPE_CHECKING:
    import torch

HEAD_WIDTH = 64
"""Of an attention head, in every wav2vec 2.0; the weights do not tell."""
HALF_RANGE, MIDDLE = 2.0, 3.0
"""The network speaks of opinions from -1 to 1; people of 1 to 5."""

_SSL = "wav2vec2."


class Utmos:
    """Opinions from 1 to 5."""

    shortest_seconds = 0.025
    """One frame."""

    def __init__(self, checkpoint: Path, device: torch.device) -> None:
        """Load the .pt file.

        Raises:
            WeightsError: the file cannot be read, or is not such a checkpoint.
            MissingDependencyError: transformers is not installed.
        """
        try:
            import torch
            from transformers import Wav2Vec2Config, Wav2Vec2Model
        except ImportError as error:
            raise MissingDependencyError(
                "transformers", f"quality:{checkpoint}", "tts-eval-harness[speaker]"
            ) from error
        try:
            state = torch.load(checkpoint, map_location="cpu", weights_only=True)
            ssl = renamed(state, _SSL)
            model: Any = Wav2Vec2Model(Wav2Vec2Config(**wav2vec2_settings(ssl)))
            model.load_state_dict(ssl)
            self._context = torch.cat([state["domain_emb"], state["judge_emb"]], dim=1).to(device)
            self._rnn = _rnn_of(state).to(device)
            self._projection = _projection_of(state).to(device)
            surplus = [key for key in state if not key.startswith((_SSL, "domain_emb", "judge_emb", *_HEAD))]
            if surplus:
                raise ValueError(f"it also holds {', '.join(sorted(surplus)[:3])}")
        except Exception as error:  # torch raises half a dozen kinds for a damaged or foreign file
            raise WeightsError(
                f"{checkpoint} is not UTMOS22 (strong): {type(error).__name__}: {error} Expected "
                "utmos22_strong_step7459_v1.pt of tarepan/SpeechMOS, nothing but tensors."
            ) from error
        self._ssl = model.to(device).eval()
        self._device = device

    def rate(self, clips_16k: Sequence[np.ndarray]) -> list[float]:
        """One opinion per clip at 16 kHz of at least `shortest_seconds`; below 1, where nobody can vote, is 1."""
        import torch

        with torch.inference_mode():
            return [max(self._rate(torch.from_numpy(np.array(clip, np.float32))), 1.0) for clip in clips_16k]

    def _rate(self, samples: torch.Tensor) -> float:
        import torch

        frames = self._ssl(samples.to(self._device)[None]).last_hidden_state
        context = self._context.expand(1, frames.shape[1], -1)
        heard, _ = self._rnn(torch.cat([frames, context], dim=2))
        return float(self._projection(heard).mean()) * HALF_RANGE + MIDDLE


_HEAD = ("blstm.", "projection.")


def _rnn_of(state: Mapping[str, torch.Tensor]) -> torch.nn.LSTM:
    from torch import nn

    own = {key.removeprefix("blstm."): value for key, value in state.items() if key.startswith("blstm.")}
    wide, inputs = own["weight_ih_l0"].shape
    rnn = nn.LSTM(inputs, wide // 4, batch_first=True, bidirectional=True)
    rnn.load_state_dict(own)
    return rnn


def _projection_of(state: Mapping[str, torch.Tensor]) -> torch.nn.Sequential:
    from torch import nn

    own = {key.removeprefix("projection."): value for key, value in state.items() if key.startswith("projection.")}
    inner, inputs = own["0.weight"].shape
    projection = nn.Sequential(nn.Linear(inputs, inner), nn.ReLU(), nn.Linear(inner, 1))
    projection.load_state_dict(own)
    return projection


def wav2vec2_settings(state: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of transformers' Wav2Vec2Config for weights of the base family under its names.

    Raises:
        KeyError: a weight that tells a size is missing.
    """
    settings = sizes(state)
    return {
        **settings,
        "num_attention_heads": settings["hidden_size"] // HEAD_WIDTH,
        "mask_time_prob": 0.05,  # makes room for the mask's embedding, which the file holds; eval never masks
    }
