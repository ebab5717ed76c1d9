"""DNSMOS: predicted opinion scores of noisy speech, without a reference.

Follows microsoft/DNS-Challenge `dnsmos_local` as packaged in speechmos 0.0.1.1 (MIT): the
non-personalised P.835 model with its polynomial (SIG speech, BAK background, OVRL overall) and the
P.808 model. A clip is doubled until it is at least 9.01 s long; windows of 9.01 s start every
second; a clip's score is the mean over its windows. The windows of many clips share a session run,
and P.808's spectrum is computed once for the overlapping windows of a clip.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from verifiers.mel import MelSettings, centred_power, decibels_below_peak, power, power_to_mel

if TYPE_CHECKING:
    import onnxruntime

RATE = 16_000
WINDOW_SECONDS = 9.01
WINDOW = int(WINDOW_SECONDS * RATE)
MEL = MelSettings(rate=RATE, fft_size=321, hop=160, bands=120)
P808_FRAMES = 900
P808_SAMPLES = WINDOW - MEL.hop

SIG_POLYNOMIAL = (-0.08397278, 1.22083953, 0.0052439)
BAK_POLYNOMIAL = (-0.13166888, 1.60915514, -0.39604546)
OVRL_POLYNOMIAL = (-0.06766283, 1.11546468, 0.04602535)

MAX_BATCH = 4
"""Windows per session run; more are no faster, and P.835 needs about 0.2 GB for each."""


class Opinion(NamedTuple):
    """Mean opinion scores of one clip, about 1 (bad) to 5 (excellent)."""

    ovrl: float
    sig: float
    bak: float
    p808: float


class Dnsmos:
    """Both models; `weights` is the folder with `sig_bak_ovr.onnx` and `model_v8.onnx`."""

    def __init__(self, weights: Path, threads: int | None = None) -> None:
        self._p835 = _session(weights / "sig_bak_ovr.onnx", threads or available_cores())
        self._p808 = _session(weights / "model_v8.onnx", threads or available_cores())

    def rate(self, clips_16k: Sequence[np.ndarray]) -> list[Opinion]:
        """One opinion per clip of finite samples at 16 kHz; samples beyond full scale are clipped."""
        long = [repeat_to_window(np.clip(samples, -1.0, 1.0).astype(np.float32)) for samples in clips_16k]
        starts = [window_starts(len(samples)) for samples in long]
        cuts = np.cumsum([len(rows) for rows in starts])[:-1]
        p835 = self._rate_windows(long, starts)
        p808 = [self._rate_listening(samples, rows) for samples, rows in zip(long, starts, strict=True)]
        return [
            Opinion(*(float(np.polyval(p, column).mean()) for p, column in zip(polynomials, rows.T, strict=True)), talk)
            for rows, talk in zip(np.split(p835, cuts), p808, strict=True)
        ]
