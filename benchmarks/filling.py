"""Workers make and judge what a run lacks; this process tells them what, and writes down what they say.

    request -> jobs -> row, stored -> verifiers -> rows, stored -> ... -> nothing is pending

Everything is known by its key and drawn from its seed, so it does not matter who makes what, in which order or
how often: the run store ends up with what a serial run would have put there. Only rows pass through here, in
bounded number; they are written every two seconds, which is what a kill of this process can cost.
"""

from __future__ import annotations

import logging
import math
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from benchmarks.lacking import Lacking
from benchmarks.pending import Pending, Place
from benchmarks.recorder import Recorder
from benchmarks.stage import Made, SearchOrder, ToSearch
from tts_eval.errors import DataError
from tts_eval.execution import batched_by_seconds
from tts_eval.interrupts import Patience
from tts_eval.manifest import RequestRecord
from tts_eval.records import candidate_row, score_row
from tts_eval.store import Row, RunStore
from tts_eval.synthesizers.failed import failed_candidate
from tts_eval.types import Failure, FailureKind, Job, Request, Score
from tts_eval.workers.crew import AT_A_WORKER, Crew, Group, Outcome
from tts_eval.workers.resources import group_of
from tts_eval.workers.task import Task

logger = logging.getLogger(__name__)

MOST_JOBS, MOST_QUICK_JOBS, QUICK = 16, 256, 0.5
"""Candidates that a worker is given to make at a time, as in a serial run; of a model that is done with them within
so many seconds twice as many next time, up to a limit."""
MOST_HEARD, MOST_HEARD_SECONDS = 64, 640.0
"""Clips and audio that a worker is given to judge at a time; what is made quickly is heard in larger batches."""
MOST_WAITING = 1024
"""Candidates that may wait to be heard before no more are made."""
ATTEMPTS = 2
"""How often a run asks for one thing whose audio gets lost."""


@dataclass(slots=True, eq=False)
class _Open:
    """A request that something is still missing of."""

    record: RequestRecord
    places: list[Place]
    outstanding: int = 0
    """Candidates and judgements that workers have been, or will be, asked for."""
    heard: Counter[str] = field(default_factory=Counter)
    """What the progress of each phase has counted."""
    attempts: Counter[str] = field(default_factory=Counter)
    """How often each thing was asked for, by key."""
    truth_is_asked: bool = False


class Filling:
    """One run being completed by a crew."""

    def __init__(self, lacking: Lacking, crew: Crew, shares: Sequence[str]) -> None:
        self._run, self._crew, self._shares = lacking, crew, shares
        self._folder = str(lacking.store.folder.resolve())
        self._pending = Pending(lacking.store, lacking.manifest, lacking.rule)
        self._recorder = Recorder(lacking.store)
        self._open: dict[str, _Open] = {}
        self._jobs: deque[Place] = deque()
        self._searches: deque[str] = deque()
        self._unheard: dict[tuple[str, tuple[str, ...]], deque[tuple[Request, Row]]] = defaultdict(deque)
        self._recordings: dict[tuple[str, tuple[str, ...]], deque[Request]] = defaultdict(deque)
        self._known: dict[str, Made] = {}
        self._unplanned = 0
        self._most = MOST_JOBS
        manifest = lacking.manifest
        self._order = SearchOrder(self._folder, manifest, lacking.rule, lacking.then)
        self._labels = {
            **{spec: f"select {spec}" for spec in manifest.searching},
            **{spec: f"judge {spec}" for spec in self._pending.judging if spec not in self._pending.selecting},
        }

    def fill(self) -> None:
        """Have everything made and judged that is missing.

        Raises:
            KeyboardInterrupt: somebody wants it to end; what was under way has been finished and stored.
            StoreError: the run folder is full, or cannot be written.
            TTSEvalError: a worker cannot go on.
        """
        records = self._records()
        with self._recorder, Patience() as patience:
            while True:
                if patience.is_over:
                    self._crew.drop_waiting()
                    if not self._crew.in_flight:
                        raise KeyboardInterrupt
                else:
                    self._hand_out(records)
                    if not self._crew.in_flight:
                        break
                for outcome in self._crew.wait(0.5):
                    self._take(outcome)
                self._recorder.write_if_due()
                self._show_waiting()
        logger.debug("the workers have nothing left to do")

    def _records(self) -> Iterator[RequestRecord]:
        self._start_phases()
        self._unplanned = len(self._run.requests)
        if not self._pending.is_whole:
            self._known = _by_request(self._run.store)
        for request in self._run.requests:
            self._unplanned -= 1
            yield RequestRecord.of(request)

    def _start_phases(self) -> None:
        count, progress = len(self._run.requests), self._run.progress
        truths = sum(request.ground_truth is not None for request in self._run.requests)
        progress.start("generate", count * self._pending.pool)
        for spec, label in self._labels.items():
            progress.start(label, count * self._expected(spec) + truths)

    def _expected(self, spec: str) -> int:
        return self._pending.selecting.get(spec, self._pending.pool)

    # Handing out -----------------------------------------------------------------------------------------------

    def _hand_out(self, records: Iterator[RequestRecord]) -> None:
        """Give every group as much as keeps its workers busy; judging first, so that little lies about."""
        for (name, specs), waiting in self._unheard.items():
            group = self._crew.groups[name]
            while waiting and _has_room(group):
                self._submit(
                    group,
                    "judge",
                    _batch(waiting, group, max(MOST_HEARD, self._most)),
                    (specs, self._folder),
                    urgent=True,
                )
        for (name, specs), requests in self._recordings.items():
            group = self._crew.groups[name]
            while requests and _has_room(group):
                items = [requests.popleft() for _ in range(min(len(requests), MOST_JOBS))]
                self._submit(group, "judge_recordings", items, (specs,))
        group = self._crew.groups[self._group("synth")]
        while _has_room(group) and sum(map(len, self._unheard.values())) < MOST_WAITING:
            self._plan_for(group, records)
            if self._searches:
                size = _shrinking(len(self._searches) + self._unplanned, MOST_JOBS, group)
                ids = [self._searches.popleft() for _ in range(min(size, len(self._searches)))]
                self._submit(group, "search", [self._to_search(id) for id in ids], (self._order,))
            elif self._jobs:
                left = len(self._jobs) + self._unplanned * self._pending.pool
                size = _shrinking(left, self._most, group)
                places = [self._jobs.popleft() for _ in range(min(size, len(self._jobs)))]
                spec = self._run.manifest.config.synth
                self._submit(group, "generate", [place.job for place in places], (spec, self._folder))
            else:
                break

    def _plan_for(self, group: Group, records: Iterator[RequestRecord]) -> None:
        """See what is missing of further requests, until there is a batch to hand out."""
        while len(self._jobs) + len(self._searches) < self._most and (record := next(records, None)) is not None:
            entry = _Open(record, self._pending.places(record))
            self._open[record.request.id] = entry
            self._run.progress.advance("generate", sum(map(self._has, entry.places)))
            self._continue(entry)

    def _has(self, place: Place) -> bool:
        return self._pending.row(place.key) is not None

    def _continue(self, entry: _Open) -> None:
        """Ask for what is missing of a request; nothing is, and it is done with."""
        record = entry.record
        missing = [place for place in entry.places if not self._has(place) and _may_ask(entry, place.key)]
        entry.outstanding += len(missing)
        if self._pending.is_whole:
            self._jobs.extend(missing)
        else:
            self._searches.extend(place.job.request.id for place in missing)
        rows = [self._pending.row(place.key) for place in entry.places]
        for row, specs in self._pending.unheard(record, rows):
            self._ask(entry, row, specs)
        if not entry.truth_is_asked:
            entry.truth_is_asked = True
            for name, specs in self._grouped(self._pending.unheard_truth(record)).items():
                self._recordings[name, specs].append(record.request)
                entry.outstanding += 1
        if not entry.outstanding:
            self._finish(entry)

    def _ask(self, entry: _Open, row: Row, specs: Sequence[str]) -> None:
        """Have a candidate heard by these verifiers."""
        keys = {spec: self._pending.key(spec, entry.record.reference_digest, row["audio_sha256"]) for spec in specs}
        wanted = [spec for spec in specs if _may_ask(entry, f"{row['key']} {keys[spec]}")]
        for name, together in self._grouped(wanted).items():
            self._unheard[name, together].append((entry.record.request, row))
            entry.outstanding += 1

    def _grouped(self, specs: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """The verifiers by the group that has them: one worker hears a clip for all of its own."""
        groups: dict[str, list[str]] = {}
        for spec in specs:
            groups.setdefault(self._group(spec), []).append(spec)
        return {name: tuple(together) for name, together in groups.items()}

    def _group(self, stage: str) -> str:
        name = group_of(stage, self._shares)
        return name if name in self._crew.groups else group_of("synth", self._shares)

    def _submit(
        self, group: Group, method: str, items: Sequence[Any], context: tuple[Any, ...], urgent: bool = False
    ) -> None:
        group.submit(Task(method=method, items=items, context=context, urgent=urgent))

    def _to_search(self, id: str) -> ToSearch:
        return ToSearch(self._open[id].record.request, self._known.get(id, Made([], [])))

    # Taking in -------------------------------------------------------------------------------------------------

    def _take(self, outcome: Outcome) -> None:
        task = outcome.task
        if task.method == "generate" and len(task.items) == self._most and outcome.seconds < QUICK:
            self._most = min(2 * self._most, MOST_QUICK_JOBS)
        takers: dict[str, Callable[[Any, Any], None]] = {
            "generate": self._take_generated,
            "search": self._take_searched,
            "judge": partial(self._take_judged, specs=task.context[0]),
            "judge_recordings": partial(self._take_recording, specs=task.context[0]),
        }
        results = outcome.results if outcome.results is not None else [outcome.reason]
        for item, result in zip(task.items, results, strict=True):
            takers[task.method](item, result)

    def _take_generated(self, job: Job, made: Made | str) -> None:
        entry = self._open[job.request.id]
        key = entry.places[job.index].key
        self._take_candidate(entry, key, made if isinstance(made, Made) else self._failed(key, job, made))

    def _take_searched(self, item: ToSearch, made: Made | str) -> None:
        entry = self._open[item.request.id]
        (place,) = entry.places
        made = made if isinstance(made, Made) else self._failed(place.key, place.job, made)
        self._take_candidate(entry, place.key, made)

    def _failed(self, key: str, job: Job, reason: str) -> Made:
        message = f"every worker that tried '{job.request.id}' #{job.index} was lost: {reason}"
        failed = failed_candidate(job, FailureKind.SYNTHESIS, message)
        return Made([candidate_row(key, job.request.id, self._run.synthesizer, failed, "")], [])

    def _take_candidate(self, entry: _Open, key: str, made: Made) -> None:
        id = entry.record.request.id
        row = next((row for row in made.candidates if row["key"] == key), None)
        if row is None:
            raise DataError(
                f"A worker read another request '{id}' than this process did, or runs another version of the model. "
                "See that all nodes have the same data at the same paths, and the same packages."
            )
        self._recorder.add(made)
        entry.outstanding -= 1
        self._run.progress.advance("generate", 1)
        if specs := self._pending.unheard_at_first(entry.record, row):
            self._ask(entry, row, specs)
        self._go_on(entry)

    def _take_judged(self, item: tuple[Request, Row], made: Made | str | None, specs: Sequence[str]) -> None:
        request, row = item
        entry = self._open[request.id]
        if isinstance(made, str) and len(specs) > 1:  # one of them is what the worker died of
            for spec in specs:
                group = self._crew.groups[self._group(spec)]
                self._submit(group, "judge", [item], ((spec,), self._folder))
            entry.outstanding += len(specs) - 1
            return
        if made is None:
            self._forget(row)
        else:
            self._recorder.add(made if isinstance(made, Made) else self._unjudged(entry, row, specs[0], made))
            self._count(entry, specs)
        entry.outstanding -= 1
        self._go_on(entry)

    def _take_recording(self, request: Request, made: Made | str, specs: Sequence[str]) -> None:
        entry = self._open[request.id]
        if isinstance(made, Made):
            self._recorder.add(made)
        else:
            logger.warning("the recording of '%s' is not judged by %s: %s", request.id, ", ".join(specs), made)
        self._count(entry, specs)
        entry.outstanding -= 1
        self._go_on(entry)

    def _unjudged(self, entry: _Open, row: Row, spec: str, reason: str) -> Made:
        verifier, request = self._run.verifiers[spec], entry.record.request
        message = f"every worker that judged '{request.id}' #{row['index']} was lost: {reason}"
        failure = Failure(FailureKind.VERIFIER, message)
        score = Score(verifier=verifier.name, judge=verifier.judge, value=None, failure=failure)
        key = self._pending.key(spec, entry.record.reference_digest, row["audio_sha256"])
        return Made([], [score_row(key, request.id, row["index"], verifier, score)])

    def _forget(self, row: Row) -> None:
        """A candidate whose audio cannot be read: without the file it is missing, now and for later runs."""
        (self._run.store.folder / row["audio"]).unlink(missing_ok=True)
        self._run.store.candidates.pop(row["key"], None)
        self._run.store.fresh.discard(row["key"])

    def _go_on(self, entry: _Open) -> None:
        if not entry.outstanding:
            self._continue(entry)

    def _count(self, entry: _Open, specs: Iterable[str]) -> None:
        for spec in specs:
            entry.heard[spec] += 1
            self._run.progress.advance(self._labels[spec], 1)

    def _finish(self, entry: _Open) -> None:
        """Nothing is missing of a request: count what needed no worker, and let it go."""
        record = entry.record
        truth = int(record.request.ground_truth is not None)
        for spec, label in self._labels.items():
            self._run.progress.advance(label, max(self._expected(spec) + truth - entry.heard[spec], 0))
        del self._open[record.request.id]

    def _show_waiting(self) -> None:
        waiting: Counter[str] = Counter()
        for (_, specs), items in self._unheard.items():
            for spec in specs:
                waiting[spec] += len(items)
        for spec, label in self._labels.items():
            self._run.progress.waiting(label, waiting[spec])


def _may_ask(entry: _Open, key: str) -> bool:
    entry.attempts[key] += 1
    return entry.attempts[key] <= ATTEMPTS


def _has_room(group: Group) -> bool:
    """Whether its workers could do with more."""
    return group.in_flight < group.share.actors * AT_A_WORKER


def _shrinking(left: int, most: int, group: Group) -> int:
    """Jobs of the next batch: fewer towards the end, so that the workers finish together."""
    return min(most, max(math.ceil(left / (AT_A_WORKER * group.share.actors)), 1))


def _batch(waiting: deque[tuple[Request, Row]], group: Group, most: int) -> list[tuple[Request, Row]]:
    """What a worker hears next, taken from the front."""
    most = min(most, max(math.ceil(len(waiting) / group.share.actors), 1))
    first = next(batched_by_seconds(waiting, lambda item: item[1]["audio_seconds"], MOST_HEARD_SECONDS, most))
    for _ in first:
        waiting.popleft()
    return first


def _by_request(store: RunStore) -> dict[str, Made]:
    """What is stored already, by request: searches go on from it."""
    known: dict[str, Made] = {}
    for row in store.candidates.values():
        known.setdefault(row["request_id"], Made([], [])).candidates.append(row)
    for row in store.scores.values():
        known.setdefault(row["request_id"], Made([], [])).scores.append(row)
    return known
