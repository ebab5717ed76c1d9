"""What a run folder knows about costs: tokens and seconds of each sample, and what verifiers said of it.

Only candidates that were made whole count; what a search chose carries the cost of its whole search.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tts_eval.errors import ConfigError, StoreError
from tts_eval.manifest import Manifest, RequestRecord, VerifierRecord, read_manifest, read_requests
from tts_eval.registry import parse_spec
from tts_eval.store import Row, RunStore
from tts_eval.types import Cost, Sampling, Score
from tts_eval.workers.timeline import loading_seconds

USUAL_SPEECH = 15.0
"""Characters a second of English read aloud; taken where nothing was measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One candidate that was made once."""

    index: int
    sampling: Sampling
    cost: Cost
    scores: Mapping[str, Score]
    """By verifier spec."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What was measured; everything is empty or None without a run."""

    source: str = ""
    samples: Mapping[str, Sequence[Sample]] = field(default_factory=dict)
    """By request id, in order of candidate index."""
    verifiers: Mapping[str, VerifierRecord] = field(default_factory=dict)
    verifier_seconds: Mapping[str, float] = field(default_factory=dict)
    """Mean wall seconds of one clip, by verifier spec."""
    loading_seconds: float | None = None
    """That a worker took to get ready, in the middle; None where the run had no workers."""
    characters: int = 0
    """Of the texts of all samples."""

    def like(self, request_id: str, sampling: Sampling) -> Sequence[Sample]:
        """The samples of a request, those that were sampled in the same way where there are any."""
        samples = self.samples.get(request_id, ())
        return [sample for sample in samples if sample.sampling == sampling] or samples

    @property
    def total(self) -> Cost:
        """Of all samples."""
        return sum((sample.cost for samples in self.samples.values() for sample in samples), Cost())

    @property
    def seconds_per_character(self) -> float | None:
        """Of audio; None where there are no samples."""
        return self.total.audio_seconds / self.characters if self.characters else None


def measure(folder: Path, synth: str) -> Measured:
    """What the run in `folder` tells about the synthesizer `synth` and about verifiers.

    Raises:
        StoreError: there is no run, or it is damaged.
        ConfigError: it is of another version.
    """
    store = RunStore.read(folder)
    manifest = read_manifest(store)
    verifier_seconds = _verifier_seconds(store, manifest)
    loading = loading_seconds(folder / "report")
    middle = float(np.median(loading)) if loading else None
    if manifest.synthesizer.partition(":")[0] != parse_spec(synth).name:
        return Measured(source=str(folder), verifiers=manifest.verifiers, verifier_seconds=verifier_seconds)
    samples, characters = {}, 0
    by_request: dict[str, list[Row]] = {}
    for row in store.candidates.values():
        is_own = row["synthesizer"] == manifest.synthesizer  # not a codec's, that `tts-eval scale` added
        if is_own and not row.get("search_judgements", 0) and not row["failure"]:
            by_request.setdefault(row["request_id"], []).append(row)
    for record in read_requests(store):
        rows = sorted(by_request.get(record.request.id, []), key=lambda row: row["index"])
        if rows:
            samples[record.request.id] = [_sample(row, record, store, manifest) for row in rows]
            characters += len(rows) * len(record.request.text)
    return Measured(
        source=str(folder),
        samples=samples,
        verifiers=manifest.verifiers,
        verifier_seconds=verifier_seconds,
        loading_seconds=middle,
        characters=characters,
    )


def measure_any(folders: Sequence[Path], synth: str) -> Measured:
    """The first of some folders that holds samples of `synth`, else nothing."""
    for folder in folders:
        try:
            found = measure(folder, synth)
        except (ConfigError, StoreError):
            continue
        if found.samples:
            return found
    return Measured()


def _sample(row: Row, record: RequestRecord, store: RunStore, manifest: Manifest) -> Sample:
    cost = Cost(
        tokens=row["tokens_sampled"],
        audio_seconds=row["audio_seconds"],
        generator_seconds=row["generator_seconds"],
        flops=row.get("flops"),
    )
    sampling = Sampling(**json.loads(row["sampling"]))
    scores = manifest.scores(store, record.reference_digest, row["audio_sha256"])
    return Sample(index=row["index"], sampling=sampling, cost=cost, scores=scores)


def _verifier_seconds(store: RunStore, manifest: Manifest) -> dict[str, float]:
    seconds: dict[tuple[str, str], list[float]] = {}
    for row in store.scores.values():
        seconds.setdefault((row["verifier"], row["judge"]), []).append(row["verifier_seconds"])
    return {
        spec: float(np.mean(found))
        for spec, record in manifest.verifiers.items()
        if (found := seconds.get((record.identity, record.judge)))
    }
