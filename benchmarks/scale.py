"""The codec's row of the scale: the recordings of a run through a codec, past the run's own judges.

Resyntheses lie in the run folder like candidates, keyed by codec and recording: they are made once, and another
codec takes its place beside them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from benchmarks.layout import raise_problems
from benchmarks.progress import Progress, Quiet
from benchmarks.runner import judged_together
from benchmarks.searches import BATCH
from tts_eval.errors import ConfigError
from tts_eval.execution import SerialExecutor, batched
from tts_eval.ground_truth import resynthesis_job
from tts_eval.manifest import Manifest, RequestRecord, VerifierRecord, read_manifest, read_requests, write_manifest
from tts_eval.provenance import describe
from tts_eval.records import synthesizer_identity
from tts_eval.store import RunStore
from tts_eval.stored import StoredSynthesizer, StoredVerifier
from tts_eval.synthesizers import load_synthesizer
from tts_eval.types import Item, Verifier
from verifiers.requirements import load_verifiers


def add_resyntheses(folder: Path, codec: str, progress: Progress | None = None) -> None:
    """Encode and decode the recordings of the run in `folder`, and let every judge of the run hear the result.

    Args:
        folder: the run.
        codec: what `codec-resynthesis` takes: llasa-nano, a folder or a name on the hub.
        progress: hears how far it is.

    Raises:
        StoreError: there is no run in `folder`, or it cannot be written.
        ConfigError: the suite has no recordings, or a judge is no longer the one that judged the run.
        DataError: recordings are not what the run was given; the first ten are named.
        WeightsError: the codec cannot be used.
    """
    progress = progress or Quiet()
    RunStore.read(folder)  # says so where there is no run, before a lock is put there
    with RunStore.create(folder) as store:
        manifest = read_manifest(store)
        records = [record for record in read_requests(store) if record.ground_truth_sha256]
        _check_recordings(manifest, records)
        loaded = load_verifiers([*manifest.judges, *manifest.added_judges, *manifest.searching])
        _check_judges(manifest, loaded)
        synthesizer = load_synthesizer(f"codec-resynthesis:{codec}")
        truths = {record.request.id: record.ground_truth_sha256 for record in records}
        # As the run recorded them, so that the report finds the scores.
        digests = {record.request.id: record.reference_digest for record in records}
        progress.start("resynthesise", len(records))
        advance = partial(progress.advance, "resynthesise")
        stored = StoredSynthesizer(
            synthesizer, store, SerialExecutor(), batch=BATCH, advance=advance, digest_of=lambda r: truths[r.id]
        )
        judges = []
        for spec, verifier in loaded.items():
            progress.start(f"judge {spec}", len(records))
            advance = partial(progress.advance, f"judge {spec}")
            judges.append(StoredVerifier(verifier, store, advance=advance, digest_of=lambda r: digests[r.id]))
        items = (
            Item(request=record.request, candidate=candidate)
            for batch in batched(records, BATCH)
            for record, candidate in zip(
                batch, stored.generate([resynthesis_job(record.request) for record in batch]), strict=True
            )
        )
        for together in judged_together(items):
            for judge in judges:
                judge.score(together)
        write_manifest(
            store, replace(manifest.worked_on_with(describe()), resynthesis=synthesizer_identity(synthesizer))
        )


def _check_recordings(manifest: Manifest, records: Sequence[RequestRecord]) -> None:
    if not records:
        raise ConfigError(
            [f"Suite '{manifest.suite}' brings no recordings along that can be read: there is nothing to resynthesise."]
        )
    now = (RequestRecord.of(record.request).ground_truth_sha256 for record in records)
    changed = [
        f"'{record.request.id}': {record.request.ground_truth or 'a recording that was no file'}"
        for record, sha256 in zip(records, now, strict=True)
        if sha256 != record.ground_truth_sha256
    ]
    raise_problems("Recordings are not there any more, or not as the run was given them. Run it again", changed)


def _check_judges(manifest: Manifest, loaded: dict[str, Verifier]) -> None:
    changed = [
        f"'{spec}' is now {now.label}; the run was judged by {manifest.verifiers[spec].label}. "
        + (
            "It chose the run's candidates: make a new run."
            if spec in manifest.choosing
            else f"Let it hear the run first: tts-eval score RUN --judge {spec}"
        )
        for spec, now in ((spec, VerifierRecord.of(verifier)) for spec, verifier in loaded.items())
        if now != manifest.verifiers[spec]
    ]
    if changed:
        raise ConfigError(changed)
