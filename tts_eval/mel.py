"""Mel spectrograms as librosa's defaults make them, in numpy.

The speaker encoder and DNSMOS P.808 were trained on librosa features: a periodic Hann window, frames
centred on multiples of the hop with zeros beyond the ends, power 2, and triangular filters on
Slaney's mel scale (linear below 1 kHz, logarithmic above), each of area 1.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np

LINEAR_HZ_PER_MEL = 200.0 / 3.0
LOGARITHMIC_FROM_HZ = 1000.0
STEPS_PER_NATURAL_LOG = 27.0 / np.log(6.4)
"""27 mels from 1 kHz to 6.4 kHz."""
POWER_FLOOR = 1e-10


class MelSettings(NamedTuple):
    """What a model's features are made with."""

    rate: int
    fft_size: int
    hop: int
    bands: int


def mel_spectrogram(samples: np.ndarray, settings: MelSettings) -> np.ndarray:
    """Mel power, float32 [1 + T // hop, bands] for an even FFT size, of samples [T]."""
    return power_to_mel(centred_power(samples, settings), settings)


def centred_power(samples: np.ndarray, settings: MelSettings) -> np.ndarray:
    """Power spectrum, float32 [frames, fft_size // 2 + 1], with zeros beyond both ends of the samples."""
    size = settings.fft_size
    padded = np.pad(np.asarray(samples, dtype=np.float32), size // 2)
    return power(np.lib.stride_tricks.sliding_window_view(padded, size)[:: settings.hop])


def power(frames: np.ndarray) -> np.ndarray:
    """Power spectrum, float32 [frames, size // 2 + 1], of frames [frames, size]."""
    spectrum = np.fft.rfft(frames * _hann(frames.shape[-1]))
    squares: np.ndarray = (spectrum.real**2 + spectrum.imag**2).astype(np.float32)
    return squares


def power_to_mel(power_spectrum: np.ndarray, settings: MelSettings) -> np.ndarray:
    """Mel power, float32 [frames, bands]."""
    mel: np.ndarray = power_spectrum @ mel_filters(settings)
    return mel


def decibels_below_peak(mel: np.ndarray, dynamic_range: float = 80.0) -> np.ndarray:
    """Power in dB relative to the largest value of the array, no lower than -`dynamic_range`."""
    peak = max(float(mel.max()), POWER_FLOOR)
    decibels: np.ndarray = 10.0 * np.log10(np.maximum(mel, POWER_FLOOR) / peak)
    limited: np.ndarray = np.maximum(decibels, decibels.max() - dynamic_range)
    return limited


@cache
def mel_filters(settings: MelSettings) -> np.ndarray:
    """Filter weights, float32 [fft_size // 2 + 1, bands]."""
    bins = np.fft.rfftfreq(settings.fft_size, 1.0 / settings.rate)
    edges = _mel_to_hertz(np.linspace(0.0, _hertz_to_mel(settings.rate / 2.0), settings.bands + 2))
    left, centre, right = edges[:-2], edges[1:-1], edges[2:]
    rising = (bins[:, None] - left) / (centre - left)
    falling = (right - bins[:, None]) / (right - centre)
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    weights: np.ndarray = (triangles * 2.0 / (right - left)).astype(np.float32)
    weights.setflags(write=False)
    return weights


@cache
def _hann(size: int) -> np.ndarray:
    window: np.ndarray = (0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(size) / size)).astype(np.float32)
    window.setflags(write=False)
    return window


def _hertz_to_mel(hertz: float) -> float:
    if hertz < LOGARITHMIC_FROM_HZ:
        return hertz / LINEAR_HZ_PER_MEL
    return float(LOGARITHMIC_FROM_HZ / LINEAR_HZ_PER_MEL + np.log(hertz / LOGARITHMIC_FROM_HZ) * STEPS_PER_NATURAL_LOG)


def _mel_to_hertz(mels: np.ndarray) -> np.ndarray:
    knee = LOGARITHMIC_FROM_HZ / LINEAR_HZ_PER_MEL
    logarithmic = LOGARITHMIC_FROM_HZ * np.exp((np.maximum(mels, knee) - knee) / STEPS_PER_NATURAL_LOG)
    return np.where(mels < knee, mels * LINEAR_HZ_PER_MEL, logarithmic)
