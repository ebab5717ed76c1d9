"""Unfinished speech: the best-matching prefix counts, the last word and errors just before it do not."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from tts_eval.audio import Clip
from tts_eval.types import FailureKind, Item
from verifiers.asr import AsrVerifier
from verifiers.recognition import RATE, Transcript, Utterance, scored_text
from verifiers.shares import spoken_prefix

TEXT = "The last train home was almost empty."


class Listener:
    """Hears what it was told to, and scores as many tokens as the text to be scored has words."""

    judge = "listener"
    text_tokens = 1000

    def __init__(self, heard: str) -> None:
        self.heard = heard

    def supports(self, language: str) -> bool:
        return True

    def recognise(self, utterances: Sequence[Utterance]) -> list[Transcript]:
        words = [scored_text(utterance, self.heard).split() for utterance in utterances]
        return [Transcript(self.heard, -2.0 * len(said), len(said)) for said in words]


@pytest.fixture
def judge(tone, make_item) -> Callable[..., object]:
    def score(heard: str, *, partial: bool = True, text: str = TEXT, protocol: str = "whisper-norm@1"):
        item: Item = replace(make_item(tone, text), partial=partial)
        return AsrVerifier(Listener(heard), protocol).score([item])[0]

    return score


@pytest.mark.parametrize(
    ("heard", "errors", "words"),
    [
        ("The last tr", 0, 2),
        ("the last train ho", 0, 3),
        ("the last train hot meals", 0, 3),  # "hot" may be half of what was cut
        ("the last train hot meals was", 1, 4),  # two words cannot both be
        ("the last drain home was", 1, 4),
        ("The lost train home", 1, 3),
        ("the train home was", 1, 4),  # "last" was left out
        ("the last last train home", 1, 3),
        ("The last train home was almost empty", 0, 6),
        ("the last train home was almost empty and then some more", 2, 7),  # the text is over, the speech goes on
        ("blah blah blah blah", 2, 2),
    ],
)
def test_errors_against_the_best_prefix(judge, heard, errors, words):
    score = judge(heard)
    assert (score.values["errors"], score.values["reference_words"]) == (errors, words)
    assert score.value == pytest.approx(errors / words)
    assert score.values["substitutions"] + score.values["deletions"] + score.values["insertions"] == errors


def test_a_finished_clip_is_held_to_the_whole_text_and_its_last_word(judge):
    finished = judge("the last tr", partial=False)
    assert (finished.values["errors"], finished.values["reference_words"]) == (5, 7)


def test_characters_are_a_chinese_prefix(judge, monkeypatch, make_item, tone):
    import sys
    from types import SimpleNamespace

    monkeypatch.setitem(sys.modules, "zhconv", SimpleNamespace(convert=lambda text, locale: text))
    item = replace(make_item(tone, "今天天气很好", language="zh"), partial=True)
    (score,) = AsrVerifier(Listener("今天天汽很好"), "seed-tts@1").score([item])
    assert (score.values["substitutions"], score.values["reference_words"]) == (1, 5)


@pytest.mark.parametrize("heard", ["", "...", "The", "The last", "the lost and", "blah blah blah"])
def test_before_two_words_are_settled_it_is_undecided(judge, heard):
    score = judge(heard)
    assert score.value is None
    assert score.failure is not None
    assert score.failure.kind is FailureKind.UNDECIDED
    assert "'r' #0" in score.failure.message
    assert not score.values


def test_silence_so_far_is_not_all_words_deleted(make_item):
    silent = Clip(np.zeros(RATE, np.float32), RATE)
    (score,) = AsrVerifier(Listener("")).score([replace(make_item(silent, TEXT), partial=True)])
    assert score.value is None
    assert not score.values


def test_the_likelihood_is_that_of_what_has_been_said(judge):
    assert judge("the last train").values["likelihood"] == pytest.approx(-2.0)
    assert judge("the last train home was").values["likelihood"] == pytest.approx(-2.0)
    assert spoken_prefix(TEXT, "the last train ho") == "The last train"
    assert spoken_prefix(TEXT, "the lost train home was") == "The last train home"
    assert spoken_prefix(TEXT, "the last train home was almost empty yes") == TEXT
    assert spoken_prefix("今天天气很好", "今天天气") == "今天天"
    assert spoken_prefix(TEXT, "the") == spoken_prefix(TEXT, "") == ""


def test_the_alignment_ends_where_the_prefix_does(judge):
    assert json.loads(judge("The lost train ho").details["alignment"]) == [
        ["equal", "the", "the"],
        ["substitute", "last", "lost"],
        ["equal", "train", "train"],
    ]


def test_partial_scores_are_supported():
    assert AsrVerifier(Listener("")).supports_partial
