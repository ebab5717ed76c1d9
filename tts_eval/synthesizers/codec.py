"""What a speech codec must do: a prompt becomes frames, frames become audio in the prompt's voice.

A frame is one code, or one latent vector. Codecs that only look a few frames around (convolutions)
give the same audio in pieces as at once; those that look at everything (attention over the whole
clip) say so with `is_local = False`, and finished clips are then decoded once more as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from tts_eval.registry import Registry

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from tts_eval.audio import Clip


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """A prompt as the codec knows it."""

    frames: Tensor
    """Codes [T] or latents [T, D]."""
    voice: Tensor | None = None
    """Who speaks, where the decoder wants to know: an embedding [D]."""


class Codec(Protocol):
    """Audio to frames and back."""

    @property
    def rate(self) -> int:
        """Sample rate of what comes in and what goes out."""
        ...

    @property
    def hop(self) -> int:
        """Samples per frame."""
        ...

    @property
    def codes(self) -> int:
        """How many different codes there are; 0 for latents."""
        ...

    @property
    def context(self) -> int:
        """Frames on each side that a frame's audio needs to know."""
        ...

    @property
    def is_local(self) -> bool:
        """Whether frames further away than `context` change nothing at all."""
        ...

    def encode(self, clip: Clip) -> Reference:
        """The frames of a clip of any rate, the last one padded with silence."""
        ...

    def decode(self, frames: Tensor, references: Sequence[Reference | None]) -> Tensor:
        """Audio [rows, T * hop] of frames [rows, T] or [rows, T, D]; one reference, or None, per row."""
        ...


codecs: Registry[Callable[[Path, torch.device], Codec]] = Registry("codec", "codecs")
"""By the `model_type` (or `format`) in the config.json of the codec's folder."""
codecs.add("xcodec2", "tts_eval.synthesizers.llasa.xcodec2:load", "X-Codec-2, 50 codes a second at 16 kHz")
codecs.add("tts-eval-nano-codec@1", "tts_eval.synthesizers.nano_speech:load", "ours; the voice comes from the prompt")


def codes_per_second(codec: Codec) -> float:
    """Frames in a second of audio."""
    return codec.rate / codec.hop
