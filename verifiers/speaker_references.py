"""The voices that candidates are compared with: of the prompt audio, or of the ground truth where there is none.

With a codec, its resynthesis of the reference is embedded along with it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from tts_eval.audio import AudioSource, Clip
from tts_eval.types import Failure, FailureKind, Request
from verifiers.references import RATE, References
from verifiers.speaker_encoder import SpeakerEncoder

Resynthesise = Callable[[Clip], Clip]
"""A clip as a codec gives it back."""


class Voices(NamedTuple):
    """Embeddings of one reference."""

    original: np.ndarray
    resynthesised: np.ndarray | None
    """None without a codec."""


def voice_references(encoder: SpeakerEncoder, resynthesise: Resynthesise | None = None) -> References[Voices]:
    """Embeds reference audio, each once."""

    def hear(originals: Sequence[Clip]) -> list[Voices | Failure]:
        again = [resynthesise(clip) for clip in originals] if resynthesise else []
        voices = encoder.embed([clip.at(RATE) for clip in (*originals, *again)])
        pairs = zip(voices, voices[len(originals) :] or [None] * len(originals), strict=False)
        return [_voices(original, resynthesised, wanted=bool(again)) for original, resynthesised in pairs]

    return References(
        hear,
        shortest_seconds=encoder.shortest_seconds,
        lacking="The request has neither prompt audio nor ground-truth audio.",
    )


def reference_of(request: Request) -> AudioSource | None:
    """The audio whose voice is wanted."""
    if request.prompt is not None and request.prompt.audio is not None:
        return request.prompt.audio
    return request.ground_truth


def _voices(original: np.ndarray | None, resynthesised: np.ndarray | None, *, wanted: bool) -> Voices | Failure:
    if original is None:
        return Failure(FailureKind.NO_REFERENCE, "The voice detector hears no voice in the reference audio.")
    if wanted and resynthesised is None:
        return Failure(FailureKind.NO_REFERENCE, "The voice detector hears no voice in what the codec makes of it.")
    return Voices(original, resynthesised)
