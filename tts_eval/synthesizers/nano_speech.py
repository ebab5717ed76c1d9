"""`NanoCodec` as the engine wants it: codes from a clip of any rate, audio in the voice of a reference.

The voice is a GE2E embedding of the prompt. A request without a prompt is spoken in the default voice
that lies beside the codec.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from tts_eval import weights
from tts_eval.audio import Clip
from tts_eval.errors import WeightsError
from tts_eval.ge2e import GE2EEncoder
from tts_eval.synthesizers.codec import Reference
from tts_eval.synthesizers.nano_codec import RATE, VOICE, NanoCodec

logger = logging.getLogger(__name__)

DEFAULT_VOICE = "voice.safetensors"


def load(folder: Path, device: torch.device) -> NanoSpeech:
    """The codec of a folder.

    Raises:
        WeightsError: the folder is not as the recipe writes it, or GE2E has not been fetched.
    """
    encoder = GE2EEncoder(weights.locate("ge2e-resemblyzer") / "pretrained.pt")
    return NanoSpeech(NanoCodec.load(folder).to(device), _default_voice(folder).to(device), encoder)


def save_default_voice(folder: Path, voice: Tensor) -> None:
    """Put a GE2E embedding [256] beside a codec as its default voice."""
    from safetensors.torch import save_file

    save_file({"voice": voice.float().contiguous()}, folder / DEFAULT_VOICE)


class NanoSpeech:
    """A `Codec` around `NanoCodec`."""

    rate = RATE
    is_local = True

    def __init__(self, codec: NanoCodec, default_voice: Tensor, encoder: GE2EEncoder) -> None:
        self.hop = codec.config.hop
        self.codes = codec.config.codes
        self.context = codec.receptive_frames
        self._codec = codec
        self._default_voice = default_voice
        self._encoder = encoder

    def encode(self, clip: Clip) -> Reference:
        """Codes and voice of a clip; the default voice where the clip has none."""
        samples = clip.at(RATE)
        (voice,) = self._encoder.embed([samples])
        if voice is None:
            logger.warning("the voice detector hears no voice in the prompt; speaking in the default voice")
        device = self._default_voice.device
        codes = self._codec.encode(torch.from_numpy(samples.copy())[None].to(device))[0]
        return Reference(codes, self._default_voice if voice is None else torch.from_numpy(voice).to(device))

    def decode(self, frames: Tensor, references: Sequence[Reference | None]) -> Tensor:
        """Audio [rows, T * hop] of codes [rows, T]."""
        voices = [
            self._default_voice if reference is None or reference.voice is None else reference.voice
            for reference in references
        ]
        return self._codec.decode(frames, torch.stack(voices))


def _default_voice(folder: Path) -> Tensor:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        voice = load_file(folder / DEFAULT_VOICE)["voice"]
    except (OSError, KeyError, SafetensorError) as error:
        raise WeightsError(
            f"{folder} has no default voice ({error}); expected {DEFAULT_VOICE} as "
            "'python -m tts_eval.recipes.language_model' writes it."
        ) from error
    if voice.shape != (VOICE,):
        raise WeightsError(
            f"{folder / DEFAULT_VOICE} holds a voice of shape {tuple(voice.shape)}; expected ({VOICE},)."
        )
    return voice
