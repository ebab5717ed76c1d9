"""DNSMOS: predicted opinion scores of noisy speech, without a reference.

Follows microsoft/DNS-Challenge `dnsmos_local` as packaged in speechmos 0.0.1.1 (MIT): the
non-personalised P.835 model with its polynomials (SIG speech, BAK background, OVRL overall) and the
P.808 model. A clip is doubled until it is at least 9.01 s long, windows of 9.01 s start every
second, and the clip's score is the mean over its windows. The windows of many clips share a session
run, and the spectrum that P.808 needs is computed once for the overlapping windows of a clip.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tts_eval.execution import available_cores
from tts_eval.loaded import once
from tts_eval.mel import MelSettings, centred_power, decibels_below_peak, power, power_to_mel

if TYPE_CHECKING:
    import onnxruntime

RATE = 16_000
WINDOW_SECONDS = 9.01
WINDOW = int(WINDOW_SECONDS * RATE)

MEL = MelSettings(rate=RATE, fft_size=321, hop=160, bands=120)
LISTENED = WINDOW - MEL.hop
"""Samples of a window that P.808 hears."""
LISTENED_FRAMES = LISTENED // MEL.hop

SIG_POLYNOMIAL = (-0.08397278, 1.22083953, 0.0052439)
BAK_POLYNOMIAL = (-0.13166888, 1.60915514, -0.39604546)
OVRL_POLYNOMIAL = (-0.06766283, 1.11546468, 0.04602535)

MAX_BATCH = 4
"""Windows per session run; more are no faster, and P.835 takes 0.2 GB for each."""


class Opinion(NamedTuple):
    """Mean opinion scores of one clip, about 1 (bad) to 5 (excellent)."""

    ovrl: float
    sig: float
    bak: float
    p808: float


class Dnsmos:
    """Both models, on the CPU."""

    def __init__(self, weights: Path, *, hop_seconds: int = 1, threads: int | None = None) -> None:
        """Load `sig_bak_ovr.onnx` and `model_v8.onnx` of the folder `weights`.

        Args:
            weights: the folder.
            hop_seconds: time between windows; 1 is the reference, 9 hears everything about once.
            threads: CPU threads; None means every core this process may use.
        """
        self.hop_seconds = hop_seconds
        threads = threads or available_cores()
        self._p835 = _session(weights / "sig_bak_ovr.onnx", threads)
        self._p808 = _session(weights / "model_v8.onnx", threads)

    def rate(self, clips_16k: Sequence[np.ndarray]) -> list[Opinion]:
        """One opinion per clip of at least one sample, all finite, at 16 kHz; full scale is 1, what is above is cut."""
        looped = [repeat_to_window(np.clip(samples, -1.0, 1.0).astype(np.float32)) for samples in clips_16k]
        starts = [window_starts(len(samples), self.hop_seconds) for samples in looped]
        windows = (loop[s : s + WINDOW] for loop, rows in zip(looped, starts, strict=True) for s in rows)
        features = (each for loop, rows in zip(looped, starts, strict=True) for each in listening_features(loop, rows))
        ends = np.cumsum([len(rows) for rows in starts])[:-1]
        p835 = np.split(_run(self._p835, windows), ends)
        p808 = np.split(_run(self._p808, features), ends)
        return [_opinion(raw, listened) for raw, listened in zip(p835, p808, strict=True)]


def repeat_to_window(samples: np.ndarray) -> np.ndarray:
    """The clip, doubled until it fills a window.

    Raises:
        ValueError: there is nothing to double.
    """
    if not len(samples):
        raise ValueError(f"The clip has 0 samples at {RATE} Hz; expected at least one.")
    doublings = 0
    while len(samples) << doublings < WINDOW:
        doublings += 1
    return np.tile(samples, 1 << doublings)


def window_starts(samples: int, hop_seconds: int = 1) -> list[int]:
    """First sample of each window of a clip of so many samples; at least one for a clip that fills a window."""
    seconds = range(0, int(samples // RATE - WINDOW_SECONDS) + 1, hop_seconds)
    # The reference computes the ends in floating point, which loses a sample of the windows at 7-23 s
    # and 119-122 s, and drops windows that are too short: its numbers are made without them.
    lossy = [at for at in seconds if int((at + WINDOW_SECONDS) * RATE) < at * RATE + WINDOW]
    return [at * RATE for at in seconds if hop_seconds > 1 or at not in lossy]


def listening_features(samples: np.ndarray, starts: Sequence[int]) -> Iterator[np.ndarray]:
    """Log-mel of each window as P.808 wants it, float32 [900, 120], made one at a time."""
    # Windows start on multiples of the hop, so that all but the first and the last frame of each,
    # which reach beyond its ends, are frames of the whole clip.
    whole = centred_power(samples, MEL)
    for start in starts:
        listened = samples[start : start + LISTENED]
        first = start // MEL.hop
        spectrum = whole[first : first + LISTENED_FRAMES].copy()
        spectrum[[0, -1]] = power(_edge_frames(listened))
        yield ((decibels_below_peak(power_to_mel(spectrum, MEL)) + 40.0) / 40.0).astype(np.float32)


def _edge_frames(listened: np.ndarray) -> np.ndarray:
    half = MEL.fft_size // 2
    last = (LISTENED_FRAMES - 1) * MEL.hop - half
    first_frame = np.pad(listened[: half + 1], (half, 0))
    last_frame = np.pad(listened[last:], (0, MEL.fft_size - (len(listened) - last)))
    return np.stack([first_frame, last_frame])


def _session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    import onnxruntime

    def load() -> onnxruntime.InferenceSession:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3  # errors only; it warns about unused nodes of these graphs
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    return once(load, onnxruntime.InferenceSession, path, threads)


def _run(session: onnxruntime.InferenceSession, rows: Iterator[np.ndarray]) -> np.ndarray:
    outputs: list[np.ndarray] = []
    batch: list[np.ndarray] = []
    for row in rows:
        batch.append(row)
        if len(batch) == MAX_BATCH:
            outputs.append(session.run(None, {"input_1": np.stack(batch)})[0])
            batch = []
    if batch:
        outputs.append(session.run(None, {"input_1": np.stack(batch)})[0])
    return np.concatenate(outputs)


def _opinion(p835: np.ndarray, p808: np.ndarray) -> Opinion:
    sig, bak, ovrl = p835.astype(np.float64).T
    return Opinion(
        ovrl=float(np.polyval(OVRL_POLYNOMIAL, ovrl).mean()),
        sig=float(np.polyval(SIG_POLYNOMIAL, sig).mean()),
        bak=float(np.polyval(BAK_POLYNOMIAL, bak).mean()),
        p808=float(p808.mean()),
    )
