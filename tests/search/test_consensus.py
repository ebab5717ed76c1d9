"""Consensus by transcript and by embedding: the candidate that its siblings agree with."""

import sys
import types
from dataclasses import replace

import numpy as np
import pytest
from planted import SAMPLING, Planted, Worth

from search.budget import Budget
from search.consensus import Consensus, risk
from search.consensus import _edits as edits
from search.outcome import OutcomeVerifier
from search.remembering import selecting_verifier
from search.rule_text import parse_rule
from search.strategy import load_strategy
from tts_eval.errors import ConfigError
from tts_eval.types import Failure, FailureKind, Request, Score

REQUESTS = [Request(id="r0", text="one two three")]


def hunt(strategy, n, requests=REQUESTS, verifier=None):
    return list(strategy.search(requests, Planted(), verifier, Budget(candidates=n)))


class Heard(Worth):
    """A recogniser that heard these texts, by candidate index."""

    def __init__(self, *texts: str | None) -> None:
        super().__init__()
        self.texts = texts

    def _one(self, item):
        text = self.texts[item.candidate.index]
        details = {} if text is None else {"transcript": text}
        value = float(item.candidate.index)
        return Score(verifier="asr", judge="asr", value=value, values={"worth": value}, details=details)


def test_consensus_takes_the_one_that_the_others_agree_with():
    texts = ("the cat sat down", "a cow sat on", "the cat sat", "the cat sat down now")
    (result,) = hunt(Consensus(sampling=SAMPLING), 4, REQUESTS[:1], verifier=Heard(*texts))
    # Errors / longer transcript. 0: 3/4, 1/4, 1/5. 1: 3/4, 3/4, 4/5. 2: 1/4, 3/4, 2/5. 3: 1/5, 4/5, 2/5.
    assert risk([text.split() for text in texts], edits) * 3 == pytest.approx([1.2, 2.3, 1.4, 1.4])
    assert result.ranks == (0, 3, 2, 1)  # of the two that tie, the one with the higher score


def test_consensus_hears_the_transcripts_behind_a_selection_rule():
    outcome = OutcomeVerifier(parse_rule("asr"), {"asr": Heard("one two", "a b", "a b c")})
    (result,) = hunt(Consensus(sampling=SAMPLING), 3, REQUESTS[:1], verifier=outcome)
    assert result.ranks == (2, 1, 0)


@pytest.mark.parametrize(
    ("language", "protocol", "texts"),
    [
        ("en-GB", "whisper-norm@1", ("Stop! Here.", "stop here", "go on there", "go on where")),
        ("zh", "seed-tts@1", ("今天，氣好。", "今天气好", "明天 不 好", "后天 不 坏")),
    ],
)
def test_consensus_compares_transcripts_as_the_protocol_of_the_error_rate_writes_them(
    language, protocol, texts, monkeypatch
):
    """As they were heard, only the last two have a word in common; as they are scored, the first two are one text."""
    simplifier = types.SimpleNamespace(convert=lambda text, script: text.replace("氣", "气"))
    monkeypatch.setitem(sys.modules, "zhconv", simplifier)
    heard = Heard(*texts)
    assert np.argmin(risk([text.split() for text in texts], edits)) in (2, 3)
    request = Request(id="r", text="x", language=language)
    heard.metrics = (replace(heard.metrics[0], protocol=protocol),)
    for verifier in (heard, OutcomeVerifier(parse_rule("worth + asr"), {"worth": Worth(), "asr": heard})):
        (result,) = hunt(Consensus(sampling=SAMPLING), 4, [request], verifier=verifier)
        assert result.ranks.index(0) in (0, 1)


def test_consensus_counts_an_empty_transcript_and_needs_transcripts():
    assert risk([[], ["a"], ["a"]], edits) == pytest.approx([1.0, 0.5, 0.5])
    assert risk([["a"]], edits) == pytest.approx([0.0])
    with pytest.raises(ConfigError, match="transcripts"):
        hunt(Consensus(sampling=SAMPLING), 2, REQUESTS[:1], verifier=Heard(None, None))


def test_candidates_that_a_cascade_dropped_before_they_were_heard_rank_behind_the_others():
    """Worth drops 0 and 1 of four; of the other two, which agree as much with each other, 3 is worth more."""
    rule = parse_rule("cascade(2 of worth, asr)")
    worth = Heard("", "", "", "")
    (result,) = hunt(Consensus(sampling=SAMPLING), 4, verifier=selecting_verifier(
        rule, {"worth": worth, "asr": Heard("never heard", "never heard", "a b", "a c")}
    ))  # fmt: skip
    assert result.ranks == (3, 2, 1, 0)


def test_consensus_ranks_by_score_where_the_recogniser_could_not_judge_whom_the_cascade_left():
    class Deaf(Heard):
        def _one(self, item):
            failure = Failure(FailureKind.VERIFIER, "no words")
            return Score(verifier="asr", judge="asr", value=None, failure=failure)

    parts = {"worth": Worth(), "asr": Deaf()}
    (result,) = hunt(Consensus(sampling=SAMPLING), 3, verifier=selecting_verifier(
        parse_rule("cascade(1 of worth, asr)"), parts
    ))  # fmt: skip
    assert result.scores[result.ranks.index(2)].value is None
    assert result.scores[result.ranks.index(0)].value > result.scores[result.ranks.index(1)].value


class Pointing(Worth):
    """A voice model that hears these directions, by candidate index."""

    def __init__(self, *degrees: float | None) -> None:
        super().__init__()
        self.degrees = degrees

    def _one(self, item):
        angle = self.degrees[item.candidate.index]
        vector = None if angle is None else 3.0 * np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))])
        value = float(item.candidate.index)
        return Score(verifier="voice", judge="voice", value=value, values={"worth": value}, embedding=vector)


def test_consensus_by_embedding_takes_the_voice_between_the_others():
    strategy = load_strategy("consensus:by=embedding", sampling=SAMPLING, run_seed=0)
    (result,) = hunt(strategy, 4, verifier=Pointing(0, 90, 30, 20))
    # 1 - cosine to the others: 0: 1, 0.13, 0.06. 1: 1, 0.5, 0.66. 2: 0.13, 0.5, 0.02. 3: 0.06, 0.66, 0.02.
    assert result.ranks == (2, 3, 0, 1)


@pytest.mark.parametrize("wrap", [OutcomeVerifier, selecting_verifier])
def test_consensus_by_embedding_reaches_through_a_selection_rule(wrap):
    parts = {"asr": Heard("a", "a", "a", "a"), "voice": Pointing(0, 90, 30, 20)}
    verifier = wrap(parse_rule("asr + voice"), parts)
    (result,) = hunt(Consensus(sampling=SAMPLING, by="embedding"), 4, verifier=verifier)
    assert result.ranks.index(0) == 2
    (result,) = hunt(Consensus(sampling=SAMPLING), 4, verifier=verifier)
    assert result.ranks.index(0) == 3  # the transcripts agree, so the score decides


def test_consensus_by_embedding_needs_embeddings():
    with pytest.raises(ConfigError, match="--verifier speaker"):
        hunt(Consensus(sampling=SAMPLING, by="embedding"), 2, verifier=Pointing(None, None))
    (result,) = hunt(Consensus(sampling=SAMPLING, by="embedding"), 4, verifier=Pointing(None, 0, 90, 30))
    assert result.ranks == (3, 1, 2, 0)
    with pytest.raises(ConfigError, match="transcript or embedding"):
        Consensus(sampling=SAMPLING, by="vibes")
