"""Workers make and judge what a run lacks; this process tells them what, and writes down what they say.

    request -> jobs -> row, stored -> verifiers -> rows, stored -> ... -> nothing is pending

Everything is known by its key and drawn from its seed, so it does not matter who makes what, in which order or
how often: the run store ends up with what a serial run would have put there. Only rows pass through here, in
bounded number; they are written every two seconds, which is what a kill of this process can cost.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.backlog import Backlog
from benchmarks.lacking import Lacking
from benchmarks.metering import MAKING, Meter
from benchmarks.pending import Pending, Place
from benchmarks.recorder import Recorder
from benchmarks.stage import Made, SearchOrder, ToSearch
from benchmarks.tally import Tally
from tts_eval.errors import DataError
from tts_eval.interrupts import Patience
from tts_eval.manifest import RequestRecord
from tts_eval.records import candidate_row, score_row
from tts_eval.store import Row, RunStore
from tts_eval.synthesizers.failed import failed_candidate
from tts_eval.types import Failure, FailureKind, Job, Request, Score
from tts_eval.workers.crew import Crew, Outcome

logger = logging.getLogger(__name__)

ATTEMPTS = 2
"""How often a run asks for one thing whose audio gets lost."""


@dataclass(slots=True, eq=False)
class _Open:
    """A request that something is still missing of."""

    record: RequestRecord
    places: list[Place]
    outstanding: int = 0
    """Candidates and judgements that workers have been, or will be, asked for."""
    attempts: Counter[str] = field(default_factory=Counter)
    """How often each thing was asked for, by key."""
    truth_is_asked: bool = False
    made_by: dict[str, int] = field(default_factory=dict)
    """Teams that made candidates just now, by the candidate's key."""

    def may_ask(self, key: str) -> bool:
        """Whether a thing has not been asked for too often; counts the asking."""
        self.attempts[key] += 1
        return self.attempts[key] <= ATTEMPTS


class Filling:
    """One run being completed by a crew."""

    def __init__(self, lacking: Lacking, crew: Crew, shares: Sequence[str]) -> None:
        self._run, self._crew = lacking, crew
        order = SearchOrder(str(lacking.store.folder.resolve()), lacking.manifest, lacking.rule, lacking.then)
        self._backlog = Backlog(crew, shares, order)
        self._pending = Pending(lacking.store, lacking.manifest, lacking.rule)
        self._recorder = Recorder(lacking.store)
        self._tally = Tally(lacking, self._pending)
        self._meter = Meter(lacking.store.folder.resolve().name)
        self._open: dict[str, _Open] = {}
        self._known = {} if self._pending.is_whole else _by_request(lacking.store)
        self._unplanned = len(lacking.requests)

    def fill(self) -> None:
        """Have everything made and judged that is missing.

        Raises:
            KeyboardInterrupt: somebody wants it to end; what was under way has been finished and stored.
            StoreError: the run folder is full, or cannot be written.
            TTSEvalError: a worker cannot go on.
        """
        try:
            with self._recorder, Patience() as patience:
                self._fill(patience)
        except BaseException:
            self._crew.abandon()  # the next cell of a sweep has other work for it
            raise

    def _fill(self, patience: Patience) -> None:
        records = (RequestRecord.of(request) for request in self._run.requests)
        while True:
            if patience.is_over:
                self._crew.drop_waiting()
                if not self._crew.in_flight:
                    raise KeyboardInterrupt
            else:
                self._backlog.hand_out(partial(self._plan, records))
                if not self._crew.in_flight:
                    break
            for outcome in self._crew.wait(0.5):
                self._backlog.learn(outcome)
                self._meter.count(outcome)
                self._take(outcome)
            self._recorder.write_if_due()
            self._tally.waiting(self._backlog.clips)
            to_make = self._unplanned * self._pending.pool + self._backlog.to_make
            self._meter.waiting({MAKING: to_make, **self._backlog.clips})

    def _plan(self, records: Iterator[RequestRecord], wanted: int) -> int:
        """See what is missing of further requests, until so much is to be made; returns what is to come at most."""
        while self._backlog.to_make < wanted and (record := next(records, None)) is not None:
            self._unplanned -= 1
            entry = _Open(record, self._pending.places(record))
            self._open[record.request.id] = entry
            self._tally.made(sum(self._pending.row(place.key) is not None for place in entry.places))
            self._continue(entry)
        return self._unplanned * self._pending.pool

    def _continue(self, entry: _Open) -> None:
        """Ask for what is missing of a request; if nothing is, it is done with."""
        record = entry.record
        rows = [self._pending.row(place.key) for place in entry.places]
        missing = [
            place for place, row in zip(entry.places, rows, strict=True) if row is None and entry.may_ask(place.key)
        ]
        entry.outstanding += len(missing)
        if self._pending.is_whole:
            self._backlog.add_jobs(missing)
        elif missing:
            known = self._known.get(record.request.id, Made([], []))
            self._backlog.add_search(ToSearch(record.request, known))
        for row, specs in self._pending.unheard(record, rows):
            self._ask(entry, row, specs)
        if not entry.truth_is_asked:
            entry.truth_is_asked = True
            entry.outstanding += self._backlog.add_recording(record.request, self._pending.unheard_truth(record))
        if not entry.outstanding:
            self._tally.finished(record.request)
            del self._open[record.request.id]

    def _ask(self, entry: _Open, row: Row, specs: Sequence[str]) -> None:
        """Have a candidate heard by these verifiers."""
        keys = {spec: self._pending.key(spec, entry.record.reference_digest, row["audio_sha256"]) for spec in specs}
        wanted = [spec for spec in specs if entry.may_ask(f"{row['key']} {keys[spec]}")]
        entry.outstanding += self._backlog.add_clip(entry.record.request, row, wanted, entry.made_by.get(row["key"]))

    def _take(self, outcome: Outcome) -> None:
        task = outcome.task
        takers: dict[str, Callable[[Any, Any], None]] = {
            "generate": partial(self._take_generated, team=outcome.team),
            "search": partial(self._take_searched, team=outcome.team),
            "judge": partial(self._take_judged, specs=task.context[0]),
            "judge_recordings": partial(self._take_recording, specs=task.context[0]),
        }
        results = outcome.results if outcome.results is not None else [outcome.reason]
        for item, result in zip(task.items, results, strict=True):
            takers[task.method](item, result)

    def _take_generated(self, job: Job, made: Made | str, team: int | None) -> None:
        entry = self._open[job.request.id]
        self._take_candidate(entry, entry.places[job.index], made, team)

    def _take_searched(self, item: ToSearch, made: Made | str, team: int | None) -> None:
        entry = self._open[item.request.id]
        self._take_candidate(entry, entry.places[0], made, team)

    def _take_candidate(self, entry: _Open, place: Place, made: Made | str, team: int | None) -> None:
        id = entry.record.request.id
        made = made if isinstance(made, Made) else self._unmade(place, made)
        row = next((row for row in made.candidates if row["key"] == place.key), None)
        if row is None:
            raise DataError(
                f"A worker read another request '{id}' than this process did, or runs another version of the model. "
                "See that all nodes have the same data at the same paths, and the same packages."
            )
        self._recorder.add(made)
        self._tally.made(1)
        if team is not None:
            entry.made_by[place.key] = team
        if specs := self._pending.unheard_at_first(entry.record, row):
            self._ask(entry, row, specs)
        self._settle(entry)

    def _take_judged(self, item: tuple[Request, Row], made: Made | str | None, specs: Sequence[str]) -> None:
        request, row = item
        entry = self._open[request.id]
        if made is None:
            self._forget(row)
        elif isinstance(made, Made):
            self._recorder.add(made)
            self._tally.heard(request, specs)
        elif len(specs) > 1:  # one of them is what the worker died of
            team = entry.made_by.get(row["key"])
            entry.outstanding += sum(self._backlog.add_clip(request, row, [spec], team) for spec in specs)
        else:
            self._recorder.add(self._unjudged(entry, row, specs[0], made))
            self._tally.heard(request, specs)
        self._settle(entry)

    def _take_recording(self, request: Request, made: Made | str, specs: Sequence[str]) -> None:
        if isinstance(made, Made):
            self._recorder.add(made)
        else:
            logger.warning("the recording of '%s' is not judged by %s: %s", request.id, ", ".join(specs), made)
        self._tally.heard(request, specs)
        self._settle(self._open[request.id])

    def _settle(self, entry: _Open) -> None:
        """One thing that was asked for is there; after the last one it shows whether there is more to ask."""
        entry.outstanding -= 1
        if not entry.outstanding:
            self._continue(entry)

    def _unmade(self, place: Place, reason: str) -> Made:
        job = place.job
        message = f"every worker that tried '{job.request.id}' #{job.index} was lost: {reason}"
        failed = failed_candidate(job, FailureKind.SYNTHESIS, message)
        return Made([candidate_row(place.key, job.request.id, self._run.synthesizer, failed, "")], [])

    def _unjudged(self, entry: _Open, row: Row, spec: str, reason: str) -> Made:
        verifier, request = self._run.verifiers[spec], entry.record.request
        message = f"every worker that judged '{request.id}' #{row['index']} was lost: {reason}"
        failure = Failure(FailureKind.VERIFIER, message)
        score = Score(verifier=verifier.name, judge=verifier.judge, value=None, failure=failure)
        key = self._pending.key(spec, entry.record.reference_digest, row["audio_sha256"])
        return Made([], [score_row(key, request.id, row["index"], verifier, score)])

    def _forget(self, row: Row) -> None:
        """A candidate whose audio cannot be read: without the file it is missing, now and for later runs."""
        delete_audio(self._run.store.folder, row["audio"])
        self._recorder.forget(row)


def delete_audio(folder: Path, audio: str) -> None:
    """Delete a file of the run in a folder; one that lies elsewhere, whatever a row of somebody's run says, is left."""
    path = (folder / audio).resolve()
    if path.is_file() and path.is_relative_to(folder.resolve()):
        path.unlink(missing_ok=True)


def _by_request(store: RunStore) -> dict[str, Made]:
    """What is stored already, by request: searches go on from it."""
    known: dict[str, Made] = {}
    for row in store.candidates.values():
        known.setdefault(row["request_id"], Made([], [])).candidates.append(row)
    for row in store.scores.values():
        known.setdefault(row["request_id"], Made([], [])).scores.append(row)
    return known
