"""The recording as a candidate, as it is and through a codec: the rows that give a report its scale."""

from __future__ import annotations

from collections.abc import Iterable

from tts_eval.audio import load_clip
from tts_eval.errors import AudioError
from tts_eval.types import Candidate, Cost, Failure, FailureKind, FinishReason, Item, Job, Request, Sampling

INDEX = -1
"""What the run store calls the index of a ground truth; candidates count from 0."""
RESYNTHESIS_INDEX = -2
"""The same for what a codec makes of it."""


def ground_truth_items(requests: Iterable[Request]) -> list[Item]:
    """One item per request that has a ground truth; an unreadable recording is a failed candidate."""
    return [
        Item(request=request, candidate=ground_truth_candidate(request))
        for request in requests
        if request.ground_truth is not None
    ]


def ground_truth_candidate(request: Request) -> Candidate:
    """The recording of `request` as if it had been made for it."""
    try:
        if request.ground_truth is None:
            raise AudioError(f"'{request.id}' has no ground truth.")
        clip = load_clip(request.ground_truth)
    except AudioError as error:
        failure = Failure(FailureKind.UNREADABLE, str(error))
        return Candidate(index=INDEX, seed=0, sampling=Sampling(), finish=FinishReason.FAILED, failure=failure)
    cost = Cost(audio_seconds=clip.seconds)
    return Candidate(index=INDEX, seed=0, sampling=Sampling(), finish=FinishReason.EOS, clip=clip, cost=cost)


def resynthesis_job(request: Request) -> Job:
    """What a codec is given to do: a codec knows neither seeds nor temperatures."""
    return Job(request=request, index=RESYNTHESIS_INDEX, seed=0, sampling=Sampling())
