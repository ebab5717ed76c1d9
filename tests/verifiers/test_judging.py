import dataclasses

import numpy as np
import pytest

from tts_eval.audio import Clip
from tts_eval.errors import StoreError
from tts_eval.types import Candidate, Failure, FailureKind, FinishReason, Item, Metric, Request, Sampling
from verifiers import judging
from verifiers.judging import Judgement, clip_of, failed_score, score_items, unjudgeable


class LengthVerifier:
    """Seconds, through `judge`; a clip in `poison` raises, one in `refuse` is a failure."""

    name = "length"
    version = "1"
    judge = "ruler"
    supports_partial = True
    metrics = (
        Metric(name="seconds", higher_is_better=True, worst=0.0),
        Metric(name="samples", higher_is_better=True, worst=0.0),
    )

    def __init__(self, poison=(), refuse=(), error=RuntimeError):
        self.poison, self.refuse, self.error = poison, refuse, error
        self.batches = []

    def score(self, items):
        return score_items(self, items, self.model)

    def model(self, items):
        self.batches.append([item.request.id for item in items])
        if any(item.request.id in self.poison for item in items):
            raise self.error("bad clip")
        return [
            Failure(FailureKind.NO_REFERENCE, "no text")
            if item.request.id in self.refuse
            else Judgement(
                {"seconds": clip_of(item).seconds, "samples": float(len(clip_of(item).samples))},
                {"id": item.request.id},
            )
            for item in items
        ]


def item(name: str, clip: Clip | None, failure: Failure | None = None) -> Item:
    candidate = Candidate(index=3, seed=0, sampling=Sampling(), finish=FinishReason.EOS, clip=clip, failure=failure)
    return Item(request=Request(id=name, text="x"), candidate=candidate)


def speech(seconds: float) -> Clip:
    return Clip(np.full(round(seconds * 1000), 0.5, np.float32), 1000)


BAD = {
    "missing": (None, FailureKind.MISSING),
    "empty": (Clip(np.zeros(0, np.float32), 1000), FailureKind.EMPTY),
    "nan": (Clip(np.array([0.5, np.nan], np.float32), 1000), FailureKind.NOT_FINITE),
    "inf": (Clip(np.array([0.5, np.inf], np.float32), 1000), FailureKind.NOT_FINITE),
    "zeros": (Clip(np.zeros(5, np.float32), 1000), FailureKind.SILENT),
    "hiss": (Clip(np.full(5, 0.0009, np.float32), 1000), FailureKind.SILENT),
}


@pytest.mark.parametrize("name", BAD)
def test_clips_that_nobody_can_judge(name):
    clip, kind = BAD[name]
    failure = unjudgeable(item(name, clip))
    assert failure is not None
    assert failure.kind is kind


@pytest.mark.parametrize("name", BAD)
def test_nothing_yet_is_no_verdict_on_a_candidate_that_goes_on(name):
    clip, kind = BAD[name]
    so_far = dataclasses.replace(item(name, clip), partial=True)
    can_change = kind in (FailureKind.EMPTY, FailureKind.SILENT)
    assert unjudgeable(so_far).kind is (FailureKind.UNDECIDED if can_change else kind)


@pytest.mark.parametrize("kind", [FailureKind.EMPTY, FailureKind.SILENT, FailureKind.SHORT])
def test_what_a_model_cannot_hear_yet_is_undecided(kind):
    verifier = LengthVerifier()
    verifier.model = lambda items: [Failure(kind, "no voice")] * len(items)
    whole = item("a", speech(1))
    scores = verifier.score([dataclasses.replace(whole, partial=True), whole])
    assert [score.failure.kind for score in scores] == [FailureKind.UNDECIDED, kind]
    assert "no voice" in scores[0].failure.message


def test_a_clip_just_above_the_silence_threshold_is_judged():
    assert unjudgeable(item("faint", Clip(np.full(5, 0.0011, np.float32), 1000))) is None


def test_a_failed_candidate_keeps_its_own_failure_whatever_its_audio():
    original = Failure(FailureKind.SYNTHESIS, "out of memory")
    verifier = LengthVerifier()
    (score,) = verifier.score([item("x", speech(1), original)])
    assert score.failure == original
    assert verifier.batches == []


def test_bad_clips_are_set_aside_and_scores_stay_in_order():
    items = [item("a", speech(1))]
    for name, (clip, _) in BAD.items():
        items += [item(name, clip), item(f"after-{name}", speech(2))]
    verifier = LengthVerifier()
    scores = verifier.score(items)
    good = ["a", *(f"after-{name}" for name in BAD)]
    assert verifier.batches == [good]
    assert len(scores) == len(items)
    for one, score in zip(items, scores, strict=True):
        name = one.request.id
        if name in good:
            assert score.failure is None
            assert score.details == {"id": name}
            assert score.value == score.values["seconds"] == (1.0 if name == "a" else 2.0)
        else:
            assert score.failure.kind is BAD[name][1]
            assert score.value is None
            assert not score.values


def test_every_score_names_its_verifier_and_judge():
    for score in LengthVerifier(refuse={"b"}).score([item("a", speech(1)), item("b", speech(1)), item("c", None)]):
        assert (score.verifier, score.judge) == ("length", "ruler")


def test_a_model_may_refuse_a_clip():
    first, second = LengthVerifier(refuse={"a"}).score([item("a", speech(1)), item("b", speech(1))])
    assert first.failure == Failure(FailureKind.NO_REFERENCE, "no text")
    assert second.value == 1.0


@pytest.mark.parametrize("error", [RuntimeError, ValueError, MemoryError, KeyError])
def test_one_poisonous_clip_costs_one_score(error, caplog):
    verifier = LengthVerifier(poison={"c"}, error=error)
    scores = verifier.score([item(name, speech(1)) for name in "abcdefgh"])
    assert [score.failure is not None for score in scores] == [name == "c" for name in "abcdefgh"]
    assert scores[2].failure.kind is FailureKind.VERIFIER
    for part in (error.__name__, "bad clip", "'c'", "#3"):
        assert part in scores[2].failure.message
    assert len(verifier.batches) < 8
    assert "bad clip" in caplog.text


def test_all_clips_poisonous():
    scores = LengthVerifier(poison=set("abc")).score([item(name, speech(1)) for name in "abc"])
    assert [score.failure.kind for score in scores] == [FailureKind.VERIFIER] * 3


def test_a_store_that_fails_is_nobodys_clip():
    with pytest.raises(StoreError):
        LengthVerifier(poison={"a"}, error=StoreError).score([item("a", speech(1))])


def test_an_interrupt_is_not_swallowed():
    with pytest.raises(KeyboardInterrupt):
        LengthVerifier(poison={"a"}, error=KeyboardInterrupt).score([item("a", speech(1))])


def test_a_model_that_loses_a_row_does_not_shift_the_others():
    verifier = LengthVerifier()
    verifier.model = lambda items: [] if len(items) > 1 else LengthVerifier.model(verifier, items)
    scores = verifier.score([item("a", speech(1)), item("b", speech(2))])
    assert [score.value for score in scores] == [1.0, 2.0]


def test_nothing_to_judge_does_not_wake_the_model():
    verifier = LengthVerifier()
    assert verifier.score([]) == []
    verifier.score([item("a", None)])
    assert verifier.batches == []


def test_the_time_of_a_batch_is_shared_by_the_clips_that_were_judged(monkeypatch):
    clock = [10.0]
    monkeypatch.setattr("verifiers.judging.time.perf_counter", lambda: clock[0])

    class Slow(LengthVerifier):
        def model(self, items):
            clock[0] += 3.0
            return super().model(items)

    scores = Slow(refuse={"b"}).score([item("a", speech(1)), item("gone", None), item("b", speech(1))])
    assert [score.seconds for score in scores] == [1.5, 0.0, 1.5]


def test_a_failed_score_has_no_value():
    score = failed_score(LengthVerifier(), Failure(FailureKind.EMPTY, "?"), seconds=2.0)
    assert (score.value, dict(score.values), score.seconds) == (None, {}, 2.0)
    assert dataclasses.is_dataclass(score)


def test_a_model_is_given_a_bounded_amount_of_audio_and_says_the_same():
    clips = {f"{number}": speech(60.0 if number % 3 else 1.0) for number in range(40)}
    items = [item(name, clip) for name, clip in clips.items()]
    items.insert(5, item("missing", None))
    verifier = LengthVerifier()
    scores = verifier.score(items)
    lengths = [sum(clips[name].seconds for name in batch) for batch in verifier.batches]
    assert max(lengths) <= judging.MOST_SECONDS < sum(lengths)
    assert [name for batch in verifier.batches for name in batch] == list(clips)
    for one, score in zip(items, scores, strict=True):
        (alone,) = LengthVerifier().score([one])
        assert dataclasses.replace(score, seconds=0.0) == dataclasses.replace(alone, seconds=0.0)


def test_a_clip_longer_than_a_batch_comes_alone(monkeypatch):
    monkeypatch.setattr(judging, "MOST_SECONDS", 2.0)
    verifier = LengthVerifier()
    verifier.score([item("a", speech(1.0)), item("long", speech(5.0)), item("b", speech(1.0)), item("c", speech(1.0))])
    assert verifier.batches == [["a"], ["long"], ["b", "c"]]
