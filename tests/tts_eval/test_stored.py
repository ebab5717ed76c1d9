from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tts_eval.audio import Clip
from tts_eval.execution import SerialExecutor
from tts_eval.records import request_digest
from tts_eval.store import RunStore
from tts_eval.stored import StoredSynthesizer, StoredVerifier
from tts_eval.synthesizers.fake import FakeSynthesizer
from tts_eval.types import Candidate, FailureKind, FinishReason, Item, Job, Prompt, Request, Sampling
from verifiers.fake import FakeVerifier

REQUESTS = [Request(id=f"r{i}", text="one two three") for i in range(3)]


class Counting(FakeSynthesizer):
    """Counts what it is asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []

    def generate(self, jobs: Sequence[Job]) -> list[Candidate]:
        self.asked += [(job.request.id, job.index) for job in jobs]
        return super().generate(jobs)


def remembering(store: RunStore, synthesizer: FakeSynthesizer, batch: int = 4) -> StoredSynthesizer:
    return StoredSynthesizer(synthesizer, store, SerialExecutor(), batch=batch, advance=lambda amount: None)


def test_nothing_is_generated_twice_and_both_are_the_same_audio(tmp_path: Path, make_jobs):
    jobs = make_jobs(REQUESTS)
    with RunStore.create(tmp_path) as store:
        fresh = remembering(store, FakeSynthesizer()).generate(jobs)
    counting = Counting()
    with RunStore.create(tmp_path) as store:
        stored = remembering(store, counting).generate(list(reversed(jobs)))
    assert counting.asked == []
    assert [c.clip.sha256 for c in fresh] == [c.clip.sha256 for c in reversed(stored)]
    for a, b in zip(fresh, reversed(stored), strict=True):
        np.testing.assert_array_equal(a.clip.samples, b.clip.samples)
        assert (a.index, a.seed, a.sampling, a.finish) == (b.index, b.seed, b.sampling, b.finish)


def test_a_larger_n_makes_only_what_is_new(tmp_path: Path, make_jobs):
    counting = Counting()
    with RunStore.create(tmp_path) as store:
        remembering(store, FakeSynthesizer()).generate(make_jobs(REQUESTS, 2))
        remembering(store, counting).generate(make_jobs(REQUESTS, 4))
    assert sorted(counting.asked) == [(f"r{i}", n) for i in range(3) for n in (2, 3)]


@pytest.mark.parametrize(
    "change",
    [
        lambda job: replace(job, sampling=Sampling(temperature=0.5)),
        lambda job: replace(job, seed=job.seed + 1),
        lambda job: replace(job, request=replace(job.request, text="other words here")),
        lambda job: replace(job, request=replace(job.request, prompt=Prompt(transcript="x"))),
    ],
)
def test_another_job_is_another_candidate(tmp_path: Path, make_jobs, change):
    job = make_jobs(REQUESTS[:1], 1)[0]
    counting = Counting()
    with RunStore.create(tmp_path) as store:
        remembering(store, FakeSynthesizer()).generate([job])
        remembering(store, counting).generate([change(job)])
    assert len(counting.asked) == 1


def test_what_does_not_change_the_audio_does_not_change_the_key():
    request = REQUESTS[0]
    same = replace(request, id="other", group="g", speaker="s", metadata={"a": "b"})
    assert request_digest(request) == request_digest(same)


def test_the_content_of_a_prompt_file_is_part_of_the_key(tmp_path: Path):
    path = tmp_path / "prompt.wav"
    digests = set()
    for content in (b"one", b"two!"):
        path.write_bytes(content)
        digests.add(request_digest(replace(REQUESTS[0], prompt=Prompt(audio=path))))
    assert len(digests) == 2


def test_batches_are_stored_as_they_finish(tmp_path: Path, make_jobs):
    class Dying(FakeSynthesizer):
        calls = 0

        def generate(self, jobs):
            self.calls += 1
            if self.calls == 3:
                raise KeyboardInterrupt
            return super().generate(jobs)

    with RunStore.create(tmp_path) as store, pytest.raises(KeyboardInterrupt):
        remembering(store, Dying(), batch=2).generate(make_jobs(REQUESTS))
    assert len(RunStore(tmp_path, writable=False).candidates) == 4


def test_a_poisonous_request_fails_alone_and_is_tried_again_next_time(tmp_path: Path, make_jobs):
    poison = Request(id="bad", text="boom", metadata={"fake": "raise"})
    jobs = make_jobs([REQUESTS[0], poison, REQUESTS[1]], 2)
    with RunStore.create(tmp_path) as store:
        made = remembering(store, FakeSynthesizer(), batch=6).generate(jobs)
    assert [c.finish for c in made] == [FinishReason.EOS] * 2 + [FinishReason.FAILED] * 2 + [FinishReason.EOS] * 2
    assert made[2].failure.kind is FailureKind.SYNTHESIS
    assert "'bad' #0" in made[2].failure.message
    assert [c.cost.retries for c in made] == [2, 3, 3, 2, 2, 2], (
        "of 6 the middle two are bad: 6, then 1 + 2 and 1 + 2, then 1 + 1"
    )
    counting = Counting()
    with RunStore.create(tmp_path) as store:
        remembering(store, counting).generate(jobs)
    assert {request for request, _ in counting.asked} == {"bad"}


@pytest.mark.parametrize(
    ("fate", "kind", "has_audio"),
    [("empty", FailureKind.EMPTY, False), ("nan", FailureKind.NOT_FINITE, False), ("silent", None, True)],
)
def test_unusable_audio_is_a_typed_failure(tmp_path: Path, make_jobs, fate, kind, has_audio):
    jobs = make_jobs([Request(id="r", text="one two", metadata={"fake": fate})], 1)
    for _ in range(2):  # fresh, then from the store
        with RunStore.create(tmp_path) as store:
            candidate = remembering(store, FakeSynthesizer()).generate(jobs)[0]
        assert (candidate.failure.kind if candidate.failure else None) == kind
        assert (candidate.clip is not None) == has_audio


@pytest.mark.parametrize("tokens", [np.arange(5, dtype=np.int32), np.ones((3, 4), np.float32) / 3, None])
def test_tokens_and_latents_come_back_as_they_were(tmp_path: Path, make_jobs, tokens):
    class Tokens(FakeSynthesizer):
        def generate(self, jobs):
            return [replace(candidate, tokens=tokens) for candidate in super().generate(jobs)]

    jobs = make_jobs(REQUESTS[:1], 1)
    for _ in range(2):  # fresh, then from the store
        with RunStore.create(tmp_path) as store:
            (candidate,) = remembering(store, Tokens()).generate(jobs)
        if tokens is None:
            assert candidate.tokens is None
        else:
            np.testing.assert_array_equal(candidate.tokens, tokens)
            assert candidate.tokens.dtype == tokens.dtype


def test_lost_audio_is_made_again(tmp_path: Path, make_jobs):
    jobs = make_jobs(REQUESTS, 2)
    with RunStore.create(tmp_path) as store:
        before = remembering(store, FakeSynthesizer()).generate(jobs)
    files = sorted((tmp_path / "candidates/audio").glob("*.flac"))
    files[0].unlink()
    files[1].write_text("not audio")
    counting = Counting()
    with RunStore.create(tmp_path) as store:
        after = remembering(store, counting).generate(jobs)
    assert len(counting.asked) == 2
    assert [c.clip.sha256 for c in before] == [c.clip.sha256 for c in after]


def test_a_hostile_id_stays_inside_the_run(tmp_path: Path, make_jobs):
    run = tmp_path / "run"
    with RunStore.create(run) as store:
        made = remembering(store, FakeSynthesizer()).generate(
            make_jobs([Request(id="../../etc/passwd\x00<script>" + "x" * 300, text="one")], 1)
        )
    assert made[0].clip is not None
    assert [path.parent for path in tmp_path.rglob("*.flac")] == [run / "candidates/audio"]


class CountingVerifier(FakeVerifier):
    """Counts the clips it judges."""

    def __init__(self, noise: float = 0.0) -> None:
        super().__init__(noise)
        self.count = 0

    def score(self, items: Sequence[Item]):
        self.count += len(items)
        return super().score(items)


def items_of(jobs: list[Job]) -> list[Item]:
    made = FakeSynthesizer().generate(jobs)
    return [Item(request=job.request, candidate=c) for job, c in zip(jobs, made, strict=True)]


def test_nothing_is_judged_twice_and_scores_survive(tmp_path: Path, make_jobs):
    items = items_of(make_jobs(REQUESTS))
    verifier = CountingVerifier()
    with RunStore.create(tmp_path) as store:
        first = StoredVerifier(verifier, store, advance=lambda amount: None).score(items)
    with RunStore.create(tmp_path) as store:
        second = StoredVerifier(verifier, store, advance=lambda amount: None).score(items[::-1])
    assert verifier.count == len(items)
    assert [(s.value, dict(s.values)) for s in first] == [(s.value, dict(s.values)) for s in reversed(second)]


def test_another_judge_version_text_or_audio_is_another_score(tmp_path: Path, make_jobs):
    item = items_of(make_jobs(REQUESTS[:1], 1))[0]
    newer = CountingVerifier()
    newer.version = "2"
    other_text = replace(item, request=replace(item.request, text="four five six"))
    louder = replace(item, candidate=replace(item.candidate, clip=Clip(item.candidate.clip.samples * 0.5, 16000)))
    truth = replace(item, request=replace(item.request, ground_truth=item.candidate.clip))
    with RunStore.create(tmp_path) as store:
        for verifier, judged in (
            (CountingVerifier(), item),
            (CountingVerifier(1.0), item),
            (newer, item),
            (CountingVerifier(), other_text),
            (CountingVerifier(), louder),
            (CountingVerifier(), truth),
        ):
            StoredVerifier(verifier, store, advance=lambda amount: None).score([judged])
            assert verifier.count == 1
        assert len(store.scores) == 6


def test_the_score_of_unfinished_speech_is_not_that_of_the_same_audio_finished(tmp_path: Path, make_jobs):
    item = items_of(make_jobs(REQUESTS[:1], 1))[0]
    verifier = CountingVerifier()
    with RunStore.create(tmp_path) as store:
        stored = StoredVerifier(verifier, store, advance=lambda amount: None)
        for judged in (replace(item, partial=True), item, replace(item, partial=True)):
            stored.score([judged])
        assert len(store.scores) == 1
    assert verifier.count == 3


def test_a_verifier_that_raised_is_asked_again_next_time(tmp_path: Path, make_jobs):
    bad = Request(id="bad", text="one", metadata={"fake_verifier": "raise"})
    items = items_of(make_jobs([bad, REQUESTS[0]], 1))
    verifier = CountingVerifier()
    with RunStore.create(tmp_path) as store:
        scores = StoredVerifier(verifier, store, advance=lambda amount: None).score(items)
    assert scores[0].failure.kind is FailureKind.VERIFIER
    assert scores[1].value is not None
    with RunStore.create(tmp_path) as store:
        StoredVerifier(verifier, store, advance=lambda amount: None).score(items)
    assert verifier.count == 3


def test_progress_counts_every_item_once(tmp_path: Path, make_jobs):
    jobs = make_jobs(REQUESTS)
    for _ in range(2):
        done: list[int] = []
        with RunStore.create(tmp_path) as store:
            StoredSynthesizer(FakeSynthesizer(), store, SerialExecutor(), batch=5, advance=done.append).generate(jobs)
        assert sum(done) == len(jobs)
