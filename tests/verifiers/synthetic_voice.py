"""Signals with a voice's pitch, formants and syllables, the same on every machine.

The golden cases of the speaker encoder and DNSMOS were computed from these with the original
packages, so the formula is frozen: changing it means computing the golden files again.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

RATE = 16_000


def synthetic_voice(
    pitch: float,
    formants: Sequence[tuple[float, float]],
    seconds: float,
    seed: int,
    pause: float = 0.0,
    noise: float = 0.002,
) -> np.ndarray:
    """Float32 samples of 16-bit resolution at 16 kHz; `formants` are (hertz, width)."""
    time = np.arange(int(seconds * RATE)) / RATE
    phase = 2 * np.pi * np.cumsum(pitch * (1 + 0.05 * np.sin(2 * np.pi * 2.3 * time + seed))) / RATE
    samples = np.zeros_like(time)
    for harmonic in range(1, 40):
        hertz = harmonic * pitch
        if hertz > 7000:
            break
        gain = 0.01 + sum(
            np.exp(-0.5 * ((hertz - centre) / width) ** 2) / (1 + order)
            for order, (centre, width) in enumerate(formants)
        )
        samples += gain * np.sin(harmonic * phase + harmonic)
    samples *= 0.55 + 0.45 * np.sin(2 * np.pi * 3.7 * time)
    start = int(0.4 * len(samples))
    samples[start : start + int(pause * RATE)] = 0.0
    samples *= 0.3 / np.abs(samples).max()
    samples += noise * np.random.default_rng(seed).standard_normal(len(time))
    return (np.rint(samples * 32767) / 32768).astype(np.float32)


def synthetic_voices() -> dict[str, np.ndarray]:
    """The signals of the golden cases by name."""
    return {
        "low": synthetic_voice(110, [(500, 120), (1500, 200)], 4.0, 1),
        "low_pause": synthetic_voice(115, [(520, 120), (1450, 200)], 3.3, 2, pause=1.2),
        "high": synthetic_voice(220, [(700, 150), (2100, 300)], 5.3, 3),
        "short": synthetic_voice(180, [(600, 150), (1800, 250)], 0.9, 4),
        "quiet": synthetic_voice(140, [(450, 120), (1700, 250)], 2.6, 5) * np.float32(0.02),
        "long": synthetic_voice(160, [(650, 150), (1200, 200)], 11.37, 6),
        "noisy": synthetic_voice(130, [(550, 150), (1300, 200)], 3.0, 7, noise=0.05),
    }
