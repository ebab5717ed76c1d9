"""The same words as another room, microphone, telephone or tempo would carry them, in numpy.

`perturbed` draws from what `emotion-nano` is trained with; `UNSEEN` are disturbances of other kinds, which
no training hears: they tell how far it carries. Everything follows from the generator that is given.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

RATE = 16_000
_LOUDNESS = 0.06
"""Root mean square that the disturbances work on, so that a quiet recording gets no louder noise."""


def levelled(samples: np.ndarray) -> np.ndarray:
    """Float32 samples at a root mean square of 0.06; silence stays silent."""
    level = float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))
    return (samples * (_LOUDNESS / level if level > 0 else 1.0)).astype(np.float32)


def perturbed(samples_16k: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Float32 samples of other tempo, room, band, colour, noise and distortion, each with its own odds."""
    samples = levelled(samples_16k)
    if random.random() < 0.5:
        samples = resampled(samples, float(random.uniform(0.92, 1.09)))
    if random.random() < 0.5:
        samples = in_room(samples, random)
    if random.random() < 0.8:
        samples = coloured(samples, random)
    if random.random() < 0.6:
        samples = with_noise(samples, float(random.uniform(5.0, 35.0)), float(random.uniform(0.0, 2.0)), random)
    if random.random() < 0.3:
        samples = np.tanh(samples * random.uniform(1.0, 6.0)).astype(np.float32)
    return levelled(samples)


def resampled(samples: np.ndarray, speed: float) -> np.ndarray:
    """Faster and higher, or slower and lower, as a tape would be."""
    import soxr

    stretched: np.ndarray = soxr.resample(samples, RATE * speed, RATE).astype(np.float32)
    return stretched


def in_room(samples: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """With the echo of a room of 0.15-0.7 s reverberation time: exponentially falling noise behind the direct sound."""
    seconds = random.uniform(0.15, 0.7)
    time = np.arange(int(RATE * seconds)) / RATE
    tail = random.standard_normal(len(time)) * 10.0 ** (-3.0 * time / seconds)
    tail[: int(RATE * random.uniform(0.002, 0.02))] = 0.0
    tail *= 10.0 ** (-random.uniform(0.0, 14.0) / 20.0) / (np.linalg.norm(tail) + 1e-9)
    tail[0] = 1.0
    return _convolved(samples, tail)[: len(samples)]


def coloured(samples: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Through a band (low edge to 250 Hz, high edge from 3 kHz), a slope of +-3 dB an octave and gentle waves."""
    hertz = np.fft.rfftfreq(len(samples), 1.0 / RATE)
    octave = np.log2(np.maximum(hertz, 30.0) / 1000.0)
    decibels = random.uniform(-3.0, 3.0) * octave
    decibels += random.uniform(0.0, 4.0) * np.sin(random.uniform(0.5, 3.0) * octave + random.uniform(0.0, 2 * np.pi))
    low, high = random.uniform(20.0, 250.0), np.exp(random.uniform(np.log(3000.0), np.log(12000.0)))
    decibels -= 24.0 * np.maximum(np.log2(low / np.maximum(hertz, 1.0)), 0.0)
    decibels -= 48.0 * np.maximum(np.log2(np.maximum(hertz, 1.0) / high), 0.0)
    shaped = np.fft.irfft(np.fft.rfft(samples) * 10.0 ** (np.clip(decibels, -80.0, 30.0) / 20.0), len(samples))
    return levelled(shaped)


def with_noise(samples: np.ndarray, snr: float, slope: float, random: np.random.Generator) -> np.ndarray:
    """With noise whose power falls as frequency to the `slope` (0 white, 1 pink, 2 brown), `snr` dB below."""
    spectrum = np.fft.rfft(random.standard_normal(len(samples)))
    spectrum /= np.maximum(np.fft.rfftfreq(len(samples), 1.0 / RATE), 40.0) ** (slope / 2.0)
    return mixed(samples, np.fft.irfft(spectrum, len(samples)), snr)


def mixed(samples: np.ndarray, other: np.ndarray, snr: float) -> np.ndarray:
    """Both at once, `other` so many decibels below."""
    return levelled(samples) + levelled(other) * np.float32(10.0 ** (-snr / 20.0))


def _telephone(samples: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """8 kHz, 300-3400 Hz, 8-bit mu-law."""
    import soxr

    narrow = soxr.resample(levelled(samples), RATE, 8000)
    hertz = np.fft.rfftfreq(len(narrow), 1.0 / 8000)
    narrow = np.fft.irfft(np.fft.rfft(narrow) * ((hertz > 300.0) & (hertz < 3400.0)), len(narrow)) * 3.0
    compressed = np.sign(narrow) * np.log1p(255.0 * np.minimum(np.abs(narrow), 1.0)) / np.log(256.0)
    coarse = np.rint(compressed * 127.0) / 127.0
    expanded = np.sign(coarse) * (256.0 ** np.abs(coarse) - 1.0) / 255.0
    wide: np.ndarray = soxr.resample(expanded, 8000, RATE).astype(np.float32)
    return wide


def _clipped(samples: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Cut at the level that one sample in ten exceeds."""
    limit = np.percentile(np.abs(samples), 90.0)
    cut: np.ndarray = np.clip(samples, -limit, limit)
    return cut


def _gaps(samples: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """A packet of 20 ms lost in ten."""
    lost = np.repeat(random.random(len(samples) // 320 + 1) < 0.1, 320)[: len(samples)]
    return np.where(lost, np.float32(0.0), samples)


def _mp3(samples: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """MP3 at 8 kbit a second."""
    import soundfile

    file = io.BytesIO()
    soundfile.write(file, levelled(samples), RATE, format="MP3", compression_level=0.99, bitrate_mode="CONSTANT")
    file.seek(0)
    decoded: np.ndarray = soundfile.read(file, dtype="float32")[0]
    return decoded[: len(samples)]


def _echo(samples: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Once more after 90 ms, 6 dB below: a wall, not a room."""
    late = np.zeros_like(samples)
    late[1440:] = samples[:-1440]
    return samples + np.float32(0.5) * late


def _tempo(samples: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """15 % slower at the same pitch, by overlapping pieces where they fit best."""
    return stretched(samples, 1.15)


UNSEEN: Mapping[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = MappingProxyType(
    {"telephone": _telephone, "clipping": _clipped, "gaps": _gaps, "mp3": _mp3, "echo": _echo, "tempo": _tempo}
)
"""Disturbances that `perturbed` never makes."""


def stretched(samples: np.ndarray, factor: float) -> np.ndarray:
    """`factor` times as long at the same pitch: waveform-similarity overlap-add (Verhelst and Roelands 1993)."""
    window, reach = 640, 160
    hop = window // 2
    fade = np.hanning(window + 1)[:-1]
    padded = np.pad(samples, (reach, window + reach + hop)).astype(np.float64)
    length = int(len(samples) * factor)
    made = np.zeros(length + window)
    place = reach
    for start in range(0, length, hop):
        made[start : start + window] += fade * padded[place : place + window]
        natural = padded[place + hop : place + hop + window]
        wanted = min(int((start + hop) / factor) + reach, len(padded) - window - reach)
        area = padded[wanted - reach : wanted + reach + window]
        place = wanted - reach + int(np.correlate(area, natural[: len(area)], "valid").argmax())
        place = min(place, len(padded) - window - hop)
    return made[:length].astype(np.float32)


def _convolved(samples: np.ndarray, response: np.ndarray) -> np.ndarray:
    size = len(samples) + len(response) - 1
    whole = np.fft.irfft(np.fft.rfft(samples, size) * np.fft.rfft(response, size), size)
    return whole.astype(np.float32)
