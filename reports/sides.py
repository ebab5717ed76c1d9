"""What is compared: runs, or several that differ in nothing but their seed as one.

A run of `codec-resynthesis` beside two others is no side: it says what the codec lets through.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from reports.results import RunResults

CEILING = "codec-resynthesis:"
NOT_THE_SYSTEM = (
    "seed", "judge", "fail_on", "data_dir", "limit", "sample", "executor", "address", "resources",
)  # fmt: skip
"""Settings that do not make two runs two systems: luck, judges, what of the suite, and who did the work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """What is compared: a run, or several that differ in their seed alone."""

    name: str
    runs: tuple[RunResults, ...]
    places: tuple[int, ...]
    """Of the runs among the aligned ones."""


def sides_of(runs: Sequence[RunResults]) -> tuple[list[Side], Side | None, list[Side]]:
    """Sides, the ceiling where there is one, and the groups of runs that differ in their seed alone."""
    alone = [Side(name=run.name, runs=(run,), places=(place,)) for place, run in enumerate(runs)]
    ceilings = [side for side in alone if side.runs[0].synthesizer.startswith(CEILING)]
    is_scaled = len(ceilings) == 1 and len(runs) > 2
    rest = [side for side in alone if not (is_scaled and side is ceilings[0])]
    by_system: dict[tuple[str, int], list[Side]] = {}
    seen: Counter[tuple[str, object]] = Counter()
    for side in rest:
        system, seed = _system(side.runs[0])
        # The same seed once more is no further seed: its mean with itself would look surer than it is.
        by_system.setdefault((system, seen[system, seed]), []).append(side)
        seen[system, seed] += 1
    grouped = [_together(members) for members in by_system.values()]
    groups = [side for side in grouped if len(side.runs) > 1]
    return (grouped if len(grouped) > 1 else rest), ceilings[0] if is_scaled else None, groups


def _together(members: Sequence[Side]) -> Side:
    name = members[0].name if len(members) == 1 else f"{members[0].name} ({len(members)} seeds)"
    return Side(
        name=name,
        runs=tuple(run for member in members for run in member.runs),
        places=tuple(place for member in members for place in member.places),
    )


def _system(run: RunResults) -> tuple[str, object]:
    """What the run is a run of, whatever its seed; and that seed."""
    config = run.run.get("config")
    settings = dict(config) if isinstance(config, Mapping) else {}
    kept = {name: value for name, value in settings.items() if name not in NOT_THE_SYSTEM}
    return json.dumps([run.synthesizer, run.strategy, kept], sort_keys=True, default=str), settings.get("seed")


def not_there(run: RunResults, judges: Iterable[str]) -> tuple[str, ...]:
    """Ids of requests that the run was not asked, or is not through with. What it failed at is there, as worst.

    Args:
        run: the run.
        judges: keys of those who must have heard the chosen clips; who chose must have heard all of them.
    """
    choosing = {judged.verifier_key for judged in run.metrics if judged.selected_on}
    return tuple(
        request.id
        for request in run.requests
        if any(not one.is_made or any(map(one.awaits, choosing)) for one in request.candidates)
        or any(map(request.chosen.awaits, judges))
    )
