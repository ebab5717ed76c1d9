"""Rows of the run store: keys, and the way from candidates and scores to rows and back."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from tts_eval.audio import AudioSource, Clip, Excerpt
from tts_eval.store import Row
from tts_eval.types import (
    Candidate,
    Cost,
    Failure,
    FailureKind,
    FinishReason,
    Job,
    Request,
    Sampling,
    Score,
    Synthesizer,
    Verifier,
)


def request_digest(request: Request) -> str:
    """What the request asks for, as a digest: text, language and prompt, by content.

    The id, group and metadata are not part of it, nor is the ground truth.
    """
    prompt = request.prompt
    return _digest(
        request.text,
        request.language,
        [_audio_digest(prompt.audio), prompt.transcript, prompt.style] if prompt else None,
    )


def reference_digest(request: Request) -> str:
    """All that a verifier may compare with: the request, its ground truth and its metadata, as a digest."""
    metadata = [sorted(request.metadata.items())] if request.metadata else []
    return _digest(request_digest(request), _audio_digest(request.ground_truth), *metadata)


def ground_truth_digest(reference: str) -> str:
    """The reference digest under which a recording is judged itself: it may be its own only reference then."""
    return f"ground-truth:{reference}"


def candidate_key(
    synthesizer: str, request_id: str, request_digest: str, sampling: Sampling, seed: int, index: int
) -> str:
    """Identity of one candidate; `synthesizer` is NAME:REVISION."""
    return _digest(synthesizer, request_id, request_digest, _sampling_fields(sampling), seed, index)


def search_key(synthesizer: str, request: Sequence[str], settings: Mapping[str, Any], verifiers: Sequence[str]) -> str:
    """Identity of what a search chose: who spoke, what was asked, how it searched, and who guided and chose."""
    return _digest("search", synthesizer, list(request), dict(settings), list(verifiers))


def score_key(verifier: str, judge: str, reference_digest: str, audio_sha256: str) -> str:
    """Identity of one score: who (NAME@VERSION, checkpoint) judged which audio against what."""
    return _digest(verifier, judge, reference_digest, audio_sha256)


def synthesizer_identity(synthesizer: Synthesizer) -> str:
    """NAME:REVISION."""
    return f"{synthesizer.name}:{synthesizer.revision}"


def verifier_identity(verifier: Verifier) -> str:
    """NAME@VERSION."""
    return f"{verifier.name}@{verifier.version}"


def audio_name(job: Job, key: str) -> str:
    """File name of a candidate's audio: readable, safe whatever the id holds, and unique."""
    slug = re.sub(r"[^A-Za-z0-9_-]+", "-", job.request.id)[:60].strip("-") or "request"
    return f"{slug}_{job.index}_{key[:10]}.flac"


def candidate_row(key: str, request_id: str, synthesizer: Synthesizer, candidate: Candidate, audio: str) -> Row:
    """The row of a candidate whose audio lies at `audio`, relative to the run ("" where there is none)."""
    failure = candidate.failure
    cost = candidate.cost
    return {
        "key": key,
        "request_id": request_id,
        "index": candidate.index,
        "seed": candidate.seed,
        "synthesizer": synthesizer_identity(synthesizer),
        "sampling": _sampling_json(candidate.sampling),
        "finish": candidate.finish.value,
        "failure": failure.kind.value if failure else "",
        "failure_message": failure.message if failure else "",
        "audio": audio,
        "audio_sha256": candidate.clip.sha256 if candidate.clip else "",
        "clip_seconds": candidate.clip.seconds if candidate.clip else 0.0,
        "tokens": None if candidate.tokens is None else candidate.tokens.tobytes(),
        "tokens_dtype": "" if candidate.tokens is None else candidate.tokens.dtype.str,
        "tokens_shape": [] if candidate.tokens is None else list(candidate.tokens.shape),
        "tokens_sampled": cost.tokens,
        "audio_seconds": cost.audio_seconds,
        "generator_seconds": cost.generator_seconds,
        "flops": cost.flops,
        "search_verifier_seconds": cost.verifier_seconds,
        "search_judgements": cost.judgements,
        "search_spared_calls": cost.spared_calls,
        "search_spared_seconds": cost.spared_seconds,
        "retries": cost.retries,
    }


def candidate_from_row(row: Row, clip: Clip | None) -> Candidate:
    """The candidate that `row` describes, with its audio."""
    return Candidate(
        index=row["index"],
        seed=row["seed"],
        sampling=Sampling(**json.loads(row["sampling"])),
        finish=FinishReason(row["finish"]),
        clip=clip,
        tokens=None
        if row["tokens"] is None
        else np.frombuffer(row["tokens"], dtype=row["tokens_dtype"]).reshape(row["tokens_shape"]),
        cost=row_cost(row),
        failure=row_failure(row),
    )


def row_cost(row: Row) -> Cost:
    """What the candidate cost that `row` describes."""
    return Cost(
        tokens=row["tokens_sampled"],
        audio_seconds=row["audio_seconds"],
        generator_seconds=row["generator_seconds"],
        flops=row.get("flops"),
        verifier_seconds=row.get("search_verifier_seconds", 0.0),
        judgements=row.get("search_judgements", 0),
        spared_calls=row.get("search_spared_calls", 0),
        spared_seconds=row.get("search_spared_seconds", 0.0),
        retries=row.get("retries", 0),
    )


def clip_seconds(row: Row) -> float:
    """Length of a candidate's clip; of an older version's row what was made in all, which for a search is more."""
    seconds: float = row["clip_seconds"] if "clip_seconds" in row else row["audio_seconds"]
    return seconds


def score_row(key: str, request_id: str, index: int, verifier: Verifier, score: Score) -> Row:
    """The row of a score."""
    return {
        "key": key,
        "request_id": request_id,
        "index": index,
        "verifier": verifier_identity(verifier),
        "judge": score.judge,
        "value": score.value,
        "values": json.dumps(dict(score.values)),
        "details": json.dumps(dict(score.details), ensure_ascii=False),
        "failure": score.failure.kind.value if score.failure else "",
        "failure_message": score.failure.message if score.failure else "",
        "verifier_seconds": score.seconds,
    }


def score_from_row(row: Row) -> Score:
    """The score that `row` describes."""
    return Score(
        verifier=row["verifier"].partition("@")[0],
        judge=row["judge"],
        value=row["value"],
        values=json.loads(row["values"]),
        details=json.loads(row["details"]),
        failure=row_failure(row),
        seconds=row["verifier_seconds"],
    )


def row_failure(row: Row) -> Failure | None:
    """The failure a row holds, if any."""
    return Failure(FailureKind(row["failure"]), row["failure_message"]) if row["failure"] else None


def is_transient(failure: Failure | None) -> bool:
    """Whether running again may mend it: the model raised, rather than the clip being bad."""
    return failure is not None and failure.kind in (FailureKind.SYNTHESIS, FailureKind.VERIFIER)


@lru_cache(maxsize=64)
def _sampling_json(sampling: Sampling) -> str:
    return json.dumps(_sampling_fields(sampling))


@lru_cache(maxsize=64)
def _sampling_fields(sampling: Sampling) -> Mapping[str, Any]:
    return asdict(sampling)


def _audio_digest(source: AudioSource | None) -> str | None:
    if source is None:
        return None
    if isinstance(source, Clip):
        return source.sha256
    if isinstance(source, Excerpt):
        return f"{_audio_digest(source.path)}:first-{source.seconds}-s"
    try:
        status = source.stat()
        return _file_digest(source, status.st_mtime_ns, status.st_size)
    except OSError:  # the verifiers that need it say so, clip by clip
        return f"unreadable:{source.name}"


@lru_cache(maxsize=65_536)
def _file_digest(path: Path, modified: int, size: int) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _digest(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, ensure_ascii=False).encode()).hexdigest()
