"""SpeechBrain's emotion-recognition-wav2vec2-IEMOCAP, without SpeechBrain.

Its folder holds the state of a wav2vec 2.0 base encoder (wav2vec2.ckpt), of one linear layer (model.ckpt) and the
order of the labels. hyperparams.yaml and custom_interface.py, which would be run, stay unread: the
audio is normalised, the encoder's output is layer-normed over the whole clip, its mean over time is the
embedding, and the linear layer gives the logits. The original adds noise of 1e-5 to the mean; this does not.
Clips are heard one by one, because the encoder has no attention mask.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tts_eval.emotions import Heard
from tts_eval.errors import MissingDependencyError, WeightsError
from verifiers.emotion_model import checked_emotions

if TYPE_CHECKING:
    import torch

SPEECHBRAIN_FILES = ("wav2vec2.ckpt", "model.ckpt", "label_encoder.txt")
HEAD_WIDTH = 64
"""Of every wav2vec 2.0 encoder's attention."""


class SpeechBrainEmotions:
    """Encoder and linear layer."""

    shortest_seconds = 0.1

    def __init__(self, folder: Path, name: str, device: torch.device) -> None:
        """Load wav2vec2.ckpt, model.ckpt and label_encoder.txt of `folder`.

        Raises:
            WeightsError: they are not what SpeechBrain's recipe writes.
            MissingDependencyError: transformers is not installed.
        """
        try:
            from transformers import Wav2Vec2Model
        except ImportError as error:
            raise MissingDependencyError("transformers", f"emotion:{name}", "tts-eval-harness[transformers]") from error
        import torch

        try:
            encoder = {
                _current(key.removeprefix("model.")): value
                for key, value in torch.load(folder / SPEECHBRAIN_FILES[0], "cpu", weights_only=True).items()
            }
            (self._linear,) = torch.load(folder / SPEECHBRAIN_FILES[1], "cpu", weights_only=True).values()
            labels = _labels((folder / SPEECHBRAIN_FILES[2]).read_text(encoding="utf-8"))
            if tuple(self._linear.shape) != (len(labels), len(encoder["encoder.layer_norm.weight"])):
                raise ValueError(f"{SPEECHBRAIN_FILES[1]} has shape {tuple(self._linear.shape)}")
            network: Any = Wav2Vec2Model(_config(encoder))
            lacking = network.load_state_dict(encoder, strict=False).missing_keys
            if set(lacking) - {"masked_spec_embed"}:
                raise ValueError(f"{SPEECHBRAIN_FILES[0]} lacks {lacking[0]}")
        except Exception as error:  # torch raises half a dozen kinds for a damaged or foreign file
            raise WeightsError(
                f"{folder} is not a wav2vec 2.0 emotion classifier of SpeechBrain ({error}). Expected "
                f"{', '.join(SPEECHBRAIN_FILES)} as in speechbrain/emotion-recognition-wav2vec2-IEMOCAP."
            ) from error
        self.emotions = checked_emotions(labels, str(folder))
        self.judge = f"speechbrain:{name}"
        self._device = device
        self._encoder = network.eval().to(device)
        self._linear = self._linear.float().to(device)

    def hear(self, clips_16k: Sequence[np.ndarray]) -> list[Heard]:
        """One result per clip."""
        return [self._one(clip) for clip in clips_16k]

    def _one(self, clip: np.ndarray) -> Heard:
        import torch
        from torch.nn.functional import layer_norm

        with torch.inference_mode():
            audio = torch.from_numpy(np.array(clip, np.float32)).to(self._device)
            states = self._encoder(layer_norm(audio, audio.shape)[None]).last_hidden_state[0]
            embedding = layer_norm(states, states.shape).mean(dim=0)
            probabilities = (self._linear @ embedding).double().softmax(dim=0)
        return Heard(probabilities.cpu().numpy(), embedding.cpu().numpy())


def _labels(text: str) -> list[str]:
    """Labels in order of their index, of lines `'neu' => 0`; lines after a ruler are settings."""
    lines = text.partition("====")[0]
    indices = {int(index): label for label, index in re.findall(r"^'(.+)' => (\d+)$", lines, flags=re.MULTILINE)}
    return [indices[index] for index in range(len(indices))]


def _current(key: str) -> str:
    """The key as torch writes it since weight normalisation became a parametrization."""
    for old, new in (
        ("weight_g", "parametrizations.weight.original0"),
        ("weight_v", "parametrizations.weight.original1"),
    ):
        key = key.replace(f"pos_conv_embed.conv.{old}", f"pos_conv_embed.conv.{new}")
    return key


def _config(state: Mapping[str, torch.Tensor]) -> Any:
    """The configuration that the shapes of the state imply; what shapes do not show is as in wav2vec 2.0 base."""
    from transformers import Wav2Vec2Config

    position = state["encoder.pos_conv_embed.conv.parametrizations.weight.original1"]
    hidden = len(state["encoder.layer_norm.weight"])
    convolutions = [key for key in state if re.fullmatch(r"feature_extractor\.conv_layers\.\d+\.conv\.weight", key)]
    return Wav2Vec2Config(
        hidden_size=hidden,
        num_hidden_layers=sum(key.endswith("attention.q_proj.weight") for key in state),
        num_attention_heads=hidden // HEAD_WIDTH,
        intermediate_size=len(state["encoder.layers.0.feed_forward.intermediate_dense.weight"]),
        conv_dim=tuple(len(state[key]) for key in sorted(convolutions)),
        num_conv_pos_embeddings=position.shape[2],
        num_conv_pos_embedding_groups=hidden // position.shape[1],
    )
