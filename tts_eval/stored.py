"""A synthesizer and a verifier that remember, so that searches resume without knowing it.

Both keep the protocol they wrap. What the run store has is returned as stored; the rest is made in
batches, and each batch is stored before the next one starts. A candidate always comes back as its
16-bit file would give it, fresh or stored, so that resumed and undisturbed runs score the same audio.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from tts_eval import ground_truth
from tts_eval.audio import encode_audio, read_audio
from tts_eval.errors import AudioError
from tts_eval.execution import Executor, batched, isolate_counting
from tts_eval.files import write_together
from tts_eval.guards import audio_failure
from tts_eval.records import (
    audio_name,
    candidate_from_row,
    candidate_key,
    candidate_row,
    ground_truth_digest,
    is_transient,
    reference_digest,
    request_digest,
    row_failure,
    score_from_row,
    score_key,
    score_row,
    synthesizer_identity,
    verifier_identity,
)
from tts_eval.store import Memory, Row
from tts_eval.synthesizers.failed import failed_candidate
from tts_eval.types import (
    Candidate,
    Cost,
    FailureKind,
    FinishReason,
    Item,
    Job,
    Request,
    Score,
    StepSynthesizer,
    Synthesizer,
    Verifier,
)

logger = logging.getLogger(__name__)

Advance = Callable[[int], None]
"""Called with the number of items that are done; progress bars listen."""


class StoredSynthesizer:
    """`synthesizer`, with `store` as its memory."""

    def __init__(
        self,
        synthesizer: Synthesizer,
        store: Memory,
        executor: Executor,
        *,
        batch: int,
        advance: Advance,
        digest_of: Callable[[Request], str] = request_digest,
    ) -> None:
        self.name = synthesizer.name
        self.revision = synthesizer.revision
        self._synthesizer = synthesizer
        self._store = store
        self._executor = executor
        self._batch = batch
        self._advance = advance
        self._digest_of = digest_of

    def generate(self, jobs: Sequence[Job]) -> list[Candidate]:
        """One candidate per job, in order; a job that raises gives a failed candidate."""
        keys = [self._key(job) for job in jobs]
        found: dict[str, Candidate | None] = {key: self._recall(key) for key in keys}
        missing = [(key, job) for key, job in zip(keys, jobs, strict=True) if found[key] is None]
        self._advance(len(jobs) - len(missing))
        for batch, made in self._executor.map(self._make, list(batched(missing, self._batch))):
            rows = []
            for (key, _), (candidate, row) in zip(batch, self._keep(batch, made), strict=True):
                found[key] = candidate
                rows.append(row)
            self._store.add_candidates(rows)
            self._advance(len(batch))
        return [kept for key in keys if (kept := found[key]) is not None]

    def recall(self, key: str) -> Candidate | None:
        """What is stored under `key`; None where nothing is, or where trying again may do better."""
        return self._recall(key)

    def remember(self, key: str, job: Job, candidate: Candidate, trace: str = "") -> Candidate:
        """Store a candidate under a key of its own, with the way that led to it; it comes back as stored."""
        ((kept, row),) = self._keep([(key, job)], [candidate])
        self._store.add_candidates([row | {"trace": trace}])
        return kept

    def _key(self, job: Job) -> str:
        digest = self._digest_of(job.request)
        return candidate_key(synthesizer_identity(self), job.request.id, digest, job.sampling, job.seed, job.index)

    def _make(self, batch: Sequence[tuple[str, Job]]) -> list[Candidate]:
        made = isolate_counting(self._synthesizer.generate, [job for _, job in batch], _raised)
        return [
            replace(each, cost=each.cost + Cost(generator_seconds=lost, retries=retries)) if retries or lost else each
            for each, retries, lost in made
        ]

    def _recall(self, key: str) -> Candidate | None:
        is_fresh = key in self._store.fresh
        row = self._store.candidates.get(key) if self.revision or is_fresh else None
        if row is None or (is_transient(row_failure(row)) and not is_fresh):
            return None
        if not row["audio"]:
            return candidate_from_row(row, None)
        try:
            return candidate_from_row(row, read_audio(self._store.folder / row["audio"]))
        except AudioError as error:
            logger.warning("%s; the candidate is made again", error)
            return None

    def _keep(self, batch: Sequence[tuple[str, Job]], candidates: Sequence[Candidate]) -> list[tuple[Candidate, Row]]:
        kept, clips = [], {}
        for (key, job), candidate in zip(batch, candidates, strict=True):
            usable, audio = _usable(candidate), ""
            if usable.clip is not None:
                audio = f"candidates/audio/{audio_name(job, key)}"
                clips[self._store.folder / audio] = usable.clip
            kept.append((usable, candidate_row(key, job.request.id, self, usable, audio)))
        # In a thread: libsndfile calls back into Python, and an interrupt there would be printed and forgotten.
        with ThreadPoolExecutor(1) as encoder:
            contents = list(encoder.map(lambda clip: encode_audio(clip, "FLAC"), clips.values()))
        write_together(dict(zip(clips, contents, strict=True)))
        return kept


def _usable(candidate: Candidate) -> Candidate:
    """The candidate with its audio as it is stored, or as failed where that is none."""
    clip = candidate.clip
    if clip is None:
        return candidate
    failure = audio_failure(clip)
    if failure is not None and failure.kind is not FailureKind.SILENT:  # silence is audio; the others are not
        return replace(candidate, clip=None, failure=failure, finish=FinishReason.FAILED)
    return replace(candidate, clip=clip.quantised())


class StoredStepSynthesizer(StoredSynthesizer):
    """The same for a synthesizer with steps. What grows step by step is not remembered: seeds bring it back."""

    def __init__(
        self, synthesizer: StepSynthesizer, store: Memory, executor: Executor, *, batch: int, advance: Advance
    ) -> None:
        super().__init__(synthesizer, store, executor, batch=batch, advance=advance)
        self.step_seconds = synthesizer.step_seconds
        self.most_rows = synthesizer.most_rows
        self.begin = synthesizer.begin


class StoredVerifier:
    """`verifier`, with `store` as its memory."""

    def __init__(
        self,
        verifier: Verifier,
        store: Memory,
        *,
        advance: Advance,
        digest_of: Callable[[Request], str] = reference_digest,
    ) -> None:
        self.name = verifier.name
        self.version = verifier.version
        self.judge = verifier.judge
        self.metrics = verifier.metrics
        self.supports_partial = verifier.supports_partial
        self._verifier = verifier
        self._store = store
        self._advance = advance
        self._digest_of = digest_of

    def score(self, items: Sequence[Item]) -> list[Score]:
        """One score per item, in order."""
        keys = [self.key(item) for item in items]
        found = [self._recall(key) for key in keys]
        missing = [position for position, score in enumerate(found) if score is None]
        self._advance(len(items) - len(missing))
        rows = []
        for position, score in zip(
            missing, self._verifier.score([items[position] for position in missing]), strict=True
        ):
            found[position] = score
            key, item = keys[position], items[position]
            if key is not None:
                rows.append(score_row(key, item.request.id, item.candidate.index, self, score))
        self._store.add_scores(rows)
        self._advance(len(missing))
        return [score for score in found if score is not None]

    def key(self, item: Item) -> str | None:
        """Under which the score of an item is stored.

        None for a candidate without audio, which costs nothing to judge, and for one that is not finished.

        The same audio is judged differently once it is known to be all there is.
        """
        clip = item.candidate.clip
        if clip is None or item.partial:
            return None
        digest = self._digest_of(item.request)
        if item.candidate.index == ground_truth.INDEX:
            digest = ground_truth_digest(digest)
        return score_key(verifier_identity(self), self.judge, digest, clip.sha256)

    def _recall(self, key: str | None) -> Score | None:
        row = self._store.scores.get(key) if key is not None else None
        if row is None or (is_transient(row_failure(row)) and key not in self._store.fresh):
            return None
        return score_from_row(row)


def _raised(job: Job, error: Exception) -> Candidate:
    return failed_candidate(
        job, FailureKind.SYNTHESIS, f"{type(error).__name__} on '{job.request.id}' #{job.index}: {error}"
    )
