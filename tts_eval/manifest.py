"""What a run directory says about itself: run.json and requests.jsonl, typed.

With them, every candidate and score of the run is found again without the suite's data and
without loading a model: they hold the parts that the store's keys are made of.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from tts_eval.audio import AudioSource, Excerpt
from tts_eval.config import RunConfig, as_dict, is_whole_pool, parse_config, sampling_of
from tts_eval.errors import ConfigError, StoreError
from tts_eval.files import write_text_atomically
from tts_eval.ground_truth import ground_truth_candidate, resynthesis_job
from tts_eval.records import (
    candidate_key,
    reference_digest,
    request_digest,
    score_from_row,
    score_key,
    search_key,
    verifier_identity,
)
from tts_eval.scales import Scales, scales_from_json, scales_json
from tts_eval.seeds import candidate_seed
from tts_eval.store import Row, RunFolder, RunStore
from tts_eval.types import Metric, Prompt, Request, Score, Verifier


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifierRecord:
    """A verifier that took part, without its model."""

    identity: str
    """NAME@VERSION."""
    judge: str
    metrics: tuple[Metric, ...]

    @property
    def label(self) -> str:
        """Which version of it, with whose weights, for messages."""
        return f"{self.identity} ({self.judge})"

    @property
    def checkpoint(self) -> str:
        """Whose opinion it is, whatever the mode and the text protocol: `judge` up to its weights' fingerprint.

        Judges are named BACKEND:MODEL@FINGERPRINT:MODE...; one without a fingerprint is a checkpoint of its own.
        """
        weights = re.search(r"@([0-9a-f]{8,})", self.judge) or re.search(r":([0-9a-f]{12})$", self.judge)
        # Not the verifier's name: `asr` and `likelihood` of one checkpoint hear with the same ears.
        return weights[1] if weights else f"{self.identity.partition('@')[0]}:{self.judge}"

    @classmethod
    def of(cls, verifier: Verifier) -> VerifierRecord:
        """The record of a loaded verifier."""
        return cls(identity=verifier_identity(verifier), judge=verifier.judge, metrics=verifier.metrics)

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> VerifierRecord:
        """The record as run.json has it."""
        metrics = [
            Metric(**{**m, "ratio_of": tuple(m["ratio_of"]) if m["ratio_of"] else None}) for m in record["metrics"]
        ]
        return cls(identity=record["identity"], judge=record["judge"], metrics=tuple(metrics))


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRecord:
    """A request as the run was given it, with the digests that its keys are made of."""

    request: Request
    digest: str
    reference_digest: str
    ground_truth_sha256: str
    """Of the ground truth's samples; "" where there is none that can be read."""

    @classmethod
    def of(cls, request: Request) -> RequestRecord:
        """The record of a request."""
        recorded = ground_truth_candidate(request).clip if request.ground_truth is not None else None
        return cls(
            request=request,
            digest=request_digest(request),
            reference_digest=reference_digest(request),
            ground_truth_sha256=recorded.sha256 if recorded else "",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """run.json."""

    suite: str
    """NAME@VERSION."""
    subset: str = ""
    """What of the suite was run, e.g. "first 4 of 48 requests"; "" for all of it."""
    synthesizer: str
    """NAME:REVISION."""
    config: RunConfig
    judges: tuple[str, ...]
    """Those of the config or the suite."""
    limits: tuple[str, ...] = ()
    """What the synthesizer did not do though the requests ask for it, in words."""
    searching: tuple[str, ...] = ()
    """Verifiers that take part in the search, by spec: the rule's and those of `then`."""
    added_judges: tuple[str, ...] = ()
    """Those that `tts-eval score` added later."""
    verifiers: Mapping[str, VerifierRecord]
    """By spec: the selection rule's and all judges'."""
    scales: Mapping[str, Scales] = field(default_factory=dict)
    """By the file that the selection rule names: what was in it."""
    resynthesis: str = ""
    """NAME:REVISION of the codec whose resyntheses `tts-eval scale` added; "" for none."""
    provenance: Mapping[str, Any]
    """What the run was last worked on with."""
    earlier_provenance: tuple[Mapping[str, Any], ...] = ()
    """What it was worked on with before, where that was something else: other versions, another machine."""

    def worked_on_with(self, provenance: Mapping[str, Any]) -> Manifest:
        """The same, last worked on with `provenance`; what it was worked on with before is kept."""
        known = [*self.earlier_provenance, self.provenance]
        return replace(
            self, provenance=provenance, earlier_provenance=tuple(entry for entry in known if entry != provenance)
        )

    @property
    def choosing(self) -> tuple[str, ...]:
        """Those of `searching` that had something to choose from: one candidate is no choice."""
        return () if is_whole_pool(self.config) and self.config.n == 1 else self.searching

    def as_json(self) -> dict[str, Any]:
        """Plain values for run.json."""
        return {
            "suite": self.suite,
            "subset": self.subset,
            "synthesizer": self.synthesizer,
            "limits": list(self.limits),
            "config": as_dict(self.config),
            "judges": list(self.judges),
            "searching": list(self.searching),
            "added_judges": list(self.added_judges),
            "verifiers": {spec: asdict(record) for spec, record in self.verifiers.items()},
            "scales": {name: scales_json(scales) for name, scales in self.scales.items()},
            "resynthesis": self.resynthesis,
            "provenance": dict(self.provenance),
            "earlier_provenance": [dict(entry) for entry in self.earlier_provenance],
        }

    def candidate_rows(self, store: RunStore, record: RequestRecord) -> list[Row | None]:
        """The stored row of each candidate of a request; None where there is none yet."""
        return [store.candidates.get(key) for key in self.candidate_keys(record)]

    def candidate_keys(self, record: RequestRecord) -> list[str]:
        """Under which the candidates of a request are stored: there are N of them, or the one that a search chose."""
        config = self.config
        if not is_whole_pool(config):
            return [self.search_key(record)]
        sampling = sampling_of(config)
        identifier = record.request.id
        return [
            candidate_key(
                self.synthesizer,
                identifier,
                record.digest,
                sampling,
                candidate_seed(config.seed, identifier, index),
                index,
            )
            for index in range(config.n)
        ]

    def resynthesis_key(self, record: RequestRecord) -> str:
        """Under which the recording is stored as the codec gives it back."""
        truth, job = record.ground_truth_sha256, resynthesis_job(record.request)
        return candidate_key(self.resynthesis, job.request.id, truth, job.sampling, job.seed, job.index)

    def search_key(self, record: RequestRecord) -> str:
        """Under which the candidate is stored that this run's search chose for a request."""
        config = self.config
        settings = {
            name: value
            for name, value in as_dict(config).items()
            if name in ("strategy", "then", "budget", "n", "seed", "verifier")
        }
        settings["sampling"] = asdict(sampling_of(config))
        settings["scales"] = {name: scales_json(scales) for name, scales in self.scales.items()}
        searching = [f"{self.verifiers[spec].identity}:{self.verifiers[spec].judge}" for spec in self.searching]
        return search_key(
            self.synthesizer, [record.request.id, record.digest, record.reference_digest], settings, searching
        )

    def scores(self, store: RunStore, reference_digest: str, audio_sha256: str) -> dict[str, Score]:
        """What each verifier said of some audio against a reference, by spec; nothing where there is no audio ("")."""
        keys = self.score_keys(reference_digest, audio_sha256)
        return {spec: score_from_row(store.scores[key]) for spec, key in keys.items() if key in store.scores}

    def score_keys(self, reference_digest: str, audio_sha256: str) -> dict[str, str]:
        """Under which that is stored, by spec."""
        if not audio_sha256:
            return {}
        return {
            spec: score_key(verifier.identity, verifier.judge, reference_digest, audio_sha256)
            for spec, verifier in self.verifiers.items()
        }


def write_manifest(store: RunStore, manifest: Manifest) -> None:
    """Write run.json."""
    store.write_json("run.json", manifest.as_json())


def read_manifest(store: RunFolder, name: str = "run.json") -> Manifest:
    """The run.json of a run, or what is kept under another name of an earlier one in the same folder.

    Raises:
        StoreError: it is missing, damaged, or of another version.
        ConfigError: its settings are of another version.
    """
    record = store.read_json(name)
    try:
        return Manifest(
            suite=record["suite"],
            subset=record.get("subset", ""),
            synthesizer=record["synthesizer"],
            limits=tuple(record.get("limits", ())),
            config=parse_config(record["config"]),
            judges=tuple(record["judges"]),
            searching=tuple(record.get("searching", ())),
            added_judges=tuple(record["added_judges"]),
            verifiers={spec: VerifierRecord.from_json(entry) for spec, entry in record["verifiers"].items()},
            scales={name: scales_from_json(entry) for name, entry in record.get("scales", {}).items()},
            resynthesis=record.get("resynthesis", ""),
            provenance=record["provenance"],
            earlier_provenance=tuple(record["earlier_provenance"]),
        )
    except ConfigError as error:  # not what is damaged: a run must not write it anew
        raise ConfigError([f"{store.folder}/{name}: {problem}" for problem in error.problems]) from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise StoreError(f"{store.folder}/{name} is damaged ({error!r}). Run 'tts-eval run' on it again.") from error


def write_requests(store: RunStore, requests: Sequence[Request]) -> None:
    """Write requests.jsonl."""
    lines = [json.dumps(_request_json(RequestRecord.of(request)), ensure_ascii=False) for request in requests]
    write_text_atomically(store.folder / "requests.jsonl", "\n".join(lines) + "\n")


def read_requests(store: RunFolder) -> tuple[RequestRecord, ...]:
    """The requests of a run. Prompts and ground truths are paths, as far as they were files.

    Raises:
        StoreError: requests.jsonl is missing or damaged.
    """
    path = store.folder / "requests.jsonl"
    try:
        # Not splitlines: texts may hold line separators that JSON leaves as they are (U+2028, U+0085).
        lines = path.read_text(encoding="utf-8").rstrip("\n").split("\n")
        return tuple(_request_from_json(json.loads(line)) for line in lines)
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise StoreError(f"{path} cannot be read ({error!r}). Run 'tts-eval run' on the folder again.") from error


def _request_json(record: RequestRecord) -> dict[str, Any]:
    request = record.request
    prompt = request.prompt
    return {
        "id": request.id,
        "text": request.text,
        "language": request.language,
        "group": request.group,
        "speaker": request.speaker,
        "prompt": {"audio": _source_json(prompt.audio), "transcript": prompt.transcript, "style": prompt.style}
        if prompt
        else None,
        "ground_truth": _source_json(request.ground_truth),
        "metadata": dict(request.metadata),
        "digest": record.digest,
        "reference_digest": record.reference_digest,
        "ground_truth_sha256": record.ground_truth_sha256,
    }


def _request_from_json(record: Mapping[str, Any]) -> RequestRecord:
    prompt = record["prompt"]
    request = Request(
        id=record["id"],
        text=record["text"],
        language=record["language"],
        group=record["group"],
        speaker=record["speaker"],
        prompt=Prompt(audio=_source(prompt["audio"]), transcript=prompt["transcript"], style=prompt["style"])
        if prompt
        else None,
        ground_truth=_source(record["ground_truth"]),
        metadata=record["metadata"],
    )
    return RequestRecord(
        request=request,
        digest=record["digest"],
        reference_digest=record["reference_digest"],
        ground_truth_sha256=record["ground_truth_sha256"],
    )


def _source_json(source: AudioSource | None) -> str | dict[str, Any] | None:
    if isinstance(source, Excerpt):
        return {"path": str(source.path.resolve()), "seconds": source.seconds}
    return str(source.resolve()) if isinstance(source, Path) else None


def _source(record: str | Mapping[str, Any] | None) -> Path | Excerpt | None:
    if isinstance(record, Mapping):
        return Excerpt(Path(record["path"]), float(record["seconds"]))
    return Path(record) if record else None
