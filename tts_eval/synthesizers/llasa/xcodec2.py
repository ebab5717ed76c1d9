"""X-Codec-2 (HKUSTAudio/xcodec2-hf): one codebook of 65,536 codes, 50 a second, 16 kHz.

Its decoder attends to the whole clip and normalises over it, so audio in pieces is a preview made
with a second of context on each side; finished clips are decoded as a whole (see `engine.speech`).
Runs in float32 on every device: the codec is a small part of the time.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tts_eval.audio import Clip
from tts_eval.errors import MissingDependencyError, WeightsError
from tts_eval.hub import quiet_transformers
from tts_eval.synthesizers.codec import Reference


def load(folder: Path, device: torch.device) -> Xcodec2Codec:
    """The codec of a checkpoint folder.

    Raises:
        WeightsError: the weights are damaged or not safetensors.
        MissingDependencyError: transformers or torchaudio is not installed.
    """
    try:
        import torchaudio  # noqa: F401 - its filter bank is the codec's front end
        from transformers import Xcodec2FeatureExtractor, Xcodec2Model
    except ImportError as error:
        raise MissingDependencyError(
            "transformers (with torchaudio)", "The codec 'xcodec2'", "tts-eval-harness[llasa]"
        ) from error
    try:
        with quiet_transformers():
            model = Xcodec2Model.from_pretrained(
                folder, local_files_only=True, use_safetensors=True, trust_remote_code=False, dtype=torch.float32
            )
    except Exception as error:  # transformers and safetensors raise half a dozen kinds
        raise WeightsError(f"{folder} is no X-Codec-2 checkpoint that transformers can load: {error}") from error
    config = model.config
    make_extractor: Any = Xcodec2FeatureExtractor
    extractor = make_extractor(sampling_rate=config.sampling_rate, hop_length=config.hop_length)
    module: torch.nn.Module = model
    return Xcodec2Codec(module.eval().to(device), extractor)


class Xcodec2Codec:
    """A `Codec` around transformers' `Xcodec2Model`."""

    is_local = False

    def __init__(self, model: Any, extractor: Any) -> None:
        self._model = model
        self._extractor = extractor
        self.rate = int(model.config.sampling_rate)
        self.hop = int(model.config.hop_length)
        self.codes = len(model.quantizer.quantizer.codebook)
        self.context = round(self.rate / self.hop)

    @torch.inference_mode()
    def encode(self, clip: Clip) -> Reference:
        """The codes of a clip."""
        samples = clip.at(self.rate)
        inputs = self._extractor(torch.from_numpy(samples.copy()), sampling_rate=self.rate, return_tensors="pt")
        device = self._model.device
        codes = self._model.encode(
            inputs["input_values"].to(device),
            inputs["input_features"].to(device),
            input_features_mask=inputs["input_features_mask"].to(device),
        ).audio_codes[0, 0]
        return Reference(codes[: -(-len(samples) // self.hop)].long())

    def decode(self, frames: Tensor, references: Sequence[Reference | None]) -> Tensor:
        """Audio [rows, T * hop]; the voice is in the codes."""
        audio: Tensor = self._model.decode(frames[:, None]).audio_values
        return audio[:, 0]
