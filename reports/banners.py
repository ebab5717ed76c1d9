"""What a page must say before anything else: that the run is not finished, not heard, or not of this version."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from reports.live import is_going
from reports.results import RunResults
from reports.shelf import Shelf
from tts_eval.version import __version__

MOST_NAMED = 3
"""Files."""


def banners(results: RunResults, shelf: Shelf, run_dir: Path) -> list[str]:
    """Sentences, the weightiest first; none where nothing is amiss. `shelf` is stocked."""
    return [
        *_damaged(results),
        *_unfinished(results, run_dir),
        *_unjudged(results),
        *_versions(results),
        *shelf.remarks,
    ]


def _damaged(results: RunResults) -> list[str]:
    if not results.damaged:
        return []
    some, files = len(results.damaged), ", ".join(results.damaged[:MOST_NAMED])
    more = f" and {some - MOST_NAMED} more" if some > MOST_NAMED else ""
    candidates = [candidate for request in results.requests for candidate in request.candidates]
    lost = [
        f"{count:,} {what}"
        for count, what in (
            (sum(not candidate.is_made for candidate in candidates), "candidates"),
            (sum(number for _, number in _waiting(results)), "scores"),
        )
        if count
    ]
    missing = f" {' and '.join(lost)} are missing and count as worst." if lost else " Nothing is missing all the same."
    return [
        f"Damaged: {files}{more} cannot be read.{missing} "
        "The command that began the run sets the damaged file aside and makes what is missing again."
    ]


def _unfinished(results: RunResults, run_dir: Path) -> list[str]:
    candidates = [candidate for request in results.requests for candidate in request.candidates]
    missing = sum(not candidate.is_made for candidate in candidates)
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
    return [
        f"{key} has not heard {count} candidates; they count as worst. Run the same command again."
        for key, count in _waiting(results)
    ]


def _waiting(results: RunResults) -> list[tuple[str, int]]:
    """How many candidates each verifier has not heard, of those that are there."""
    waiting: Counter[str] = Counter()
    for key in dict.fromkeys(judged.verifier_key for judged in results.metrics):
        for request in results.requests:
            waiting[key] += sum(
                candidate.failure is None and key not in candidate.scores and key not in candidate.spared
                for candidate in request.candidates
            )
    return [(key, count) for key, count in waiting.items() if count]


def _versions(results: RunResults) -> list[str]:
    provenance = results.run.get("provenance")
    version = provenance.get("tts_eval") if isinstance(provenance, dict) else None
    if version in (None, __version__):
        return []
    return [
        f"This run was made by tts-eval {version}, this report by {__version__}: what that version did not store "
        "is missing here."
    ]
