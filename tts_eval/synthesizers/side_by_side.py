"""Several candidates at a time, one thread each, with costs that add up to the time that passed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from tts_eval.types import Candidate, Job


def side_by_side(make: Callable[[Job], Candidate], jobs: Sequence[Job], threads: int) -> list[Candidate]:
    """One candidate per job, in order, at most `threads` of them under way at a time.

    Threads overlap, so each candidate gets its share of the wall time in `generator_seconds`.
    """
    started = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        made = list(pool.map(make, jobs))
    wall = time.perf_counter() - started
    busy = sum(candidate.cost.generator_seconds for candidate in made) or 1.0
    return [
        replace(
            candidate,
            cost=replace(candidate.cost, generator_seconds=candidate.cost.generator_seconds * wall / busy),
        )
        for candidate in made
    ]
