"""What workers could do next: jobs, searches and clips to be heard, and the batches that they come in.

A group is given as much as keeps its workers busy and no more, so what waits, waits here, in order. Clips go
first, and no more are made while many wait to be heard: the slowest stage sets the pace.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from benchmarks.pending import Place
from benchmarks.stage import SearchOrder, ToSearch
from tts_eval.execution import batched_by_seconds
from tts_eval.records import clip_seconds
from tts_eval.store import Row
from tts_eval.types import Request
from tts_eval.workers.crew import AT_A_WORKER, Crew, Group, Outcome
from tts_eval.workers.resources import group_of
from tts_eval.workers.task import Task

MOST_JOBS, MOST_QUICK_JOBS, QUICK = 16, 256, 0.5
"""Candidates that a worker is given to make at a time, as in a serial run; of a model that is done with them within
so many seconds twice as many next time, up to a limit."""
MOST_HEARD, MOST_HEARD_SECONDS = 64, 640.0
"""Clips and audio that a worker is given to judge at a time; what is made quickly is heard in larger batches."""
MOST_WAITING = 1024
"""Candidates that may wait to be heard before no more are made."""

T = TypeVar("T")
Hearers = tuple[str, tuple[str, ...]]
"""A group, and verifiers that it has."""
TeamHearers = tuple[str, tuple[str, ...], int | None]
"""And the team of it that is asked; None for anybody."""


class Backlog:
    """The work that no worker has yet."""

    def __init__(self, crew: Crew, shares: Sequence[str], order: SearchOrder) -> None:
        self._crew, self._shares, self._order = crew, shares, order
        self._jobs: deque[Place] = deque()
        self._searches: deque[ToSearch] = deque()
        self._clips: dict[TeamHearers, deque[tuple[Request, Row]]] = defaultdict(deque)
        self._recordings: dict[Hearers, deque[Request]] = defaultdict(deque)
        self._most = MOST_JOBS

    def add_jobs(self, places: Iterable[Place]) -> None:
        """Candidates to be made."""
        self._jobs.extend(places)

    def add_search(self, item: ToSearch) -> None:
        """A request to be searched."""
        self._searches.append(item)

    def add_clip(self, request: Request, row: Row, specs: Sequence[str], team: int | None = None) -> int:
        """A candidate to be heard by these verifiers; returns how many calls that takes, one for each group.

        `team` made it: where its own workers listen, they do.
        """
        groups = self._grouped(specs)
        for name, together in groups:
            own = team if self._crew.groups[name].share.together else None
            self._clips[name, together, own].append((request, row))
        return len(groups)

    def add_recording(self, request: Request, specs: Sequence[str]) -> int:
        """A recording to be heard by these verifiers; returns how many calls that takes."""
        groups = self._grouped(specs)
        for hearers in groups:
            self._recordings[hearers].append(request)
        return len(groups)

    @property
    def to_make(self) -> int:
        """Candidates and searches that nobody has begun."""
        return len(self._jobs) + len(self._searches)

    @property
    def clips(self) -> Mapping[str, int]:
        """How many wait for each verifier."""
        waiting: Counter[str] = Counter()
        for (_, specs, _), items in self._clips.items():
            for spec in specs:
                waiting[spec] += len(items)
        return waiting

    def learn(self, outcome: Outcome) -> None:
        """Make larger batches of what turns out to be made quickly."""
        is_full = outcome.task.method == "generate" and len(outcome.task.items) == self._most
        if is_full and outcome.seconds < QUICK:
            self._most = min(2 * self._most, MOST_QUICK_JOBS)

    def hand_out(self, plan: Callable[[int], int]) -> None:
        """Give every group as much as keeps its workers busy.

        Args:
            plan: Adds what is missing of further requests until so much is there to be made; returns how much is
                still to come at most.
        """
        self._hand_out_clips()
        group = self._crew.groups[self._group("synth")]
        while group.has_room() and sum(map(len, self._clips.values())) < MOST_WAITING:
            left = plan(self._most) + self.to_make
            if self._searches:
                items = _taken(self._searches, _shrinking(left, MOST_JOBS, group))
                group.submit(Task(method="search", items=items, context=(self._order,)))
            elif self._jobs:
                jobs = [place.job for place in _taken(self._jobs, _shrinking(left, self._most, group))]
                context = (self._order.manifest.config.synth, self._order.folder)
                group.submit(Task(method="generate", items=jobs, context=context))
            else:
                break

    def _hand_out_clips(self) -> None:
        for (name, specs, team), clips in self._clips.items():
            group = self._crew.groups[name]
            workers = group.share.actors if team is None else 1
            while clips and group.has_room(team):
                most = min(max(MOST_HEARD, self._most), max(math.ceil(len(clips) / workers), 1))
                batch = next(batched_by_seconds(clips, lambda clip: clip_seconds(clip[1]), MOST_HEARD_SECONDS, most))
                context = (specs, self._order.folder)
                taken = _taken(clips, len(batch))
                group.submit(Task(method="judge", items=taken, context=context, urgent=True, team=team))
        for (name, specs), requests in self._recordings.items():
            group = self._crew.groups[name]
            while requests and group.has_room():
                group.submit(Task(method="judge_recordings", items=_taken(requests, MOST_JOBS), context=(specs,)))

    def _grouped(self, specs: Iterable[str]) -> list[Hearers]:
        """The verifiers by the group that has them: one worker hears a clip for all of its own."""
        groups: dict[str, list[str]] = {}
        for spec in specs:
            groups.setdefault(self._group(spec), []).append(spec)
        return [(name, tuple(together)) for name, together in groups.items()]

    def _group(self, stage: str) -> str:
        name = group_of(stage, self._shares)
        return name if name in self._crew.groups else group_of("synth", self._shares)


def _shrinking(left: int, most: int, group: Group) -> int:
    """Items of the next batch: fewer towards the end, so that the workers finish together."""
    return min(most, max(math.ceil(left / (AT_A_WORKER * group.share.actors)), 1))


def _taken(items: deque[T], most: int) -> list[T]:
    return [items.popleft() for _ in range(min(len(items), most))]
