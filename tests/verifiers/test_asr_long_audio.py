from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifiers.long_audio import pieces, recognise
from verifiers.recognition import MAX_SECONDS, RATE, Transcript, Utterance
from verifiers.shares import shares

words = st.lists(st.sampled_from(["ah", "be", "see", "dee"]), max_size=12).map(" ".join)


def noise(seconds: float, *pauses: float) -> np.ndarray:
    """Noise with half a second of silence at each of the given times."""
    audio = np.random.default_rng(0).normal(0, 0.1, round(seconds * RATE)).astype(np.float32)
    for pause in pauses:
        audio[round(pause * RATE) : round((pause + 0.5) * RATE)] = 0
    return audio


class Reader:
    """Reads the words "w0 w1 ..." at one a second, from the level of the audio's first sample."""

    judge = "reader"
    text_tokens = 100

    def __init__(self) -> None:
        self.heard: list[Utterance] = []

    def supports(self, language: str) -> bool:
        return True

    def recognise(self, utterances: Sequence[Utterance]) -> list[Transcript]:
        assert all(utterance.seconds <= MAX_SECONDS for utterance in utterances)
        self.heard += utterances
        return [
            Transcript(
                " ".join(f"w{round(sample)}" for sample in utterance.audio_16k[::RATE]),
                -float(len(utterance.text.split())),
                len(utterance.text.split()),
            )
            for utterance in utterances
        ]


def counting(seconds: int) -> np.ndarray:
    """Sample value = number of the second it is in, from 1."""
    return np.repeat(np.arange(1, seconds + 1), RATE).astype(np.float32)


def test_pieces_are_cut_in_the_pauses_and_join_to_the_audio():
    audio = noise(70, 24.0, 47.5)
    found = pieces(audio)
    assert np.array_equal(np.concatenate(found), audio)
    assert len(found) == 3
    assert 24.0 <= len(found[0]) / RATE <= 24.5
    assert 47.5 <= (len(found[0]) + len(found[1])) / RATE <= 48.0


@pytest.mark.parametrize("seconds", [0.01, 5.0, 30.0])
def test_a_clip_that_fits_is_one_piece(seconds):
    assert len(pieces(noise(seconds))) == 1


@pytest.mark.parametrize("seconds", [30.01, 45.0, 61.3, 125.0])
def test_no_piece_is_longer_than_the_window(seconds):
    lengths = [len(piece) / RATE for piece in pieces(noise(seconds))]
    assert max(lengths) <= MAX_SECONDS
    assert sum(lengths) == pytest.approx(seconds, abs=1 / RATE)
    assert min(lengths[:-1]) >= 20


def test_a_long_clip_gets_one_transcript_and_all_its_text_is_scored():
    text = " ".join(f"w{second}" for second in range(1, 71))
    reader = Reader()
    short = Utterance(audio_16k=counting(2), text="w1 w2", language="en")
    long = Utterance(audio_16k=counting(70), text=text, language="en")
    results = recognise(reader, [short, long, short])
    assert [result.tokens for result in results] == [2, 70, 2]
    assert [result.log_prob for result in results] == [-2.0, -70.0, -2.0]
    assert list(dict.fromkeys(results[1].text.split())) == text.split()
    assert results[0].text == "w1 w2"


def test_silent_pieces_are_not_heard():
    audio = np.concatenate([counting(20), np.zeros(30 * RATE, np.float32)])
    reader = Reader()
    (result,) = recognise(reader, [Utterance(audio_16k=audio, text="w1 w2", language="en")])
    assert all(np.any(utterance.audio_16k) for utterance in reader.heard)
    assert result.tokens == 2


def test_shares_follow_the_transcripts():
    text = "The quick brown fox jumps over the lazy dog."
    assert shares(text, ["the quick brown", "fox jumps over", "the lazy dog"]) == [
        "The quick brown",
        "fox jumps over",
        "the lazy dog.",
    ]
    assert shares(text, ["the quick brown fox", "the lazy dog"]) == ["The quick brown fox", "jumps over the lazy dog."]
    assert shares("今天天气很好", ["今天天", "气很好"]) == ["今天天", "气很好"]


@given(text=words, transcripts=st.lists(words, min_size=1, max_size=4))
def test_shares_join_to_the_text(text, transcripts):
    found = shares(text, transcripts)
    assert len(found) == len(transcripts)
    joiner = " " if " " in text else ""
    assert joiner.join(share for share in found if share) == text
