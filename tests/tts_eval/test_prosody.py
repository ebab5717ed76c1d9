"""Prosody of signals whose pitch, level and rhythm are known."""

import numpy as np
import pytest

from tts_eval.prosody import NAMES, RATE, pitch, prosody, speech_bounds


def voice(hertz, seconds: float = 1.0) -> np.ndarray:
    """A pulse-like tone; `hertz` is a number or an array of one value a sample."""
    frequency = np.broadcast_to(np.asarray(hertz, float), round(seconds * RATE))
    phase = 2 * np.pi * np.cumsum(frequency) / RATE
    return (0.1 * sum(np.sin(k * phase) / k for k in range(1, 8))).astype(np.float32)


def named(samples: np.ndarray) -> dict[str, float]:
    return dict(zip(NAMES, prosody(samples).tolist(), strict=True))


@pytest.mark.parametrize("hertz", [80, 120, 220, 400, 550])
def test_the_pitch_of_a_tone(hertz):
    found, voicing = pitch(voice(hertz))
    assert np.median(found) == pytest.approx(hertz, rel=0.01)
    assert voicing.mean() > 0.95


def test_noise_has_no_pitch():
    noise = np.random.default_rng(0).normal(0, 0.1, RATE).astype(np.float32)
    assert named(noise)["voiced_share"] < 0.05
    assert named(voice(150))["voiced_share"] > 0.95


def test_a_rising_octave_has_its_slope_range_and_mean():
    rising = named(voice(np.geomspace(100, 200, 2 * RATE), 2.0))
    assert rising["pitch_slope"] == pytest.approx(0.5, abs=0.02)
    assert rising["pitch_range"] == pytest.approx(0.8, abs=0.03)
    assert rising["pitch_mean"] == pytest.approx(np.log2(np.sqrt(100 * 200)), abs=0.02)
    assert named(voice(np.geomspace(200, 100, 2 * RATE), 2.0))["pitch_slope"] == pytest.approx(-0.5, abs=0.02)


def test_syllables_and_pauses_are_counted():
    syllable = np.concatenate([voice(150, 0.15), np.zeros(round(0.1 * RATE), np.float32)])
    found = named(np.tile(syllable, 8))
    assert found["peaks_per_second"] == pytest.approx(4.0, abs=0.6)
    assert found["voiced_runs_per_second"] == pytest.approx(4.0, abs=0.6)
    assert found["pause_share"] > 0.1 > named(voice(150))["pause_share"]


def test_gain_changes_nothing():
    noise = np.random.default_rng(0).normal(0, 1e-3, RATE).astype(np.float32)
    samples = voice(np.geomspace(100, 250, RATE)) * np.linspace(0.2, 1.0, RATE, dtype=np.float32) + noise
    np.testing.assert_allclose(prosody(samples), prosody(samples * np.float32(0.03)), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("samples", [0, 1, 300, 801, 2000])
def test_the_shortest_clips_and_silence_have_finite_numbers(samples):
    for signal in (np.zeros(samples, np.float32), voice(200)[:samples]):
        assert np.isfinite(prosody(signal)).all()
        assert prosody(signal).shape == (len(NAMES),)


def test_silence_at_the_ends_is_found():
    first, end = speech_bounds(np.concatenate([np.zeros(8000), voice(150), np.zeros(16_000)]).astype(np.float32))
    assert first == pytest.approx(8000, abs=800)
    assert end == pytest.approx(24_000, abs=800)
