from __future__ import annotations

import numpy as np
import pytest

from benchmarks.perf import asr_batching
from benchmarks.perf.asr_batching import (
    EXACT,
    FASTER,
    VERIFIER,
    Read,
    Timed,
    accuracy,
    agreement,
    looping,
    measure,
    speed,
)
from tts_eval.audio import Clip

CLIPS = [Read(text, Clip(np.full(160, 0.1, np.float32), 16_000), text) for text in ("red green blue", "cat dog cow")]


def test_every_side_hears_the_same_clips_and_takes_turns_at_going_first():
    order = []

    def side(name):
        def hear(clips):
            order.append((name, len(clips)))
            return [f"{name} {clip.text}" for clip in clips]

        return hear

    clips = CLIPS * 2
    found = measure({name: side(name) for name in "ab"}, clips, runs=2)
    assert order == [("a", 2), ("b", 2), ("a", 4), ("b", 4), ("b", 4), ("a", 4)]
    assert found["b"].transcripts == [f"b {clip.text}" for clip in clips]
    assert {clock: len(values) for clock, values in found["a"].seconds.items()} == {"wall": 2, "cpu": 2}


def test_the_ratio_is_the_median_of_those_within_a_run():
    found = speed(
        {
            VERIFIER: Timed({"wall": [1.0, 2.0, 4.0], "cpu": [1.0, 1.0, 1.0]}, []),
            FASTER: Timed({"wall": [4.0, 10.0, 12.0], "cpu": [2.0, 2.5, 3.0]}, []),
        }
    )
    assert (found[FASTER]["ratio_wall"], found[FASTER]["ratio_cpu"]) == (4.0, 2.5)
    assert found[VERIFIER]["ratio_wall"] == 1.0


def test_word_errors_and_their_difference():
    right, wrong = [clip.text for clip in CLIPS], ["red green blue", "cat hen cow"]
    found = accuracy({VERIFIER: wrong, FASTER: right}, CLIPS)
    assert (found[VERIFIER]["wer"], found[FASTER]["wer"]) == pytest.approx((1 / 6, 0))
    assert found[FASTER]["difference"] == pytest.approx(1 / 6)
    assert found[FASTER]["difference_95"] == pytest.approx([0, 1 / 3])
    assert found[VERIFIER]["difference_95"] == [0, 0]


def test_the_same_words_are_the_same_to_the_letter():
    assert agreement({EXACT: ["Yes,  sir.", "No."], FASTER: ["Yes, sir.", "no."]}) == 0.5
    assert agreement({VERIFIER: ["Yes."], FASTER: ["Yes."]}) is None


def test_a_loop_hears_one_clip_at_a_time_at_16_khz():
    assert looping(lambda audio: str(audio.shape))([Read("a", Clip(np.zeros(80, np.float32), 8_000), "")]) == ["(160,)"]


def test_only_the_wanted_sides_are_measured_and_the_table_names_them(monkeypatch, capsys, tmp_path):
    asked = []

    def sides(name, threads, wanted):
        asked.append((name, threads, wanted))
        return {side: lambda clips: [clip.text for clip in clips] for side in wanted}

    monkeypatch.setattr(asr_batching, "load_sides", sides)
    monkeypatch.setattr(asr_batching, "read_librispeech", lambda *_: CLIPS)
    options = ["--data-dir", str(tmp_path), "--models", "base", "--threads", "3", "--against", EXACT, FASTER]
    counts = ["--clips", "2", "--wer-clips", "1", "--runs", "1"]
    monkeypatch.setattr("sys.argv", ["asr_batching", *options, *counts])
    asr_batching.main()
    assert asked == [("base", 3, (VERIFIER, EXACT, FASTER))]
    shown = capsys.readouterr().out
    assert "base, 2 clips of 4-8 s, 3 threads" in shown
    assert "base, 1 clips of 3-10 s" in shown
    assert shown.count("the same words in 100.0% of the clips") == 2
    assert '"threads": 3' in shown.splitlines()[-1]
