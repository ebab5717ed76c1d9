from __future__ import annotations

import numpy as np
import pytest

from benchmarks.perf.asr_batching import Read
from benchmarks.perf.speaker_verification import RATE, cosines, embeddings, equal_error_rate, error_rates
from tts_eval.audio import Clip


@pytest.mark.parametrize(
    ("same", "other", "rate"),
    [
        ([0.8, 0.9], [0.1, 0.2, 0.3], 0.0),
        ([0.1, 0.2], [0.8, 0.9], 1.0),
        ([0.2, 0.7, 0.8, 0.9], [0.1, 0.3, 0.4, 0.75], 0.25),
        ([0.5], [0.5], 0.5),
        # 2 of 5 refused where 1 of 2 passes, then 3 of 5 where none does; the lines meet at 3/7.
        ([0.1, 0.2, 0.4, 0.8, 0.9], [0.3, 0.4], 3 / 7),
    ],
)
def test_the_equal_error_rate(same, other, rate):
    assert equal_error_rate(np.array(same), np.array(other)) == pytest.approx(rate)


def test_the_equal_error_rate_of_two_normal_distributions():
    generator = np.random.default_rng(0)
    same, other = generator.normal(1, 1, 200_000), generator.normal(-1, 1, 200_000)
    assert equal_error_rate(same, other) == pytest.approx(0.1587, abs=0.002)  # the normal distribution below -1


def test_a_clip_is_not_compared_with_itself():
    voices = np.eye(3)
    same, other = cosines(voices, voices, ["a", "a", "b"])
    assert same.tolist() == [0, 0]
    assert other.tolist() == [0, 0, 0, 0]


def test_who_is_not_heard_resembles_nobody():
    rows = embeddings(lambda clips: [None, np.array([1.0, 0.0])], [np.zeros(1), np.zeros(1)])
    assert rows.tolist() == [[0, 0], [1, 0]]


def test_beginnings_are_compared_with_whole_clips():
    def clip(name: str, *levels: float) -> Read:
        return Read(name, Clip(np.repeat(np.array(levels, np.float32), RATE), RATE), "")

    def embed(audio):
        loud = [float(samples.mean()) for samples in audio]
        return [np.array([np.cos(level), np.sin(level)]) for level in loud]

    # In the second pair of speakers, each begins as loud as the other is on average.
    clips = [clip("1-a", 0.9, 0.8), clip("1-b", 0.92, 0.8), clip("2-a", 0.0, 0.1), clip("2-b", 0.0, 0.14)]
    flipped = [clip("1-a", 0.1, 0.9), clip("1-b", 0.1, 0.94), clip("2-a", 0.5, -0.3), clip("2-b", 0.5, -0.26)]
    assert error_rates(embed, clips, [1.0, 1.5]) == {"whole": 0, "1": 0, "1.5": 0}
    assert error_rates(embed, flipped, [1.0]) == {"whole": 0, "1": 1}
