"""The candidate that stands for a job that could not be done."""

from __future__ import annotations

from tts_eval.types import Candidate, Cost, Failure, FailureKind, FinishReason, Job


def failed_candidate(job: Job, kind: FailureKind, message: str, seconds: float = 0.0) -> Candidate:
    """A candidate without audio; it keeps its place in the pool and scores worst."""
    return Candidate(
        index=job.index,
        seed=job.seed,
        sampling=job.sampling,
        finish=FinishReason.FAILED,
        cost=Cost(generator_seconds=seconds),
        failure=Failure(kind, message),
    )
