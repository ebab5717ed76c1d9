"""Frames to audio, piece by piece: only what is new is decoded, with the codec's context around it.

The audio of a frame is settled once all of its context to the right has been said; what lies
after that is decoded again when more is said. A codec that looks at everything at once has no such
boundary: its pieces are a preview, and a row that has come to its end is decoded as a whole, so
that what it says at the end does not depend on who listened in between.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from tts_eval.execution import batched
from tts_eval.synthesizers.codec import Codec, Reference

DECODE_ROWS = 16
"""Rows of one decoder call."""


@dataclass(frozen=True, slots=True)
class Settled:
    """Audio that nothing to come can change."""

    frames: int = 0
    pieces: tuple[np.ndarray, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Utterance:
    """What one row has said."""

    reference: Reference | None
    frames: np.ndarray
    settled: Settled
    is_over: bool


@dataclass(frozen=True, slots=True, eq=False)
class Heard:
    """Samples of an utterance, and how many of them are settled now."""

    samples: np.ndarray
    settled: Settled


@dataclass(frozen=True, slots=True, eq=False)
class _Window:
    """The frames to decode for one utterance, and how many of them are context."""

    frames: torch.Tensor
    context: int


def listen(codec: Codec, device: torch.device, utterances: Sequence[Utterance]) -> list[Heard]:
    """The audio of each utterance so far.

    Windows of one length are decoded together, never padded: what a decoder makes of the last
    frame must not depend on how long another row is.
    """
    windows = [_window(codec, device, utterance) for utterance in utterances]
    groups: dict[int, list[int]] = defaultdict(list)
    for index, window in enumerate(windows):
        groups[len(window.frames)].append(index)
    audio: dict[int, np.ndarray] = {}
    for length, members in groups.items():
        for rows in batched(members, DECODE_ROWS) if length else ():
            frames = torch.stack([windows[row].frames for row in rows])
            with torch.inference_mode():
                decoded = codec.decode(frames, [utterances[row].reference for row in rows])
            for row, samples in zip(rows, decoded.float().cpu().numpy(), strict=True):
                audio[row] = samples[windows[row].context * codec.hop :].clip(-1.0, 1.0).astype(np.float32)
    empty = np.zeros(0, dtype=np.float32)
    return [_heard(codec, utterance, audio.get(index, empty)) for index, utterance in enumerate(utterances)]


def _starts_over(codec: Codec, utterance: Utterance) -> bool:
    return utterance.is_over and not codec.is_local


def _window(codec: Codec, device: torch.device, utterance: Utterance) -> _Window:
    said = torch.from_numpy(utterance.frames).to(device)
    prompt = said[:0] if utterance.reference is None else utterance.reference.frames.to(device)
    whole = torch.cat([prompt, said])
    if _starts_over(codec, utterance):
        return _Window(whole, len(prompt))
    new = len(prompt) + utterance.settled.frames
    start = max(0, new - codec.context)
    return _Window(whole[start:] if len(whole) > new else whole[:0], new - start)


def _heard(codec: Codec, utterance: Utterance, fresh: np.ndarray) -> Heard:
    before = Settled() if _starts_over(codec, utterance) else utterance.settled
    settled = len(utterance.frames) - (0 if utterance.is_over else codec.context)
    samples = np.concatenate([*before.pieces, fresh])
    if settled <= before.frames:
        return Heard(samples, before)
    piece = fresh[: (settled - before.frames) * codec.hop]
    return Heard(samples, Settled(settled, (*before.pieces, piece)))
