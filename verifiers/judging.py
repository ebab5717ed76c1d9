"""What every verifier does before its model runs: set aside the clips that cannot be judged.

A missing, empty, silent or non-finite clip gets a typed failure here, once, in the same way for
all verifiers. A model that raises on a batch is tried again clip by clip, so that one poisonous
clip costs one failed score and not the batch.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from tts_eval.audio import Clip
from tts_eval.execution import batched_by_seconds, isolate
from tts_eval.guards import audio_failure
from tts_eval.types import Failure, FailureKind, Item, Score, Verifier

MOST_SECONDS = 640.0
"""Audio that a model is given in one call; a longer clip comes alone."""

NOTHING_YET = (FailureKind.EMPTY, FailureKind.SILENT, FailureKind.SHORT)
"""What is wrong with a whole clip, and may still come right in one that is not finished."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a verifier's model found out about one clip."""

    values: Mapping[str, float]
    details: Mapping[str, str] = field(default_factory=dict)
    embedding: np.ndarray | None = field(default=None, compare=False, repr=False)


def unjudgeable(item: Item, partial_seconds: float = 0.0) -> Failure | None:
    """Why no verifier can judge this item, or None when it can be judged.

    An unfinished candidate of less than `partial_seconds` is undecided, whatever it says so far.
    """
    candidate = item.candidate
    if candidate.failure is not None:
        return candidate.failure
    clip = candidate.clip
    if clip is None:
        return Failure(FailureKind.MISSING, "The candidate has no audio.")
    if item.partial and clip.seconds < partial_seconds:
        message = f"{clip.seconds:.2f} s of unfinished audio; {partial_seconds:g} s are needed to judge it."
        return Failure(FailureKind.UNDECIDED, message)
    failure = audio_failure(clip)
    return failure and _so_far(item, failure)


def _so_far(item: Item, failure: Failure) -> Failure:
    """The failure as it stands: that nothing has been said is no verdict on a candidate that goes on."""
    if not item.partial or failure.kind not in NOTHING_YET:
        return failure
    return Failure(FailureKind.UNDECIDED, f"So far: {failure.message}")


def clip_of(item: Item) -> Clip:
    """The clip of an item that `unjudgeable` let pass."""
    clip = item.candidate.clip
    assert clip is not None
    return clip


def score_items(
    verifier: Verifier,
    items: Sequence[Item],
    model: Callable[[Sequence[Item]], Sequence[Judgement | Failure]],
    *,
    partial_seconds: float = 0.0,
) -> list[Score]:
    """One score per item: failures for what cannot be judged, `model`'s word on the rest.

    `model` gets the judgeable items, in calls of at most `MOST_SECONDS` of audio, and returns one result per item,
    in order. Unfinished candidates of less than `partial_seconds` do not reach it.
    """
    failures = [unjudgeable(item, partial_seconds) for item in items]
    good = [item for item, failure in zip(items, failures, strict=True) if failure is None]
    scores = (
        score
        for batch in batched_by_seconds(good, lambda item: item.seconds, MOST_SECONDS)
        for score in _scores(verifier, batch, model)
    )
    return [failed_score(verifier, failure) if failure is not None else next(scores) for failure in failures]


def _scores(
    verifier: Verifier, items: Sequence[Item], model: Callable[[Sequence[Item]], Sequence[Judgement | Failure]]
) -> list[Score]:
    started = time.perf_counter()
    results = isolate(partial(_checked, verifier, model), items, _verifier_failure)
    share = (time.perf_counter() - started) / len(items)
    return [_score(verifier, item, result, share) for item, result in zip(items, results, strict=True)]


def failed_score(verifier: Verifier, failure: Failure, seconds: float = 0.0) -> Score:
    """A score without a value."""
    return Score(verifier=verifier.name, judge=verifier.judge, value=None, failure=failure, seconds=seconds)


def _score(verifier: Verifier, item: Item, result: Judgement | Failure, seconds: float) -> Score:
    if isinstance(result, Failure):
        return failed_score(verifier, _so_far(item, result), seconds)
    return Score(
        verifier=verifier.name,
        judge=verifier.judge,
        value=result.values[verifier.metrics[0].name],
        values=result.values,
        details=result.details,
        embedding=result.embedding,
        seconds=seconds,
    )


def _checked(
    verifier: Verifier, model: Callable[[Sequence[Item]], Sequence[Judgement | Failure]], items: Sequence[Item]
) -> list[Judgement | Failure]:
    """The model's results with plain floats; a metric that is missing is the model's error, not the run's."""
    return [result if isinstance(result, Failure) else _plain(verifier, result) for result in model(items)]


def _plain(verifier: Verifier, judgement: Judgement) -> Judgement:
    values = {name: float(value) for name, value in judgement.values.items()}
    missing = [metric.name for metric in verifier.metrics if metric.name not in values]
    if missing:
        raise ValueError(f"verifier '{verifier.name}' gave no value for {', '.join(missing)}")
    return replace(judgement, values=values)


def _verifier_failure(item: Item, error: Exception) -> Failure:
    return Failure(
        FailureKind.VERIFIER,
        f"{type(error).__name__} on '{item.request.id}' #{item.candidate.index}: {error}",
    )
