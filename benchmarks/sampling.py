"""A part of a suite that looks like the whole: so many requests, spread over groups and speakers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tts_eval.types import Request


def stratified_sample(requests: Sequence[Request], size: int, seed: int = 0) -> tuple[Request, ...]:
    """`size` of the requests, in their order; each group and speaker has its share of them.

    All strata (pairs of group and speaker) are walked through at the same pace, each in an order of its own: a
    stratum has its share, give or take one. Where there are more strata than `size`, groups take turns. A smaller
    sample is part of a larger one, so a run with a larger one goes on from the smaller.
    """
    random = np.random.default_rng(seed)
    strata: dict[tuple[str, str], list[int]] = {}
    for index, request in enumerate(requests):
        strata.setdefault((request.group, request.speaker), []).append(index)
    position: dict[int, float] = {}
    for turn, stratum in enumerate(_taking_turns(sorted(strata), random)):
        members = random.permutation(strata[stratum])
        start = (turn + 0.5) / len(strata)
        position |= {int(index): (rank + start) / len(members) for rank, index in enumerate(members)}
    chosen = sorted(position, key=lambda index: (position[index], index))[:size]
    return tuple(requests[index] for index in sorted(chosen))


def _taking_turns(strata: Sequence[tuple[str, str]], random: np.random.Generator) -> list[tuple[str, str]]:
    """The strata in random order, but so that one of each group comes before the second of any."""
    met: dict[str, int] = {}
    order = []
    for index in random.permutation(len(strata)):
        group, _ = strata[index]
        met[group] = met.get(group, 0) + 1
        order.append((met[group], strata[index]))
    return [stratum for _, stratum in sorted(order, key=lambda pair: pair[0])]
