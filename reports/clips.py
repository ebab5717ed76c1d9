"""One candidate in words: its scores, what each recogniser heard and where that differs, and what went wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from reports.diversity import TRANSCRIPT
from reports.formatting import number
from reports.pools import clip_value
from reports.results import CandidateResult, JudgedMetric, RequestResult
from tts_eval.edits import AlignedChunk
from tts_eval.text import language_code, load_languages, protocols
from tts_eval.types import Failure, Score

ALIGNMENT = "alignment"
"""Key under which a verifier may say where what it heard differs: [[kind, reference, hypothesis], ...] as JSON."""


@dataclass(frozen=True, slots=True)
class ScoreView:
    """One number of one clip."""

    name: str
    judge: str
    value: str
    held_out: bool
    problem: str


@dataclass(frozen=True, slots=True)
class TranscriptView:
    """What one recogniser heard, beside what was asked for."""

    judge: str
    held_out: bool
    chunks: tuple[AlignedChunk, ...]
    plain: str
    """The transcript as it is, where it cannot be aligned."""


def scores_of(candidate: CandidateResult, metrics: Sequence[JudgedMetric]) -> tuple[ScoreView, ...]:
    """One per metric, in their order."""
    return tuple(_score(candidate, judged) for judged in metrics)


def recognisers(metrics: Sequence[JudgedMetric]) -> dict[str, JudgedMetric]:
    """The metric by whose protocol each verifier's transcript is shown, by the verifier's key."""
    found: dict[str, JudgedMetric] = {}
    for judged in metrics:
        if judged.metric.protocol in protocols:
            found.setdefault(judged.verifier_key, judged)
    return found


def transcripts_of(
    request: RequestResult, candidate: CandidateResult, by_verifier: Mapping[str, JudgedMetric]
) -> Iterator[TranscriptView]:
    """One for each of the `recognisers` that heard the clip."""
    for key, judged in by_verifier.items():
        score = candidate.scores.get(key)
        if score is not None and TRANSCRIPT in score.details:
            chunks = _aligned(request, score, judged.metric.protocol)
            yield TranscriptView(key, not judged.selected_on, chunks, score.details[TRANSCRIPT])


def failure_of(candidate: CandidateResult) -> Failure | None:
    """The candidate's own failure, or the one that all of its scores share."""
    failures = {score.failure for score in candidate.scores.values()}
    shared = failures.pop() if len(failures) == 1 else None
    return candidate.failure or shared


def shown(candidate: CandidateResult, judged: JudgedMetric) -> str:
    """The metric's value in words."""
    value = clip_value(candidate, judged)
    if judged.verifier_key in candidate.spared:
        return "not asked: dropped by the cascade"
    if value is None:
        return f"failed, counts as {number(judged.metric.worst, judged.metric)}"
    return number(value, judged.metric)


def _score(candidate: CandidateResult, judged: JudgedMetric) -> ScoreView:
    score = candidate.scores.get(judged.verifier_key)
    failure = score.failure if score is not None else None
    is_fine = score is not None or judged.verifier_key in candidate.spared
    problem = f"{failure.kind.value}: {failure.message}" if failure else "" if is_fine else "not judged"
    return ScoreView(judged.metric.name, judged.verifier_key, shown(candidate, judged), not judged.selected_on, problem)


def _aligned(request: RequestResult, score: Score, protocol: str) -> tuple[AlignedChunk, ...]:
    if ALIGNMENT in score.details:
        return tuple(AlignedChunk(*chunk) for chunk in json.loads(score.details[ALIGNMENT]))
    return _alignment(protocol, language_code(request.language), request.text, score.details[TRANSCRIPT])


@lru_cache(maxsize=4096)  # candidates of one request are often heard alike
def _alignment(protocol: str, language: str, text: str, transcript: str) -> tuple[AlignedChunk, ...]:
    loaded = load_languages(protocol).get(language)
    return loaded.alignment(text, transcript) if loaded and loaded.reference(text) else ()
