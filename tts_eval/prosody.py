"""How something is said, whatever is said: pitch, loudness, voice colour and rhythm of a stretch of speech.

Every number is relative to the clip itself (decibels below its loud parts, octaves, shares of frames),
so that gain does not change it. Pitch is the highest peak of the autocorrelation, corrected for that
of the window (Boersma 1993, "Accurate short-term analysis of the fundamental frequency"), with a
small preference for short periods and a median over five frames. Meant for features of a
classifier: it does not look for the best path through octave errors.
"""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import numpy as np

RATE = 16_000
HOP = 160
"""Samples between frames: 10 ms."""
FRAME = 800
"""Samples of a frame: 50 ms, three periods of the lowest voice."""
LOWEST_HZ, HIGHEST_HZ = 65.0, 600.0
VOICED_FROM = 0.5
"""Smallest height of the autocorrelation's peak in a voiced frame."""
LOUD_PERCENTILE = 95.0
QUIET_DB = 35.0
"""Frames this far below the loud ones are pauses."""
_FFT = 2048
_SHORT_PERIOD_BONUS = 0.02
"""Per octave: without it twice the period is as good as the period."""
_BAND_EDGES = (0.0, 500.0, 1000.0, 2000.0, 4000.0)

NAMES = (
    "pitch_mean", "pitch_deviation", "pitch_low", "pitch_high", "pitch_range", "pitch_change", "pitch_slope",
    "pitch_rise", "voiced_share", "voicing_mean", "voicing_deviation", "level_deviation", "level_low", "level_middle",
    "level_change", "level_slope", "pause_share", "colour_500", "colour_1000", "colour_2000", "colour_500_deviation",
    "colour_1000_deviation", "colour_2000_deviation", "centroid_mean", "centroid_deviation", "pitch_with_level",
    "peaks_per_second", "voiced_runs_per_second",
)  # fmt: skip
"""What `prosody` gives, in order."""


def prosody(samples_16k: np.ndarray) -> np.ndarray:
    """The numbers of `NAMES`, float32 [28], of speech at 16 kHz; 0 where there is nothing to measure it on."""
    frames = _frames(samples_16k)
    level = 10.0 * np.log10(np.mean(frames**2, axis=1) + 1e-12)
    level -= np.percentile(level, LOUD_PERCENTILE)
    spectrum = np.abs(np.fft.rfft(frames * _window(), _FFT)) ** 2
    octaves, voicing = _pitch(spectrum)
    loud = level > -QUIET_DB
    voiced = loud & (voicing > VOICED_FROM)
    seconds = len(level) * HOP / RATE
    values = [
        *_pitch_values(octaves, voiced),
        float(voiced.sum() / max(loud.sum(), 1)),
        _mean(voicing[loud]),
        _deviation(voicing[loud]),
        *_level_values(level, loud),
        *_colour_values(spectrum[voiced]),
        _correlation(octaves[voiced], level[voiced]),
        _peaks(level) / seconds,
        _runs(voiced) / seconds,
    ]
    return np.array(values, np.float32)


def speech_bounds(samples_16k: np.ndarray) -> tuple[int, int]:
    """First and one past the last sample of what is not silence at the ends of a clip."""
    frames = _frames(samples_16k)
    level = 10.0 * np.log10(np.mean(frames**2, axis=1) + 1e-12)
    loud = np.flatnonzero(level > np.percentile(level, LOUD_PERCENTILE) - QUIET_DB)
    return int(loud[0]) * HOP, min(int(loud[-1]) * HOP + FRAME, len(samples_16k))


def pitch(samples_16k: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Hertz and voicing (0 to about 1), each [frames], of speech at 16 kHz; frames are 10 ms apart."""
    octaves, voicing = _pitch(np.abs(np.fft.rfft(_frames(samples_16k) * _window(), _FFT)) ** 2)
    return 2.0**octaves, voicing


def _frames(samples: np.ndarray) -> np.ndarray:
    padded = np.pad(np.asarray(samples, np.float64), (0, max(0, FRAME - len(samples))))
    return np.lib.stride_tricks.sliding_window_view(padded, FRAME)[::HOP]


def _pitch(power: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Log2 of hertz and height of the peak, each [frames]."""
    correlation = np.fft.irfft(power)[:, : FRAME // 2]
    normal = correlation / (correlation[:, :1] + 1e-12) / _window_correlation()
    shortest, longest = round(RATE / HIGHEST_HZ), round(RATE / LOWEST_HZ)
    lags = np.arange(shortest, longest + 1)
    heights = normal[:, lags]
    # A peak, not the flank of the one at lag zero.
    is_peak = (heights >= normal[:, lags - 1]) & (heights >= normal[:, lags + 1])
    merit = np.where(is_peak, heights - _SHORT_PERIOD_BONUS * np.log2(lags / shortest), -1.0)
    best = merit.argmax(axis=1)
    rows = np.arange(len(best))
    voicing = np.where(merit[rows, best] > -1.0, np.clip(heights[rows, best], 0.0, 1.0), 0.0)
    octaves = np.log2(RATE / lags[best])
    return _median_of_five(octaves), voicing


def _pitch_values(octaves: np.ndarray, voiced: np.ndarray) -> list[float]:
    heard = octaves[voiced]
    if len(heard) < 3:
        return [0.0] * 8
    low, high = np.percentile(heard, (10.0, 90.0))
    together = voiced[1:] & voiced[:-1]
    change = np.abs(np.diff(octaves))[together]
    third = max(len(heard) // 3, 1)
    return [
        float(heard.mean()),
        _deviation(heard),
        float(low),
        float(high),
        float(high - low),
        _mean(change),
        _slope(np.flatnonzero(voiced), heard),
        float(heard[-third:].mean() - heard[:third].mean()),
    ]


def _level_values(level: np.ndarray, loud: np.ndarray) -> list[float]:
    low, middle = np.percentile(level[loud], (10.0, 50.0))
    return [
        _deviation(level[loud]),
        float(low),
        float(middle),
        _mean(np.abs(np.diff(level))[loud[1:]]),
        _slope(np.flatnonzero(loud), level[loud]),
        float(1.0 - loud.mean()),
    ]


def _colour_values(power: np.ndarray) -> list[float]:
    """Bands of voiced frames against the lowest one, in decibels; below 4 kHz, which every channel carries."""
    if not len(power):
        return [0.0] * 8
    hertz = np.fft.rfftfreq(_FFT, 1.0 / RATE)
    bands = [
        10.0 * np.log10(power[:, (hertz >= low) & (hertz < high)].sum(axis=1) + 1e-12)
        for low, high in pairwise(_BAND_EDGES)
    ]
    relative = [band - bands[0] for band in bands[1:]]
    audible = hertz < _BAND_EDGES[-1]
    centroid = np.log2((power[:, audible] @ hertz[audible]) / (power[:, audible].sum(axis=1) + 1e-12) + 1.0)
    return [
        *(float(band.mean()) for band in relative),
        *(_deviation(band) for band in relative),
        float(centroid.mean()),
        _deviation(centroid),
    ]


def _peaks(level: np.ndarray) -> int:
    """Syllables, roughly: peaks of the smoothed level that stand 2 dB above the valleys on both sides."""
    reach = 7
    smooth = np.convolve(np.pad(np.maximum(level, -QUIET_DB), reach, mode="edge"), np.hanning(2 * reach + 3)[1:-1])
    smooth = smooth[2 * reach : -2 * reach] / np.hanning(2 * reach + 3).sum()
    count, rising, extreme = 0, True, float(smooth[0])
    for value in smooth:
        extreme = max(extreme, value) if rising else min(extreme, value)
        if rising and value < extreme - 2.0:
            count, rising, extreme = count + 1, False, float(value)
        elif not rising and value > extreme + 2.0:
            rising, extreme = True, float(value)
    return count


def _runs(flags: np.ndarray) -> int:
    return int(np.count_nonzero(flags[1:] & ~flags[:-1]) + (len(flags) > 0 and flags[0]))


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else 0.0


def _deviation(values: np.ndarray) -> float:
    return float(values.std()) if len(values) else 0.0


def _slope(frames: np.ndarray, values: np.ndarray) -> float:
    """Change a second of the straight line through the values."""
    if len(values) < 3:
        return 0.0
    seconds = frames * HOP / RATE
    return float(np.polyfit(seconds - seconds.mean(), values, 1)[0])


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    if len(first) < 3 or first.std() < 1e-9 or second.std() < 1e-9:
        return 0.0
    return float(np.corrcoef(first, second)[0, 1])


def _median_of_five(values: np.ndarray) -> np.ndarray:
    padded = np.pad(values, 2, mode="edge")
    found: np.ndarray = np.median(np.lib.stride_tricks.sliding_window_view(padded, 5), axis=1)
    return found


@cache
def _window() -> np.ndarray:
    return 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(FRAME) / FRAME)


@cache
def _window_correlation() -> np.ndarray:
    correlation = np.fft.irfft(np.abs(np.fft.rfft(_window(), _FFT)) ** 2)[: FRAME // 2]
    found: np.ndarray = correlation / correlation[0]
    return found
