import numpy as np
import pytest

from tts_eval.audio import Clip, read_audio
from tts_eval.errors import ConfigError
from tts_eval.types import FailureKind
from verifiers.duration import (
    FASTEST,
    FULL_SCALE,
    SLOWEST,
    create,
    measure,
    plausibility,
    spoken_characters,
)

RATE = 16_000
TEXT = "abcde fghij klmno pqrst"  # 20 letters


def tone(seconds: float, rate: int = RATE, level: float = 0.3) -> np.ndarray:
    return (level * np.sin(2 * np.pi * 200 * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def syllables(seconds: float, level: float = 0.3) -> np.ndarray:
    """A tone that comes and goes four times a second, never silent."""
    time = np.arange(round(seconds * RATE)) / RATE
    return (tone(seconds, level=level) * (0.55 + 0.45 * np.sin(2 * np.pi * 4 * time))).astype(np.float32)


def rest(seconds: float, rate: int = RATE) -> np.ndarray:
    return np.zeros(round(seconds * rate), np.float32)


def joined(*parts: np.ndarray, rate: int = RATE) -> Clip:
    return Clip(np.concatenate(parts), rate)


def score_of(make_item, clip, text=TEXT):
    (score,) = create("").score([make_item(clip, text)])
    return score


@pytest.mark.parametrize(
    ("text", "characters"),
    [
        ("", 0),
        ("... !?", 0),
        ("Hello, world!", 10),
        ("don't", 4),
        ("42", 8),
        ("Route 66", 13),
        ("Café Zürich", 10),
        ("Привет", 0),
        ("你好", 0),
        ("Привет OK", 0),
        ("hello 你好", 5),
    ],
)
def test_length_of_a_text(text, characters):
    assert spoken_characters(text) == characters


def test_four_letters_a_digit_is_the_mean_of_their_names():
    names = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
    assert sum(map(len, names)) / 10 == spoken_characters("7")


@pytest.mark.parametrize("characters", [9, 20, 300])
def test_plausibility_is_one_within_the_window_and_half_at_one_and_a_half_times(characters):
    low, high = FASTEST * characters, SLOWEST * characters
    assert all(plausibility(seconds, characters) == 1 for seconds in np.linspace(low, high, 20))
    assert plausibility(high * 1.5, characters) == pytest.approx(0.5)
    assert plausibility(low / 1.5, characters) == pytest.approx(0.5)


def test_plausibility_falls_smoothly_on_both_sides():
    seconds = np.geomspace(0.01, 100, 2000)
    values = np.array([plausibility(s, 20) for s in seconds])
    peak = int(values.argmax())
    assert np.all(np.diff(values[:peak]) >= 0)
    assert np.all(np.diff(values[peak:]) <= 0)
    assert np.abs(np.diff(values)).max() < 0.02
    assert values.min() >= 0
    assert values[0] < 1e-6
    assert values[-1] < 1e-6


def test_very_short_texts_may_take_as_long_as_nine_characters():
    assert plausibility(9 * SLOWEST, 2) == 1
    assert plausibility(9 * SLOWEST * 1.5, 2) == pytest.approx(0.5)


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 48_000])
def test_the_signal_is_measured_in_seconds_at_any_rate(rate):
    clip = joined(rest(0.4, rate), tone(1, rate), rest(0.6, rate), tone(1, rate), rest(1, rate), rate=rate)
    signal = measure(clip)
    assert signal.speech_seconds == pytest.approx(2.6, abs=0.041)
    assert signal.longest_pause == pytest.approx(0.6, abs=0.041)
    assert signal.silence == pytest.approx(0.5, abs=0.02)
    assert signal.clipping == 0


def test_silence_around_the_speech_is_not_pace_and_not_a_pause(make_item):
    tight = score_of(make_item, joined(syllables(2)))
    padded = score_of(make_item, joined(rest(3), syllables(2), rest(3)))
    assert padded.values["seconds_per_character"] == pytest.approx(tight.values["seconds_per_character"], abs=0.001)
    assert tight.values["seconds_per_character"] == pytest.approx(0.1)
    assert padded.value == tight.value == 1
    assert padded.values["longest_pause"] == 0
    assert padded.values["silence"] == pytest.approx(0.75, abs=0.01)
    assert tight.values["silence"] == 0


def test_forty_decibels_below_the_loudest_frame_is_silence():
    assert measure(joined(tone(1), tone(1, level=0.3 * 10 ** (-39 / 20)))).silence == 0
    assert measure(joined(tone(1), tone(1, level=0.3 * 10 ** (-41 / 20)))).silence == pytest.approx(0.5, abs=0.01)


def test_a_last_frame_that_is_not_full_counts_by_its_samples():
    signal = measure(Clip(np.full(RATE + 7, 0.5, np.float32), RATE))
    assert signal.speech_seconds == (RATE + 7) / RATE
    assert signal.silence == 0
    assert measure(Clip(np.full(1, 0.5, np.float32), RATE)).speech_seconds == 1 / RATE


def test_clipping_counts_both_ends_and_what_is_beyond():
    samples = np.full(1000, 0.5, np.float32)
    samples[:4] = [FULL_SCALE, -1.0, 1.7, -FULL_SCALE]
    samples[4] = 32766 / 32768
    assert measure(Clip(samples, RATE)).clipping == pytest.approx(0.004)


@pytest.mark.parametrize(
    ("seconds", "flags"),
    [
        (1.9 * SLOWEST * 20, set()),
        (2.1 * SLOWEST * 20, {"runaway"}),
        (0.45 * FASTEST * 20, {"truncated"}),
        (0.5, set()),
    ],
)
def test_flags_far_outside_the_window(make_item, seconds, flags):
    score = score_of(make_item, joined(syllables(seconds)))
    assert set(score.details) == flags
    assert all("20 characters" in message for message in score.details.values())


def test_overloaded_clips_are_flagged(make_item):
    loud = np.clip(syllables(2, level=5.0), -1, 1)
    score = score_of(make_item, joined(loud))
    assert set(score.details) == {"clipped"}
    assert score.values["clipping"] > 0.5


def test_texts_that_cannot_be_measured_fail(make_item):
    for text in ("", "...", "Привет"):
        failure = score_of(make_item, joined(tone(1)), text).failure
        assert failure.kind is FailureKind.NO_REFERENCE


def test_bad_clips_fail_before_the_text_is_read(make_item):
    assert score_of(make_item, joined(rest(1))).failure.kind is FailureKind.SILENT
    assert score_of(make_item, None).failure.kind is FailureKind.MISSING


@pytest.mark.parametrize("sound", [tone(2), np.random.default_rng(0).normal(0, 0.1, 2 * RATE).astype(np.float32)])
def test_a_sound_without_ups_and_downs_is_no_speech_however_long(make_item, sound):
    padded = score_of(make_item, joined(rest(1), sound, rest(1)))
    assert padded.failure.kind is FailureKind.SILENT
    assert "the level moves by" in padded.failure.message


def test_every_metric_has_a_value_and_the_first_is_the_score(make_item):
    score = score_of(make_item, joined(syllables(8)))
    verifier = create("")
    assert {metric.name for metric in verifier.metrics} <= set(score.values)
    assert score.value == score.values["plausibility"] < 1
    assert not verifier.supports_partial


def test_it_takes_no_argument():
    with pytest.raises(ConfigError, match="loose"):
        create("loose")


def test_real_speech_is_plausible(make_item, data):
    items = []
    for transcript in sorted((data / "LibriSpeech").rglob("*.trans.txt"))[:12]:
        for line in transcript.read_text().splitlines()[:3]:
            name, _, text = line.partition(" ")
            path = transcript.parent / f"{name}.flac"
            if path.is_file():
                items.append(make_item(read_audio(path), text))
    scores = create("").score(items)
    assert len(scores) > 12
    assert np.mean([score.value for score in scores]) > 0.99
    assert not any(score.details for score in scores)
    swapped = create("").score([make_item(item.candidate.clip, "No.") for item in items])
    assert np.median([score.value for score in swapped]) < 0.01
    assert np.mean(["runaway" in score.details for score in swapped]) > 0.8
