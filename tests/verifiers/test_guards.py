"""Each guard speaks up for its own fault and for nothing else."""

from dataclasses import replace

import numpy as np
import pytest
from test_loops import speech

from tts_eval.audio import Clip, read_audio
from tts_eval.errors import ConfigError
from tts_eval.types import FailureKind, FinishReason
from verifiers.guards import LONGEST_SILENCE, LOUDEST_END_DB, PARTIAL_SECONDS, create, end_level

RATE = 16_000
TEXT = "abcde fghij klmno pqrst"  # 20 letters: 0.96-3.26 s are usual


def faded(samples: np.ndarray, seconds: float = 0.1) -> np.ndarray:
    samples = samples.copy()
    samples[-round(seconds * RATE) :] *= np.linspace(1, 0, round(seconds * RATE), dtype=np.float32) ** 3
    return samples


def rest(seconds: float) -> np.ndarray:
    return np.zeros(round(seconds * RATE), np.float32)


GOOD = faded(speech(1, 2.0))


def flags_of(make_item, samples, text=TEXT, partial=False, **candidate):
    item = make_item(Clip(samples, RATE), text)
    item = replace(item, candidate=replace(item.candidate, **candidate), partial=partial)
    (score,) = create("").score([item])
    assert score.failure is None
    assert score.value == (0.0 if score.details else 1.0)
    return set(score.details)


def test_a_good_clip_is_clean(make_item):
    assert flags_of(make_item, GOOD) == set()


@pytest.mark.parametrize("place", ["start", "within", "end"])
def test_a_long_silence_is_flagged_wherever_it_is(make_item, place):
    for seconds, flags in ((LONGEST_SILENCE - 0.1, set()), (LONGEST_SILENCE + 0.1, {"silent"})):
        parts = {
            "start": [rest(seconds), GOOD],
            "within": [GOOD[:16_000], rest(seconds), GOOD[16_000:]],
            "end": [GOOD, rest(seconds)],
        }[place]
        assert flags_of(make_item, np.concatenate(parts), TEXT * 2) == flags


def test_hiss_is_silence_however_long_and_however_it_ends(make_item):
    hiss = faded(np.random.default_rng(0).normal(0, 0.1, 2 * RATE).astype(np.float32))
    assert flags_of(make_item, hiss) == {"silent"}
    assert flags_of(make_item, hiss[: 2 * RATE], partial=True) == {"silent"}


def test_clipping_is_flagged(make_item):
    assert flags_of(make_item, np.clip(GOOD * 20, -1, 1)) == {"clipped"}


def test_runaways_are_flagged_by_the_length_of_the_text(make_item):
    long = faded(speech(2, 7.0))
    assert flags_of(make_item, long) == {"runaway"}
    assert flags_of(make_item, long, TEXT * 3) == set()


def test_pace_is_not_judged_without_latin_letters(make_item):
    assert flags_of(make_item, faded(speech(2, 7.0)), "你好") == set()
    assert flags_of(make_item, np.clip(GOOD * 20, -1, 1), "你好") == {"clipped"}


def test_loops_are_flagged_in_the_reason_in_codes_and_in_sound(make_item):
    assert flags_of(make_item, GOOD, finish=FinishReason.REPETITION) == {"repetition"}
    assert flags_of(make_item, GOOD, tokens=np.zeros(100, int)) == {"repetition"}
    assert flags_of(make_item, GOOD, tokens=np.arange(100)) == set()
    assert flags_of(make_item, np.concatenate([*[speech(3, 0.5)] * 5, GOOD]), TEXT * 2) == {"repetition"}


def test_codes_of_a_pause_may_be_the_same(make_item):
    paused = np.concatenate([GOOD[:16_000], rest(1.5), GOOD[16_000:]])
    tokens = np.arange(175)
    tokens[50:125] = 0
    assert flags_of(make_item, paused, TEXT * 2, tokens=tokens) == set()


def test_cut_ends_are_flagged_by_the_reason_the_sound_and_the_pace(make_item):
    assert flags_of(make_item, GOOD, finish=FinishReason.LENGTH) == {"truncated"}
    assert flags_of(make_item, speech(1, 2.0)) == {"truncated"}
    assert flags_of(make_item, GOOD, TEXT * 5) == {"truncated"}


def test_the_level_of_the_end_is_that_of_its_last_frame():
    tone = np.sin(2 * np.pi * 200 * np.arange(RATE) / RATE).astype(np.float32)
    for decibels in (0.0, -10.0, LOUDEST_END_DB, -30.0):
        clip = Clip(np.concatenate([tone * 0.5, tone[:320] * 0.5 * 10 ** (decibels / 20)]), RATE)
        assert end_level(clip) == pytest.approx(decibels, abs=0.2)
    assert end_level(Clip(np.concatenate([tone, rest(0.1)]), RATE)) < -60
    assert end_level(Clip(tone[:3], RATE)) == 0


def test_unfinished_candidates_are_judged_on_the_fly(make_item):
    kept = {"partial": True, "finish": FinishReason.LENGTH}
    assert flags_of(make_item, speech(1, 2.0), **kept) == set()
    assert flags_of(make_item, GOOD, TEXT * 5, **kept) == set()
    assert flags_of(make_item, speech(2, 7.0), **kept) == {"runaway"}
    assert flags_of(make_item, np.concatenate([GOOD, rest(2.5)]), **kept) == {"silent"}
    assert flags_of(make_item, GOOD, tokens=np.zeros(100, int), **kept) == {"repetition"}


def test_too_little_is_undecided_and_a_bad_clip_fails(make_item):
    short = int(PARTIAL_SECONDS * RATE) - 1
    items = [
        replace(make_item(Clip(rest(3)[:short], RATE)), partial=True),
        replace(make_item(Clip(rest(3)[: short + 1], RATE)), partial=True),
        make_item(Clip(rest(1), RATE)),
        make_item(None),
    ]
    kinds = [score.failure.kind for score in create("").score(items)]
    assert kinds == [FailureKind.UNDECIDED, FailureKind.UNDECIDED, FailureKind.SILENT, FailureKind.MISSING]


def test_it_takes_no_argument():
    with pytest.raises(ConfigError, match="loose"):
        create("loose")


def test_real_speech_is_clean(make_item, data):
    items = []
    for transcript in sorted((data / "LibriSpeech").rglob("*.trans.txt"))[:8]:
        for line in transcript.read_text().splitlines()[:3]:
            name, _, text = line.partition(" ")
            path = transcript.parent / f"{name}.flac"
            if path.is_file():
                items.append(make_item(read_audio(path), text))
    assert len(items) > 8
    assert {score.value for score in create("").score(items)} == {1.0}
