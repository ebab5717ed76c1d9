"""Filter-bank features as Kaldi's `compute-fbank-feats` makes them, in numpy: what most speaker models hear.

Kaldi's defaults (feat/feature-window.cc, feature-fbank.cc, mel-computations.cc) with `--dither=0`, so that a clip
always has the same features: whole frames of 25 ms every 10 ms, mean taken off, pre-emphasis, Povey's window,
power spectrum, triangles of height 1 that are straight on the mel scale, logarithm. Frames are worked on in double
precision; those of Kaldi, in single, differ by up to 6e-4.
"""

from __future__ import annotations

from functools import cache

import numpy as np

RATE = 16_000
FRAME, HOP, FFT_SIZE = 400, 160, 512
PRE_EMPHASIS = 0.97
LOWEST_HERTZ, HIGHEST_HERTZ = 20.0, RATE / 2.0
FLOOR = float(np.finfo(np.float32).eps)


def kaldi_fbank(samples_16k: np.ndarray, bands: int) -> np.ndarray:
    """Natural logarithms of the energy in mel bands, float32 [frames, bands], of samples [T]; T is at least `FRAME`.

    The end that fills no frame is left out. Kaldi reads 16-bit integers; where a model was trained on samples in
    [-1, 1], give it these: the floor under the energies does not scale.
    """
    frames = np.lib.stride_tricks.sliding_window_view(np.asarray(samples_16k, np.float64), FRAME)[::HOP]
    frames = frames - frames.mean(axis=1, keepdims=True)
    before = np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
    spectrum = np.fft.rfft((frames - PRE_EMPHASIS * before) * _povey_window(), FFT_SIZE)
    energies = (spectrum.real**2 + spectrum.imag**2) @ mel_triangles(bands)
    logarithms: np.ndarray = np.log(np.maximum(energies, FLOOR)).astype(np.float32)
    return logarithms


@cache
def mel_triangles(bands: int) -> np.ndarray:
    """Weights of the bands, float64 [FFT_SIZE // 2 + 1, bands]."""
    mel = _mel(np.fft.rfftfreq(FFT_SIZE, 1.0 / RATE))[:, None]
    edges = np.linspace(_mel(np.array(LOWEST_HERTZ)), _mel(np.array(HIGHEST_HERTZ)), bands + 2)
    left, centre, right = edges[:-2], edges[1:-1], edges[2:]
    triangles: np.ndarray = np.maximum(
        0.0, np.minimum((mel - left) / (centre - left), (right - mel) / (right - centre))
    )
    triangles.setflags(write=False)
    return triangles


@cache
def _povey_window() -> np.ndarray:
    hann = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(FRAME) / (FRAME - 1))
    window: np.ndarray = hann**0.85
    window.setflags(write=False)
    return window


def _mel(hertz: np.ndarray) -> np.ndarray:
    mels: np.ndarray = 1127.0 * np.log1p(hertz / 700.0)
    return mels
