"""More judges for a run that exists: its audio is judged as it lies, nothing is generated."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from benchmarks.progress import Progress, Quiet
from benchmarks.runner import judge_ground_truths, judged_together
from tts_eval.audio import read_audio
from tts_eval.errors import AudioError, ConfigError
from tts_eval.manifest import Manifest, VerifierRecord, read_manifest, read_requests, write_manifest
from tts_eval.provenance import describe
from tts_eval.records import candidate_from_row
from tts_eval.store import Row, RunStore
from tts_eval.stored import StoredVerifier
from tts_eval.types import Failure, FailureKind, FinishReason, Item, Request, Verifier
from verifiers.requirements import load_verifiers, require_judgeable

logger = logging.getLogger(__name__)


def add_judges(folder: Path, judges: Sequence[str], progress: Progress | None = None) -> None:
    """Judge every stored candidate of the run in `folder` with `judges`, and note them in run.json.

    Raises:
        StoreError: there is no run in `folder`, or it cannot be written.
        ConfigError, UnknownNameError: a judge cannot be loaded, can judge none of the requests, or chose the run's
            candidates and is no longer what it was.
    """
    progress = progress or Quiet()
    RunStore.read(folder)  # says so where there is no run, before a folder is made
    with RunStore.create(folder) as store:  # before models are loaded: another process may be at work here
        manifest = read_manifest(store)
        records = read_requests(store)
        loaded = load_verifiers(judges)
        _require_unchanged_choice(manifest, loaded)
        require_judgeable(loaded, [record.request for record in records])
        # As the run recorded them: a prompt that has moved since must not hide the scores from the report.
        digests = {record.request.id: record.reference_digest for record in records}
        rows = [
            (record.request, row)
            for record in records
            for row in [*manifest.candidate_rows(store, record), store.candidates.get(manifest.resynthesis_key(record))]
            if row is not None
        ]
        recorded = [record.request for record in records if record.request.ground_truth is not None]
        stored = []
        for spec, verifier in loaded.items():
            progress.start(f"judge {spec}", len(rows) + len(recorded))
            advance = partial(progress.advance, f"judge {spec}")
            stored.append(
                StoredVerifier(verifier, store, advance=advance, digest_of=lambda request: digests[request.id])
            )
        for items in judged_together(_item(store, request, row) for request, row in rows):
            for judge in stored:
                judge.score(items)
        judge_ground_truths(recorded, stored)
        added = {spec: VerifierRecord.of(verifier) for spec, verifier in loaded.items()}
        write_manifest(
            store,
            replace(
                manifest.worked_on_with(describe()),
                added_judges=tuple(dict.fromkeys([*manifest.added_judges, *loaded])),
                verifiers={**manifest.verifiers, **added},
            ),
        )


def _require_unchanged_choice(manifest: Manifest, loaded: Mapping[str, Verifier]) -> None:
    """Refuse a verifier that chose and would not choose so today: the run's choice is found by what it was."""
    changed = [
        f"'{spec}' is now {now.label}; the run was searched with {manifest.verifiers[spec].label}. "
        "Make a new run, or judge with another spec."
        for spec, now in ((spec, VerifierRecord.of(loaded[spec])) for spec in manifest.choosing if spec in loaded)
        if now != manifest.verifiers[spec]
    ]
    if changed:
        raise ConfigError(changed)


def _item(store: RunStore, request: Request, row: Row) -> Item:
    if not row["audio"]:
        return Item(request=request, candidate=candidate_from_row(row, None))
    try:
        return Item(request=request, candidate=candidate_from_row(row, read_audio(store.folder / row["audio"])))
    except AudioError as error:
        logger.warning("%s; '%s' #%d cannot be judged", error, request.id, row["index"])
        candidate = replace(
            candidate_from_row(row, None),
            finish=FinishReason.FAILED,
            failure=Failure(FailureKind.UNREADABLE, f"{error} Run 'tts-eval run' again to make it anew."),
        )
        return Item(request=request, candidate=candidate)
