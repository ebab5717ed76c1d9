"""How long a plan would take with so many workers: the executor's own rules, played through with measured seconds.

    pieces -> batches to make -> workers, two batches each -> this process -> batches to hear -> workers -> ...

A small discrete-event simulation of `benchmarks.backlog` and `tts_eval.workers.crew`: batches shrink towards the end,
what was made waits in a bounded queue, and one process hands everything out and takes everything in. What comes of
it is what a formula would not show: idle ends, stages that wait for each other, and where that one process is what
limits a large cluster. Nothing is random. Not simulated: workers that die, and a file system that gets slow.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks.backlog import (
    MOST_HEARD,
    MOST_HEARD_SECONDS,
    MOST_JOBS,
    MOST_QUICK_JOBS,
    MOST_WAITING,
    QUICK,
)
from benchmarks.pieces import Piece
from tts_eval.errors import ConfigError
from tts_eval.execution import batched_by_seconds
from tts_eval.workers.crew import AT_A_WORKER
from tts_eval.workers.resources import REST, group_of

MOST_DEVICES = 10_000
DRIVER = "driver"
"""The process that hands out and takes in, among the names of the groups."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overhead:
    """Seconds beside the models; the defaults are what `benchmarks.perf.cluster_prediction` measured on two cores."""

    made: float = 0.002
    """A worker's, to write one candidate's audio."""
    heard: float = 0.001
    """A worker's, to read it again."""
    batch: float = 0.005
    """A worker's, between one batch and the next."""
    driver: float = 0.0004
    """The driver's, for each candidate that is made or heard."""
    run: float = 0.2
    """The driver's, before a run's first batch and after its last."""
    loading: float = 0.0
    """From a worker's start until its models are loaded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """How a plan would go."""

    workers: Mapping[str, int]
    """By group, as a resources file names them."""
    wall_seconds: float
    busy: Mapping[str, float]
    """The share of the time in which the workers of each group, and the driver, have something to do."""

    @property
    def bottleneck(self) -> str:
        """The group, or the driver, that has most to do."""
        return max(self.busy, key=lambda name: self.busy[name])


def simulate(
    runs: Sequence[Sequence[Piece]], workers: Mapping[str, int], overhead: Overhead | None = None
) -> Prediction:
    """What becomes of runs that are done one after the other by the same workers.

    Args:
        runs: The pieces of each run.
        workers: Number of workers by group: `rest` alone, or as in a resources file.
        overhead: What is not in the pieces' seconds.
    """
    overhead = overhead or Overhead()
    groups = {name: _Group(actors) for name, actors in workers.items()}
    clock = overhead.loading if any(runs) else 0.0
    for group in groups.values():  # the first of each loads before anything is handed out
        group.start_first(clock)
    for pieces in runs:
        if pieces:
            clock = _Run(pieces, groups, overhead).play(clock + overhead.run)
    busy = {name: group.busy / (clock * group.actors) if clock else 0.0 for name, group in groups.items()}
    items = sum((piece.made is not None) + _hearings(piece, groups) for pieces in runs for piece in pieces)
    return Prediction(
        workers=dict(workers),
        wall_seconds=clock,
        busy=busy | {DRIVER: items * overhead.driver / clock if clock else 0.0},
    )


def balanced(loads: Mapping[str, float], devices: int) -> dict[str, int]:
    """Workers of each stage so that the one with most to do for each of its workers has as little as can be.

    Every stage gets one, and each further device goes to the stage that has most to do by then. Where there are
    fewer devices than stages, all stages share all workers.
    """
    stages = {stage: load for stage, load in loads.items() if load > 0.0}
    if devices < len(stages) or len(stages) < 2:
        return {REST: devices}
    workers = dict.fromkeys(stages, 1)
    for _ in range(devices - len(stages)):
        workers[max(stages, key=lambda stage: stages[stage] / workers[stage])] += 1
    return workers


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaledPlan:
    """What a number of devices comes to, with one worker on each."""

    devices: int
    alike: Prediction
    """With workers that all do everything, as without a resources file."""
    divided: Prediction
    """With workers for each stage, as evenly as whole workers go; the same where there are too few devices for that."""
    efficiency: float
    """One worker's time / devices / the time of so many that are alike."""

    def as_json(self) -> dict[str, Any]:
        """The machine-readable outlook."""
        return {"devices": self.devices, "efficiency": self.efficiency} | {
            name: asdict(prediction) | {"bottleneck": prediction.bottleneck}
            for name, prediction in (("alike", self.alike), ("divided", self.divided))
        }


def scaled_plans(
    runs: Sequence[Sequence[Piece]], devices: Sequence[int], overhead: Overhead | None = None
) -> list[ScaledPlan]:
    """What each of these numbers of devices comes to.

    Raises:
        ConfigError: a number of devices that cannot be, or nothing is known that would take time.
    """
    overhead = overhead or Overhead()
    wrong = [str(count) for count in devices if not 1 <= count <= MOST_DEVICES]
    if wrong or not devices:
        found = ", ".join(wrong) or "nothing"
        raise ConfigError([f"nodes has {found}; expected numbers from 1 to {MOST_DEVICES:,}, e.g. --nodes 1,8,64."])
    work = stage_loads(runs, overhead)
    one = simulate(runs, {REST: 1}, overhead).wall_seconds
    result = []
    for count in devices:
        alike = simulate(runs, {REST: count}, overhead)
        workers = balanced(work, count)
        divided = alike if REST in workers else simulate(runs, workers, overhead)
        efficiency = one / count / alike.wall_seconds if alike.wall_seconds else 1.0
        result.append(ScaledPlan(devices=count, alike=alike, divided=divided, efficiency=efficiency))
    return result


def stage_loads(runs: Sequence[Sequence[Piece]], overhead: Overhead) -> dict[str, float]:
    """Seconds of work of each stage, `synth` and the verifiers by spec, with what comes along with it."""
    total: dict[str, float] = {}
    for piece in (piece for pieces in runs for piece in pieces):
        if piece.made is not None:
            total["synth"] = total.get("synth", 0.0) + piece.made + overhead.made
        for spec, seconds in piece.heard:
            total[spec] = total.get(spec, 0.0) + seconds + overhead.heard
    return total


@dataclass(slots=True)
class _Task:
    """A batch at a worker, or on its way there."""

    seconds: float
    made: list[Piece] = field(default_factory=list)
    heard: int = 0


class _Group:
    """Workers of one kind."""

    def __init__(self, actors: int) -> None:
        self.actors = actors
        self.busy = 0.0
        self.waiting: deque[_Task] = deque()
        self.in_flight = 0
        self._started = self._ready = 0
        self._free = [0.0] * actors
        self._open: list[dict[int, None]] = [{} for _ in range(AT_A_WORKER)]
        """Workers that are ready, by how many batches they have; those that have as many as may be are nowhere."""

    @property
    def has_room(self) -> bool:
        """Whether it is given more."""
        return self.in_flight < AT_A_WORKER * self.actors

    def start_first(self, now: float) -> None:
        """Have a worker that is ready."""
        self._started = 1
        self.ready(0, now)

    def start(self) -> list[int]:
        """Further workers, where more waits than those that are getting ready could take."""
        wanted = min(len(self.waiting) - (self._started - self._ready), self.actors - self._started)
        started = list(range(self._started, self._started + max(wanted, 0)))
        self._started += len(started)
        return started

    def ready(self, worker: int, now: float) -> None:
        """The worker can be given something."""
        self._ready += 1
        self._free[worker] = now
        self._open[0][worker] = None

    def released(self, worker: int) -> None:
        """The worker has done a batch."""
        self.in_flight -= 1
        for tasks in range(AT_A_WORKER):
            if worker in self._open[tasks]:
                del self._open[tasks][worker]
                self._open[tasks - 1][worker] = None
                return
        self._open[AT_A_WORKER - 1][worker] = None

    def hand_out(self, tasks: int, now: float) -> list[tuple[float, int, _Task]]:
        """Give what waits, but for what others get ready for, to workers that have so many batches.

        Returns when, and by whom, each batch will have been done.
        """
        given = []
        kept = self._started - self._ready if tasks else 0
        while len(self.waiting) > kept and self._open[tasks]:
            worker = next(iter(self._open[tasks]))
            del self._open[tasks][worker]
            if tasks + 1 < AT_A_WORKER:
                self._open[tasks + 1][worker] = None
            task = self.waiting.popleft()
            self._free[worker] = max(self._free[worker], now) + task.seconds
            self.busy += task.seconds
            given.append((self._free[worker], worker, task))
        return given


class _Run:
    """One run, from its first batch to its last."""

    def __init__(self, pieces: Sequence[Piece], groups: Mapping[str, _Group], overhead: Overhead) -> None:
        self._groups, self._overhead = groups, overhead
        self._maker = groups[_place("synth", groups)]
        self._jobs = deque(piece for piece in pieces if piece.made is not None)
        self._unheard: dict[str, deque[tuple[float, float]]] = {name: deque() for name in groups}
        self._events: list[tuple[float, int, str, int, _Task | None]] = []
        self._count = 0
        self._most = MOST_JOBS
        for piece in pieces:
            if piece.made is None:
                self._ask(piece)

    def play(self, clock: float) -> float:
        """When it is over that began at `clock`."""
        driver = clock
        self._hand_out(driver)
        while self._events:
            now, _, name, worker, task = heapq.heappop(self._events)
            group = self._groups[name]
            driver = max(driver, now)
            if task is None:
                group.ready(worker, now)
            else:
                group.released(worker)
                if len(task.made) == self._most and task.seconds < QUICK:
                    self._most = min(2 * self._most, MOST_QUICK_JOBS)
                driver += self._overhead.driver * (len(task.made) + task.heard)
                for piece in task.made:
                    self._ask(piece)
            self._hand_out(driver)
        return driver

    def _ask(self, piece: Piece) -> None:
        together: dict[str, float] = {}
        for spec, seconds in piece.heard:
            name = _place(spec, self._groups)
            together[name] = together.get(name, 0.0) + seconds
        for name, seconds in together.items():
            self._unheard[name].append((seconds + self._overhead.heard, piece.audio_seconds))

    def _hand_out(self, now: float) -> None:
        for name, waiting in self._unheard.items():
            group = self._groups[name]
            while waiting and group.has_room:
                most = min(max(MOST_HEARD, self._most), math.ceil(len(waiting) / group.actors))
                batch = next(batched_by_seconds(waiting, lambda item: item[1], MOST_HEARD_SECONDS, most))
                for _ in batch:
                    waiting.popleft()
                task = _Task(sum(seconds for seconds, _ in batch) + self._overhead.batch, heard=len(batch))
                group.waiting.insert(sum(bool(other.heard) for other in group.waiting), task)
                group.in_flight += 1
        maker = self._maker
        while self._jobs and maker.has_room and sum(map(len, self._unheard.values())) < MOST_WAITING:
            size = min(self._most, math.ceil(len(self._jobs) / (AT_A_WORKER * maker.actors)))
            made = [self._jobs.popleft() for _ in range(size)]
            seconds = sum((piece.made or 0.0) + self._overhead.made for piece in made)
            maker.waiting.append(_Task(seconds + self._overhead.batch, made=made))
            maker.in_flight += 1
        for name, group in self._groups.items():
            for tasks in range(AT_A_WORKER):
                for done, worker, task in group.hand_out(tasks, now):
                    self._add(done, name, worker, task)
                for worker in group.start():
                    self._add(now + self._overhead.loading, name, worker, None)

    def _add(self, time: float, name: str, worker: int, task: _Task | None) -> None:
        self._count += 1
        heapq.heappush(self._events, (time, self._count, name, worker, task))


def _hearings(piece: Piece, groups: Mapping[str, _Group]) -> int:
    return len({_place(spec, groups) for spec, _ in piece.heard})


def _place(stage: str, groups: Mapping[str, _Group]) -> str:
    """The group that does a stage; of one that nobody was planned for, whoever speaks."""
    wanted = (group_of(stage, groups), group_of("synth", groups), *groups)
    return next(name for name in wanted if name in groups)
