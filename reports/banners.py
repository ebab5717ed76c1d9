"""What a page must say before anything else: that the run is not finished, not heard, or not of this version."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from reports.live import is_going
from reports.results import RunResults
from reports.shelf import Shelf
from tts_eval import __version__
from tts_eval.types import FailureKind


def banners(results: RunResults, shelf: Shelf, run_dir: Path) -> list[str]:
    """Sentences, the weightiest first; none where nothing is amiss. `shelf` is stocked."""
    return [*_unfinished(results, run_dir), *_unjudged(results), *_versions(results), *shelf.remarks]


def _unfinished(results: RunResults, run_dir: Path) -> list[str]:
    candidates = [candidate for request in results.requests for candidate in request.candidates]
    missing = sum(one.failure is not None and one.failure.kind is FailureKind.MISSING for one in candidates)
    if is_going(run_dir):
        there = f"{len(candidates) - missing} of {len(candidates)} candidates are there"
        return [
            f"This run is still going: {there}; the others count as worst. Make the report again when it has ended."
        ]
    if missing:
        return [
            f"Half a run: {missing} of {len(candidates)} candidates are missing and count as worst. "
            "The command that began it goes on where it stopped."
        ]
    return []


def _unjudged(results: RunResults) -> list[str]:
    waiting: Counter[str] = Counter()
    for key in dict.fromkeys(judged.verifier_key for judged in results.metrics):
        for request in results.requests:
            waiting[key] += sum(
                candidate.failure is None and key not in candidate.scores and key not in candidate.spared
                for candidate in request.candidates
            )
    return [
        f"{key} has not heard {count} candidates; they count as worst. Run the same command again."
        for key, count in waiting.items()
        if count
    ]


def _versions(results: RunResults) -> list[str]:
    provenance = results.run.get("provenance")
    version = provenance.get("tts_eval") if isinstance(provenance, dict) else None
    if version in (None, __version__):
        return []
    return [
        f"This run was made by tts-eval {version}, this report by {__version__}: what that version did not store "
        "is missing here."
    ]
