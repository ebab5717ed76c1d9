"""What the numbers of a run rest on: how many clips were judged, and why the others were not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from reports.pools import number_of
from reports.results import CandidateResult, JudgedMetric, RunResults


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """What the numbers rest on."""

    requests: int
    scored: int
    """Requests whose chosen clip every judge gave a number for."""
    candidates: int
    scored_candidates: int
    failures: Mapping[str, int]
    """Candidates by class of failure."""
    chosen_failures: Mapping[str, int]
    """Chosen candidates by class of failure."""
    finishes: Mapping[str, int]
    """Candidates by how they ended."""
    spared: Mapping[str, int]
    """Candidates that a cascade dropped before a verifier heard them, by verifier; no failures."""


def coverage_of(results: RunResults) -> Coverage:
    """What is there of a run, candidate by candidate."""
    candidates = [candidate for request in results.requests for candidate in request.candidates]
    chosen = [failure_classes(request.chosen, results.metrics) for request in results.requests]
    classes = [failure_classes(candidate, results.metrics) for candidate in candidates]
    return Coverage(
        requests=len(chosen),
        scored=sum(not names for names in chosen),
        candidates=len(candidates),
        scored_candidates=sum(not names for names in classes),
        failures=_count(classes),
        chosen_failures=_count(chosen),
        finishes=dict(Counter(candidate.finish.value for candidate in candidates).most_common()),
        spared=dict(Counter(key for candidate in candidates for key in candidate.spared)),
    )


def failure_classes(candidate: CandidateResult, metrics: Sequence[JudgedMetric]) -> tuple[str, ...]:
    """Why some number of this candidate is missing: its own failure, else its scores'; empty when none is."""
    if candidate.failure is not None:
        return (candidate.failure.kind.value,)
    classes, scores = [], dict(candidate.scores.items())
    for judged in metrics:
        score = scores.get(judged.verifier_key)
        if judged.verifier_key in candidate.spared:
            continue
        if score is None:
            classes.append("not-judged")
        elif score.failure is not None:
            classes.append(score.failure.kind.value)
        elif number_of(score, judged) is None:
            classes.append("not-a-number")
    return tuple(dict.fromkeys(classes))


def _count(classes: Sequence[tuple[str, ...]]) -> dict[str, int]:
    return dict(Counter(name for names in classes for name in names).most_common())
