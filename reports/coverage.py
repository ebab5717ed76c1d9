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
    examples: Mapping[str, str]
    """By class: what the first failure of it says; "" where its class says all."""
    chosen_failures: Mapping[str, int]
    """Chosen candidates by class of failure."""
    finishes: Mapping[str, int]
    """Candidates by how they ended."""
    spared: Mapping[str, int]
    """Candidates that a cascade dropped before a verifier heard them, by verifier; no failures."""

    def failures_json(self) -> dict[str, object]:
        """Failures by class: how many candidates and chosen clips, and what the first of them says."""
        return {
            name: {"candidates": count, "chosen": self.chosen_failures.get(name, 0), "example": self.examples[name]}
            for name, count in self.failures.items()
        }


def coverage_of(results: RunResults) -> Coverage:
    """What is there of a run, candidate by candidate."""
    candidates = [candidate for request in results.requests for candidate in request.candidates]
    chosen = [failures_of(request.chosen, results.metrics) for request in results.requests]
    found = [failures_of(candidate, results.metrics) for candidate in candidates]
    return Coverage(
        requests=len(chosen),
        scored=sum(not names for names in chosen),
        candidates=len(candidates),
        scored_candidates=sum(not names for names in found),
        failures=_count(found),
        examples={name: text for failures in reversed(found) for name, text in failures.items()},
        chosen_failures=_count(chosen),
        finishes=dict(Counter(candidate.finish.value for candidate in candidates).most_common()),
        spared=dict(Counter(key for candidate in candidates for key in candidate.spared)),
    )


def failures_of(candidate: CandidateResult, metrics: Sequence[JudgedMetric]) -> Mapping[str, str]:
    """Why some number of this candidate is missing, by class: its own failure, else its scores'; empty when none is."""
    if candidate.failure is not None:
        return {candidate.failure.kind.value: candidate.failure.message}
    found: dict[str, str] = {}
    scores = dict(candidate.scores.items())
    for judged in metrics:
        score = scores.get(judged.verifier_key)
        if judged.verifier_key in candidate.spared:
            continue
        if score is None:
            found.setdefault("not-judged", "")
        elif score.failure is not None:
            found.setdefault(score.failure.kind.value, f"{judged.verifier_key}: {score.failure.message}")
        elif number_of(score, judged) is None:
            found.setdefault("not-a-number", judged.key)
    return found


def _count(found: Sequence[Mapping[str, str]]) -> dict[str, int]:
    return dict(Counter(name for failures in found for name in failures).most_common())
