"""Speaking phrase by phrase: the text stays whole, rows fork and fail alone, and searches can guide any synthesizer."""

from dataclasses import replace

import numpy as np
import pytest

from search.beam import BeamSearch
from search.budget import Budget
from tts_eval.audio import Clip
from tts_eval.errors import ConfigError, UnknownNameError
from tts_eval.synthesizers import load_synthesizer
from tts_eval.synthesizers.phrases import PAUSE_SECONDS, PhraseSynthesizer, phrases_of
from tts_eval.types import (
    Candidate,
    Cost,
    Failure,
    FailureKind,
    FinishReason,
    Job,
    Limit,
    Metric,
    Request,
    Sampling,
    Score,
    limits_of,
)

TEXT = "The old man walked down the road, and his dog came after him; nobody else was out that night."
RATE = 1_000


class Humming:
    """Hums each text at a level that its seed decides, and remembers what it was asked for."""

    name, revision = "humming", "7"

    def __init__(self) -> None:
        self.calls: list[list[Job]] = []

    def generate(self, jobs):
        self.calls.append(list(jobs))
        return [self._one(job) for job in jobs]

    def _one(self, job: Job) -> Candidate:
        made = Candidate(
            index=job.index, seed=job.seed, sampling=job.sampling, finish=FinishReason.EOS, cost=Cost(tokens=5)
        )
        if "loops" in job.request.text:
            made = replace(made, finish=FinishReason.REPETITION)
        if "breaks" in job.request.text:
            failure = Failure(FailureKind.SYNTHESIS, "asked to fail")
            return replace(made, finish=FinishReason.FAILED, failure=failure)
        seconds = min(0.01 * len(job.request.text), job.sampling.max_seconds)
        level = 0.1 + 0.8 * np.random.default_rng(job.seed).random()
        return replace(made, clip=Clip(np.full(int(seconds * RATE), level, np.float32), RATE))


class Loudness:
    name, version, judge, supports_partial = "loudness", "1", "loudness", True
    metrics = (Metric(name="level", higher_is_better=True, worst=0.0),)

    def score(self, items):
        values = [
            float(item.candidate.clip.samples[item.candidate.clip.samples > 0].mean()) if item.candidate.clip else None
            for item in items
        ]
        return [Score(verifier="loudness", judge="loudness", value=value) for value in values]


def job(text: str = TEXT, seed: int = 1, index: int = 0, **sampling) -> Job:
    return Job(request=Request(id="a", text=text), index=index, seed=seed, sampling=Sampling(**sampling))


def levels(candidate: Candidate) -> list[float]:
    """The level of each phrase."""
    return [value for value in dict.fromkeys(candidate.clip.samples.tolist()) if value]


@pytest.mark.parametrize(
    ("text", "phrases"),
    [
        (TEXT, ["The old man walked down the road,", "and his dog came after him;", "nobody else was out that night."]),
        ("No, we do not know who that man was. Ok.", ["No, we do not know who that man was. Ok."]),
        ("Dr. Smith and J. Doe came home. They had seen St. John's.",
         ["Dr. Smith and J. Doe came home.", "They had seen St. John's."]),
        ("It fell by 3.5 percent to 1,024.7 in all.", ["It fell by 3.5 percent to 1,024.7 in all."]),
        ("今天天气很好，你想去公园吗？我们走吧。", ["今天天气很好，", "你想去公园吗？我们走吧。"]),
        ("", [""]),
        (" ... , ... ", ["... , ..."]),
    ],
)  # fmt: skip
def test_phrases_end_at_punctuation_and_nothing_is_lost(text, phrases):
    assert phrases_of(text) == phrases
    assert "".join("".join(phrases).split()) == "".join(text.split())


def test_a_candidate_is_its_phrases_with_pauses():
    speaker = Humming()
    (candidate,) = PhraseSynthesizer(speaker).generate([job()])
    assert [[j.request.text for j in call] for call in speaker.calls] == [[phrase] for phrase in phrases_of(TEXT)]
    lengths = [int(0.01 * len(phrase) * RATE) for phrase in phrases_of(TEXT)]
    assert len(candidate.clip.samples) == sum(lengths) + 2 * int(PAUSE_SECONDS * RATE)
    assert len(levels(candidate)) == 3
    assert candidate.finish is FinishReason.EOS
    assert candidate.cost.tokens == 15


def test_a_phrase_is_no_continuation():
    speaker = Humming()
    request = Request(id="r", text=TEXT, metadata={"task": "continuation", "emotion": "sad"})
    PhraseSynthesizer(speaker).generate([Job(request=request, index=0, seed=1, sampling=Sampling())])
    asked = [job.request for call in speaker.calls for job in call]
    assert len(asked) > 1 and not any(phrase.is_continuation for phrase in asked)
    assert all(phrase.metadata == {"emotion": "sad"} for phrase in asked)


def test_candidates_depend_on_their_own_job_alone():
    jobs = [job(), job("A text of one phrase alone", seed=5, index=1), job(seed=9, index=2)]
    together = PhraseSynthesizer(Humming()).generate(jobs)
    alone = [PhraseSynthesizer(Humming()).generate([each])[0] for each in jobs]
    assert [c.clip.sha256 for c in together] == [c.clip.sha256 for c in alone]
    assert together[0].clip.sha256 != together[2].clip.sha256


def test_forks_differ_from_the_next_phrase_on_and_branches_leave_their_rows_alone():
    generation = PhraseSynthesizer(Humming()).begin([job()])
    generation.advance(1)
    generation.select([0, 0, 0])
    generation.branch().advance(5)
    assert [candidate.clip.seconds for candidate in generation.audio()] == [generation.audio()[0].clip.seconds] * 3
    generation.advance(9)
    first, *copies = [levels(candidate) for candidate in generation.audio()]
    assert first == levels(PhraseSynthesizer(Humming()).generate([job()])[0])
    assert {copy[0] for copy in copies} == {first[0]}
    assert len({level for row in (first, *copies) for level in row}) == 7
    assert generation.spent.tokens == 5 + 3 * 2 * 5


def test_copies_in_a_branch_do_not_repeat_those_that_are_there():
    generation = PhraseSynthesizer(Humming()).begin([job()])
    generation.advance(1)
    generation.select([0, 0])
    branch = generation.branch()
    branch.select([0, 0, 1])
    branch.advance(1)
    assert len({levels(candidate)[1] for candidate in branch.audio()}) == 3


def test_all_rows_speak_in_one_call_per_phrase():
    speaker = Humming()
    PhraseSynthesizer(speaker).generate([job(), job(seed=2, index=1), job("One phrase.", index=2)])
    assert [len(call) for call in speaker.calls] == [3, 2, 2]


def test_a_phrase_that_fails_fails_its_candidate_alone_and_nothing_more_is_said():
    speaker = Humming()
    bad = job("This phrase is spoken well, and this one breaks it all, and nobody hears the last one.", index=1)
    good, failed = PhraseSynthesizer(speaker).generate([job(), bad])
    assert good.failure is None
    assert failed.clip is None
    assert failed.failure.message == "asked to fail"
    assert failed.finish is FinishReason.FAILED
    assert [len(call) for call in speaker.calls] == [2, 2, 1]


def test_a_phrase_that_went_round_in_circles_is_not_forgotten_at_the_end():
    looping = job("This phrase loops again and again, and the one after it is spoken well.")
    (candidate,) = PhraseSynthesizer(Humming()).generate([looping])
    assert len(levels(candidate)) == 2
    assert candidate.finish is FinishReason.REPETITION


def test_no_candidate_is_longer_than_it_may_be():
    (candidate,) = PhraseSynthesizer(Humming()).generate([job(max_seconds=0.6)])
    assert candidate.finish is FinishReason.LENGTH
    assert candidate.clip.seconds == pytest.approx(0.6, abs=0.002)


def test_beam_search_finds_the_best_phrase_each_time():
    synthesizer = PhraseSynthesizer(Humming())
    search = BeamSearch(sampling=Sampling(), expand=6, keep="1")
    (found,) = search.search([Request(id="a", text=TEXT)], synthesizer, Loudness(), Budget(candidates=1))
    first = synthesizer.begin([job(seed=c, index=c) for c in range(1)])
    assert first.finished() == [None]
    assert len(levels(found.chosen)) == 3
    calls = synthesizer._speaker.calls
    best_first = max(np.random.default_rng(j.seed).random() for j in calls[0])
    assert levels(found.chosen)[0] == pytest.approx(0.1 + 0.8 * best_first)
    assert [len(call) for call in calls] == [6, 6, 6]


def test_guiding_for_a_while_counts_phrases_by_their_seconds():
    """Four seconds are two phrases of three seconds, whatever `step` says."""
    synthesizer = PhraseSynthesizer(Humming())
    search = BeamSearch(sampling=Sampling(), expand=4, keep="1", until=4.0)
    (found,) = search.search([Request(id="a", text=TEXT)], synthesizer, Loudness(), Budget(candidates=1))
    assert [len(call) for call in synthesizer._speaker.calls] == [4, 4, 1]
    assert found.chosen.failure is None


def test_what_stands_behind_it_is_part_of_its_identity():
    assert PhraseSynthesizer(Humming()).revision == "1:humming:7"
    unknown = Humming()
    unknown.revision = ""
    assert PhraseSynthesizer(unknown).revision == ""


def test_what_stands_behind_it_cannot_do_it_cannot_do_either():
    speaker = Humming()
    assert limits_of(PhraseSynthesizer(speaker)) == frozenset()
    speaker.limits = frozenset({Limit.NO_CLONING, Limit.NOT_REPRODUCIBLE})
    assert limits_of(PhraseSynthesizer(speaker)) == speaker.limits


@pytest.mark.parametrize("argument", ["", "wavs:somewhere", "phrases:piper", "codec-resynthesis"])
def test_what_cannot_speak_phrases_is_refused(argument):
    with pytest.raises(ConfigError, match="phrases:piper"):
        load_synthesizer(f"phrases:{argument}" if argument else "phrases")


def test_an_unknown_speaker_is_named():
    with pytest.raises(UnknownNameError, match="pipper"):
        load_synthesizer("phrases:pipper")


@pytest.mark.real
def test_piper_can_be_guided():
    synthesizer = load_synthesizer("phrases:piper")
    generation = synthesizer.begin([job(seed=3)])
    generation.advance(1)
    (sofar,) = generation.audio()
    generation.advance(2)
    (whole,) = generation.audio()
    assert 1.0 < sofar.clip.seconds < whole.clip.seconds < 9.0
    np.testing.assert_array_equal(whole.clip.samples[: len(sofar.clip.samples)], sofar.clip.samples)
    assert generation.finished() == [FinishReason.EOS]
