from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks.perf.asr_batching import Read
from benchmarks.perf.partial_content import (
    OFFSETS,
    RATE,
    Spliced,
    Word,
    measure_correct,
    measure_wrong,
    quietest,
    splice,
)
from tts_eval.audio import Clip

WORDS = [Word(text, index, index + 0.9) for index, text in enumerate(["the", "last", "train", "went", "home", "empty"])]


def noise(seconds: float, level: float) -> np.ndarray:
    return (level * np.sign(np.random.default_rng(0).normal(size=round(seconds * RATE)))).astype(np.float32)


def test_the_quietest_place_near_a_time():
    audio = noise(2.0, 0.3)
    audio[round(1.04 * RATE) : round(1.06 * RATE)] = 0.01
    assert quietest(audio, 1.0) == pytest.approx(1.05 * RATE, abs=16)
    assert abs(quietest(audio, 0.5) - 0.5 * RATE) <= 0.08 * RATE


def test_a_word_in_the_middle_gives_way_to_a_strange_one():
    read = Read("1-a", Clip(noise(6.0, 0.3), RATE), "The last train went home empty")
    donor = Read("1-b", Clip(noise(3.0, 0.1), RATE), "A last elephant")
    said = [Word("a", 0.0, 0.4), Word("last", 0.5, 1.0), Word("elephant", 1.2, 2.4)]
    made = splice(read, WORDS, donor, said)
    assert made is not None
    audio = made.clip.samples
    wrong = np.abs(np.abs(audio) - 0.1) < 1e-3  # the donor is quieter
    assert made.start == pytest.approx(3.0, abs=0.1)
    assert made.end - made.start == pytest.approx(1.2, abs=0.2)
    assert (wrong.argmax(), len(wrong) - wrong[::-1].argmax()) == (round(made.start * RATE), round(made.end * RATE))
    assert splice(read, WORDS, donor, said[:2]) is None  # every long word of it is in the text
    assert splice(read, WORDS[:2], donor, said) is None  # too early to compare with what came before


class Judge:
    """Rate 0.1, and 0.5 from the third second on; undecided before 2 s. Of whole clips it finds loud ones right."""

    def score(self, items):
        return [SimpleNamespace(value=self.rate(item.candidate.clip, item.partial)) for item in items]

    def rate(self, clip: Clip, partial: bool) -> float | None:
        if not partial:
            return 0.0 if clip.peak_dbfs > -10 else 0.2
        return None if clip.seconds < 2 else (0.1 if clip.seconds < 3 else 0.5) * (clip.peak_dbfs < -10)


def test_rates_by_length_and_by_time_after_the_word():
    clips = [Read(str(level), Clip(noise(4.2, level), RATE), "text") for level in (0.1, 0.1, 0.9)]
    table = measure_correct(Judge(), clips)
    assert [row["length"] for row in table] == ["whole", "1.5 s", "2.0 s", "2.5 s", "3.0 s", "3.5 s", "4.0 s"]
    assert [row["decided"] for row in table] == [3, 0, 3, 3, 3, 3, 3]
    assert [row["wer"] for row in table if row["decided"]] == pytest.approx([0.4 / 3, *[0.2 / 3] * 2, *[1 / 3] * 3])
    assert (table[1]["wer"], table[1]["wer_right"]) == (None, None)
    assert [(row["right"], row["wer_right"]) for row in (table[0], *table[2:])] == [(1, 0.0)] * 6
    late = Spliced(clips[0].clip, "text", 2.1, 2.6)
    undecided = Spliced(clips[0].clip, "text", 1.0, 2.6)
    rises = measure_wrong(Judge(), [late, late, undecided])
    assert [row["after"] for row in rises] == list(OFFSETS)
    assert [row["wer"] for row in rises] == pytest.approx([0.1, 0.5, 0.5, 0.5])
    assert {row["clips"] for row in rises} == {2}
    assert [row["share_risen"] for row in rises] == [0, 1, 1, 1]
    assert rises[1]["rise_95"] == pytest.approx([0.4, 0.4])
