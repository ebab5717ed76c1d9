from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence

import numpy as np
import pytest

from tts_eval.audio import Clip
from tts_eval.errors import UnknownNameError
from tts_eval.text import language_code
from tts_eval.types import FailureKind
from verifiers.asr import AsrVerifier
from verifiers.recognition import RATE, Transcript, Utterance, summed_log_probs


class Listener:
    """Hears the same in every clip; knows English alone."""

    judge = "listener"
    text_tokens = 1000

    def __init__(self, heard: str = "one two three", log_prob: float = -1.5, tokens: int = 3) -> None:
        self.transcript = Transcript(heard, log_prob, tokens)
        self.utterances: list[Utterance] = []
        self.calls = 0

    def supports(self, language: str) -> bool:
        return language == "en"

    def recognise(self, utterances: Sequence[Utterance]) -> list[Transcript]:
        self.calls += 1
        self.utterances += utterances
        return [self.transcript for _ in utterances]


def test_a_clip_gets_its_edits_rates_likelihood_and_transcript(tone, make_item):
    (score,) = AsrVerifier(Listener("the cat sad on a the")).score([make_item(tone, "The cat sat on mats.")])
    assert dict(score.values) == {
        "wer": pytest.approx(3 / 5),
        "corpus_wer": pytest.approx(3 / 5),
        "likelihood": pytest.approx(-0.5),
        "substitutions": 2,
        "deletions": 0,
        "insertions": 1,
        "errors": 3,
        "reference_words": 5,
    }
    assert score.value == score.values["wer"]
    assert set(score.details) == {"transcript", "alignment"}
    assert score.details["transcript"] == "the cat sad on a the"
    assert json.loads(score.details["alignment"]) == [
        ["equal", "the cat", "the cat"],
        ["substitute", "sat", "sad"],
        ["equal", "on", "on"],
        ["insert", "", "a"],
        ["substitute", "mats", "the"],
    ]
    assert score.judge == "listener"


def test_every_metric_and_its_parts_are_in_the_values(tone, make_item):
    verifier = AsrVerifier(Listener())
    (score,) = verifier.score([make_item(tone)])
    assert [metric.name for metric in verifier.metrics] == ["wer", "likelihood", "corpus_wer"]
    assert verifier.metrics[1].worst == pytest.approx(math.log(1 / 1000))
    for metric in verifier.metrics:
        assert {metric.name, *(metric.ratio_of or ())} <= set(score.values)


def test_the_protocol_decides(tone, make_item):
    item = make_item(tone, "a well-known man")
    rates = {
        protocol: AsrVerifier(Listener("a well known man"), protocol).score([item])[0].value
        for protocol in ("whisper-norm@1", "seed-tts@1")
    }
    assert rates == {"whisper-norm@1": 0.0, "seed-tts@1": pytest.approx(2 / 3)}
    assert AsrVerifier(Listener(), "seed-tts@1").metrics[0].protocol == "seed-tts@1"
    with pytest.raises(UnknownNameError):
        AsrVerifier(Listener(), "seed-tts")


def test_all_clips_are_heard_in_one_call_at_16_khz(make_item):
    listener = Listener()
    clips = [Clip(np.full(24_000 + 2400 * index, 0.1, np.float32), 24_000) for index in range(5)]
    AsrVerifier(listener).score([make_item(clip, f"text {index}") for index, clip in enumerate(clips)])
    assert listener.calls == 1
    assert [utterance.text for utterance in listener.utterances] == [f"text {index}" for index in range(5)]
    assert [utterance.seconds for utterance in listener.utterances] == [1.0, 1.1, 1.2, 1.3, 1.4]


def test_failed_clips_keep_their_place_and_count_as_all_words_deleted(tone, make_item):
    silent = Clip(np.zeros(RATE, np.float32), RATE)
    listener = Listener()
    scores = AsrVerifier(listener).score([make_item(silent, "good day"), make_item(tone), make_item(None, "no")])
    assert [score.failure and score.failure.kind for score in scores] == [FailureKind.SILENT, None, FailureKind.MISSING]
    assert scores[0].value is None
    assert dict(scores[0].values) == {"errors": 2, "deletions": 2, "reference_words": 2}
    assert len(listener.utterances) == 1


@pytest.mark.parametrize("text", ["", "...", "—", "[noise]"])
def test_a_text_without_words_is_a_failure_not_a_score(tone, make_item, text):
    listener = Listener()
    (score,) = AsrVerifier(listener).score([make_item(tone, text)])
    assert score.failure is not None
    assert score.failure.kind is FailureKind.NO_REFERENCE
    assert "'r' has no words under protocol whisper-norm@1" in score.failure.message
    assert not score.values
    assert not listener.utterances


def test_a_language_the_model_does_not_know_is_a_failure(tone, make_item):
    american, german = AsrVerifier(Listener()).score(
        [make_item(tone, language="en-US"), make_item(tone, language="de")]
    )
    assert american.value == 0
    assert german.failure is not None
    assert german.failure.kind is FailureKind.NO_REFERENCE
    assert "'de', which listener does not know" in german.failure.message


@pytest.mark.parametrize(("language", "protocol"), [("de", "whisper-norm@1"), ("zh-CN", "librispeech@1")])
def test_a_language_the_protocol_does_not_cover_is_a_failure(tone, make_item, language, protocol, monkeypatch):
    listener = Listener()
    monkeypatch.setattr(listener, "supports", lambda code: True, raising=False)
    (score,) = AsrVerifier(listener, protocol).score([make_item(tone, language=language)])
    assert score.failure is not None
    assert score.failure.kind is FailureKind.NO_REFERENCE
    assert f"'{language}', which protocol {protocol} does not cover (en)" in score.failure.message
    assert not score.values
    assert not listener.utterances


def test_chinese_needs_a_package_and_says_so(tone, make_item, monkeypatch):
    listener = Listener("今天")
    monkeypatch.setattr(listener, "supports", lambda code: True, raising=False)
    monkeypatch.setitem(sys.modules, "zhconv", None)
    (score,) = AsrVerifier(listener, "seed-tts@1").score([make_item(tone, "今天很好", language="zh")])
    assert score.failure is not None
    assert "pip install 'tts-eval-harness[chinese]'" in score.failure.message
    assert score.values["deletions"] == 4


def test_a_clip_that_breaks_the_recogniser_costs_one_score(tone, make_item):
    class Fragile(Listener):
        def recognise(self, utterances: Sequence[Utterance]) -> list[Transcript]:
            if any(utterance.text == "poison" for utterance in utterances):
                raise RuntimeError("boom")
            return super().recognise(utterances)

    scores = AsrVerifier(Fragile()).score([make_item(tone), make_item(tone, "poison"), make_item(tone)])
    assert [score.value for score in scores] == [0, None, 0]
    assert scores[1].failure is not None
    assert scores[1].failure.kind is FailureKind.VERIFIER
    assert scores[1].values["reference_words"] == 1


def test_likelihood_is_never_below_that_of_a_failed_clip(tone, make_item):
    verifier = AsrVerifier(Listener(log_prob=-100.0, tokens=3))
    (score,) = verifier.score([make_item(tone)])
    assert score.values["likelihood"] == verifier.metrics[1].worst


def test_tokens_that_do_not_fit_count_as_guesses():
    assert summed_log_probs([0.5, 0.25], 0, 100) == pytest.approx(math.log(0.125))
    assert summed_log_probs([0.5], 2, 100) == pytest.approx(math.log(0.5) - 2 * math.log(100))
    assert math.isfinite(summed_log_probs([0.0], 0, 100))


def test_language_codes_lose_their_region():
    assert [language_code(code) for code in ("en", "EN-us", "pt_BR", " zh-Hant ")] == ["en", "en", "pt", "zh"]
