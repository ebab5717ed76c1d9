from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from tts_eval.audio import Clip
from tts_eval.errors import ConfigError
from tts_eval.types import FailureKind
from verifiers import load_verifier, whisper_ctranslate2
from verifiers.asr import AsrVerifier
from verifiers.likelihood import LikelihoodVerifier
from verifiers.recognition import RATE, Transcript, Utterance


class Listener:
    """Gives every text -2 nats a word; knows English alone."""

    judge = "listener"
    text_tokens = 1000

    def __init__(self) -> None:
        self.utterances: list[Utterance] = []

    def supports(self, language: str) -> bool:
        return language == "en"

    def recognise(self, utterances: Sequence[Utterance]) -> list[Transcript]:
        self.utterances += utterances
        return [
            Transcript("heard" if each.transcribe else "", -2.0 * len(each.text.split()), len(each.text.split()))
            for each in utterances
        ]


def test_no_transcript_is_asked_for(tone, make_item):
    listener = Listener()
    verifier = LikelihoodVerifier(listener)
    (score,) = verifier.score([make_item(tone, "one two three")])
    assert dict(score.values) == {"likelihood": -2.0}
    assert score.value == -2.0
    assert [(each.text, each.transcribe) for each in listener.utterances] == [("one two three", False)]
    assert not verifier.supports_partial


def test_it_is_the_likelihood_of_asr(tone, make_item):
    items = [make_item(tone, "one two three")]
    alone, beside = LikelihoodVerifier(Listener()), AsrVerifier(Listener())
    assert alone.score(items)[0].value == beside.score(items)[0].values["likelihood"]
    assert alone.metrics == beside.metrics[1:2]
    assert alone.metrics[0].worst == pytest.approx(-math.log(1000))


def test_only_the_pieces_of_a_long_clip_are_transcribed_and_that_once(make_item):
    listener = Listener()
    long = Clip(np.random.default_rng(0).normal(0, 0.1, 40 * RATE).astype(np.float32), RATE)
    (score,) = LikelihoodVerifier(listener).score([make_item(long, "one two three")])
    assert score.value == -2.0
    assert [(bool(each.text), each.transcribe) for each in listener.utterances[:2]] == [(False, True)] * 2
    assert [each.transcribe for each in listener.utterances[2:]] == [False] * 2
    assert " ".join(each.text for each in listener.utterances[2:]).split() == ["one", "two", "three"]


@pytest.mark.parametrize(("text", "language"), [("...", "en"), ("eins zwei", "de")])
def test_what_cannot_be_scored_is_a_failure(tone, make_item, text, language):
    listener = Listener()
    (score,) = LikelihoodVerifier(listener).score([make_item(tone, text, language=language)])
    assert score.failure is not None
    assert score.failure.kind is FailureKind.NO_REFERENCE
    assert not listener.utterances


def test_silence_is_a_failure_in_its_place(tone, make_item):
    silent = Clip(np.zeros(RATE, np.float32), RATE)
    scores = LikelihoodVerifier(Listener()).score([make_item(silent), make_item(tone)])
    assert [score.value for score in scores] == [None, -2.0]


def test_the_name_takes_a_model_and_no_protocol(monkeypatch):
    asked: list[tuple[str, bool]] = []

    def load(model: str, *, exact: bool = False) -> Listener:
        asked.append((model, exact))
        return Listener()

    monkeypatch.setattr(whisper_ctranslate2, "load", load)
    for spec in ("likelihood", "likelihood:base", "likelihood:base:exact"):
        assert load_verifier(spec).judge == "listener"
    assert asked == [("tiny.en", False), ("base", False), ("base", True)]
    with pytest.raises(ConfigError, match=r"'seed-tts@1' in 'likelihood:base:seed-tts@1' is no mode") as caught:
        load_verifier("likelihood:base:seed-tts@1")
    assert "likelihood:[BACKEND:]MODEL[:exact], e.g." in str(caught.value)
