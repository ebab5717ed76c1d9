"""Does a clip go round in circles? The same codes, or nearly the same sound, at a fixed distance, again and again.

A loop is a stretch that repeats what came one period before, at least twice (three rounds) and for at least
`REPEATED_SECONDS`. It finds decoders that are stuck, whose rounds are exact or nearly so; a sentence said a
second time in another intonation is found by word errors, not here. Silence is no loop: pauses are judged as such.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tts_eval.audio import Clip
from tts_eval.mel import MelSettings, mel_spectrogram

REPEATED_SECONDS = 1.0
"""Rounds after the first must last this long together."""
LOUD_SECONDS = 0.5
"""Of which at least this must be speech."""
ROUNDS = 3

MEL = MelSettings(rate=16_000, fft_size=400, hop=160, bands=40)
HOP_SECONDS = MEL.hop / MEL.rate
SHORTEST_PERIOD_SECONDS = 0.1
"""Frames closer than this are alike in any speech."""
SMOOTHED_SECONDS = 0.2
"""Over which the likeness of two stretches is averaged."""
ALIKE = 0.9
"""Least mean cosine of two stretches that count as the same sound."""
FLOOR_DB = -60.0
LOUD_DB = -25.0
"""Below the loudest frame: steady noise behind the pauses of a recording is no loop."""


class Loop(NamedTuple):
    """A stretch that goes round."""

    start: float
    """Where the first round begins, in seconds."""
    period: float
    """Seconds of a round."""
    rounds: float


def code_loop(codes: np.ndarray, seconds_per_code: float, loud: np.ndarray) -> Loop | None:
    """The longest loop in codes [T] or [T, D], or None; `loud` [T] is False where nobody speaks."""
    found = _Longest(loud, seconds_per_code)
    for period in range(1, len(codes) // ROUNDS + 1):
        same = codes[period:] == codes[:-period]
        found.add(period, *longest_run(same if same.ndim == 1 else same.all(axis=1)))
    return found.loop


def sound_loop(clip: Clip) -> Loop | None:
    """The longest loop in the sound of a clip, or None."""
    frames, loud = _frames(clip)
    width = round(SMOOTHED_SECONDS / HOP_SECONDS)
    found = _Longest(loud, HOP_SECONDS)
    for period in range(round(SHORTEST_PERIOD_SECONDS / HOP_SECONDS), (len(frames) - width) // ROUNDS + 1):
        # Any two pauses are alike.
        paused = ~(loud[period:] | loud[:-period])
        alike = np.where(paused, 1.0, np.einsum("td,td->t", frames[period:], frames[:-period]))
        total = np.concatenate(([0.0], np.cumsum(alike)))
        start, windows = longest_run(total[width:] - total[:-width] >= ALIKE * width)
        found.add(period, start, windows + width - 1 if windows else 0)
    return found.loop


class _Longest:
    """The longest of the loops that are long and loud enough."""

    def __init__(self, loud: np.ndarray, seconds: float) -> None:
        self.loop: Loop | None = None
        self._loud = np.concatenate(([0], np.cumsum(loud)))
        self._seconds = seconds
        self._length = 0

    def add(self, period: int, start: int, length: int) -> None:
        """Frames `start + period` and the `length` after it are as one period before."""
        heard = int(self._loud[start + period + length] - self._loud[start + period])
        enough = length * self._seconds >= REPEATED_SECONDS and heard * self._seconds >= LOUD_SECONDS
        if length <= self._length or length < (ROUNDS - 1) * period or not enough:
            return
        self._length = length
        self.loop = Loop(start * self._seconds, period * self._seconds, 1 + length / period)


def longest_run(flags: np.ndarray) -> tuple[int, int]:
    """Start and length of the longest run of True; (0, 0) when there is none."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], flags, [False])).astype(np.int8)))
    starts, ends = edges[::2], edges[1::2]
    if not len(starts):
        return 0, 0
    best = int(np.argmax(ends - starts))
    return int(starts[best]), int(ends[best] - starts[best])


def _frames(clip: Clip) -> tuple[np.ndarray, np.ndarray]:
    """Log-mel frames as directions [T, 40], without what all of them share; and which are as loud as speech [T]."""
    power = mel_spectrogram(clip.at(MEL.rate), MEL).astype(np.float64)
    level = power.sum(axis=1)
    loud = level >= level.max() * 10.0 ** (LOUD_DB / 10.0)
    decibels = np.maximum(10.0 * np.log10(np.maximum(power / power.max(), 1e-12)), FLOOR_DB)
    centred = decibels - decibels[loud].mean(axis=0)
    return centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-9), loud
