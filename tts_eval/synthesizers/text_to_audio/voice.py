"""What a model of transformers must do to speak here.

A new one is a class with these three names in a module of its own, and a line in `loading.VOICES`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from tts_eval.types import Request, Sampling

if TYPE_CHECKING:
    import torch


class Said(NamedTuple):
    """Float samples [T] on any device, and whether the model was stopped before the text was over."""

    samples: torch.Tensor
    is_cut: bool


class Voice(Protocol):
    """One loaded checkpoint. It may draw from torch's global generators, which are seeded for each candidate."""

    @property
    def rate(self) -> int:
        """Hertz."""
        ...

    @property
    def identity(self) -> str:
        """Settings beside the weights that decide the audio; "" where there are none."""
        ...

    def say(self, request: Request, sampling: Sampling) -> Said:
        """The text, once.

        Raises:
            SynthesisError: the model cannot read it.
        """
        ...
