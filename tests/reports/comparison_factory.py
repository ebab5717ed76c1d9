"""Two made-up runs of one suite, and ways to spoil them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from results_factory import METRICS, make_results

from reports.results import RunResults

HELD_OUT, SIMILARITY, SELECTING = METRICS


def run_of(
    name: str, *, config: dict[str, object] | None = None, folder: Path | None = None, **options: int
) -> RunResults:
    made = make_results(folder, **{"requests": 24, "speakers": 0, "n": 3, **options})  # type: ignore[arg-type]
    return replace(made, name=name, run={"suite": "demo@1", "config": {"synth": name, **(config or {})}})


def with_request(run: RunResults, row: int, **changes: object) -> RunResults:
    requests = list(run.requests)
    requests[row] = replace(requests[row], **changes)  # type: ignore[arg-type]
    return replace(run, requests=tuple(requests))


def worsened(run: RunResults, name: str, by: float) -> RunResults:
    """The same run, every similarity lower."""
    requests = []
    for request in run.requests:
        candidates = []
        for candidate in request.candidates:
            score = candidate.scores["speaker:ge2e"]
            if score.value is not None:
                score = replace(score, value=score.value - by, values={"similarity": score.value - by})
            candidates.append(replace(candidate, scores={**candidate.scores, "speaker:ge2e": score}))
        requests.append(replace(request, candidates=tuple(candidates)))
    return replace(run, name=name, requests=tuple(requests), run={"suite": "demo@1", "config": {"synth": name}})
