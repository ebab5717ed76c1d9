"""Loops in codes and in sound, and speech that is none."""

import numpy as np
import pytest
from synthetic_voice import synthetic_voice

from tts_eval.audio import Clip, read_audio
from verifiers.loops import LOUD_SECONDS, REPEATED_SECONDS, code_loop, longest_run, sound_loop

RATE = 16_000
CODE_SECONDS = 0.02


def codes(*parts: np.ndarray) -> np.ndarray:
    return np.concatenate(parts)


def random_codes(seed: int, length: int, *size: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 65_536, (length, *size))


@pytest.mark.parametrize("size", [(), (4,)])
@pytest.mark.parametrize("period", [1, 7, 40])
def test_loops_of_codes_are_found_with_their_place_and_period(period, size):
    rounds = max(3, int(np.ceil(REPEATED_SECONDS / CODE_SECONDS / period)) + 1)
    tokens = codes(random_codes(0, 60, *size), np.concatenate([random_codes(1, period, *size)] * rounds))
    loop = code_loop(tokens, CODE_SECONDS, np.ones(len(tokens), bool))
    assert loop.start == pytest.approx(60 * CODE_SECONDS)
    assert loop.period == pytest.approx(period * CODE_SECONDS)
    assert loop.rounds == pytest.approx(rounds)


def test_two_rounds_short_loops_and_silent_loops_are_none():
    once = random_codes(1, 60)
    loud = np.ones(1000, bool)
    assert code_loop(codes(once, once), CODE_SECONDS, loud[:120]) is None
    assert code_loop(codes(once, once, once), CODE_SECONDS, loud[:180]) is not None
    brief = np.zeros(round(REPEATED_SECONDS / CODE_SECONDS), int)
    assert code_loop(brief, CODE_SECONDS, loud[: len(brief)]) is None
    assert code_loop(np.zeros(len(brief) + 1, int), CODE_SECONDS, loud[: len(brief) + 1]) is not None
    held = np.zeros(200, int)
    barely = np.arange(200) >= 200 - round(LOUD_SECONDS / CODE_SECONDS) + 1
    assert code_loop(held, CODE_SECONDS, barely) is None
    assert code_loop(held, CODE_SECONDS, np.roll(barely, -1) | barely) is not None
    assert code_loop(random_codes(3, 300), CODE_SECONDS, loud[:300]) is None
    assert code_loop(held[:0], CODE_SECONDS, loud[:0]) is None


def test_latents_that_differ_a_little_are_no_loop():
    latents = np.ones((200, 3)) + 1e-3 * np.random.default_rng(0).standard_normal((200, 3))
    assert code_loop(latents, CODE_SECONDS, np.ones(200, bool)) is None


def speech(seed: int, seconds: float) -> np.ndarray:
    """Syllables of changing pitch and vowel, so that no part is like another."""
    generator = np.random.default_rng(seed)
    parts = []
    while sum(map(len, parts)) < seconds * RATE:
        formants = [(generator.uniform(300, 800), 120), (generator.uniform(900, 2500), 200)]
        pitch = generator.uniform(90, 220)
        parts.append(synthetic_voice(pitch, formants, generator.uniform(0.12, 0.3), int(generator.integers(99))))
    return np.concatenate(parts)[: round(seconds * RATE)]


@pytest.mark.parametrize("rate", [16_000, 24_000])
@pytest.mark.parametrize("period", [0.3, 0.8])
def test_loops_of_sound_are_found_with_their_place_and_period(period, rate):
    once = speech(1, period)
    looped = np.concatenate([speech(2, 1.5), *[once] * 6])
    clip = Clip(Clip(looped, RATE).at(rate), rate)
    loop = sound_loop(clip)
    assert loop.start == pytest.approx(1.5, abs=0.1)
    assert loop.period == pytest.approx(period, abs=0.02)
    assert loop.rounds == pytest.approx(6, abs=0.6)


def test_speech_that_goes_on_is_no_loop():
    for seed in range(5):
        assert sound_loop(Clip(speech(seed, 4.0), RATE)) is None
    once = speech(7, 0.8)
    assert sound_loop(Clip(np.concatenate([speech(8, 1.0), once, once, speech(9, 1.0)]), RATE)) is None
    assert sound_loop(Clip(once[:1000], RATE)) is None


def test_a_long_pause_is_no_loop():
    pause = 0.0005 * np.random.default_rng(0).standard_normal(3 * RATE).astype(np.float32)
    assert sound_loop(Clip(np.concatenate([speech(1, 1.5), pause, speech(2, 1.5)]), RATE)) is None


def test_a_voice_that_is_stuck_on_one_sound_is_a_loop():
    time = np.arange(3 * RATE) / RATE
    hum = sum(np.sin(2 * np.pi * 120 * n * time) / n for n in range(1, 20)).astype(np.float32) * 0.2
    assert sound_loop(Clip(np.concatenate([speech(3, 2.0), hum]), RATE)) is not None


@pytest.mark.parametrize(("flags", "run"), [("", (0, 0)), ("00", (0, 0)), ("0110111", (4, 3)), ("1101", (0, 2))])
def test_longest_run(flags, run):
    assert longest_run(np.array([flag == "1" for flag in flags], dtype=bool)) == run


def test_real_speech_is_no_loop_until_it_is_stuck(data):
    paths = sorted((data / "LibriSpeech").rglob("*.flac"))[::24]
    clips = [read_audio(path) for path in paths]
    assert not any(sound_loop(clip) for clip in clips)
    stuck = []
    for clip in clips:
        half, round_ = len(clip.samples) // 2, clip.samples[len(clip.samples) // 2 :][: int(0.6 * clip.rate)]
        stuck.append(Clip(np.concatenate([clip.samples[:half], *[round_] * 5]), clip.rate))
    assert np.mean([sound_loop(clip) is not None for clip in stuck]) >= 0.8
