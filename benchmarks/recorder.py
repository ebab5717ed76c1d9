"""Rows on their way to the run store: known at once, written together."""

from __future__ import annotations

import time
from types import TracebackType

from benchmarks.stage import Made
from tts_eval.store import Memory, Row, RunStore

MOST_ROWS, MOST_SECONDS = 4096, 2.0
"""Rows, and their age, that may be unwritten: what a kill of this process can cost."""


class Recorder:
    """Adds rows to `store`; a context manager that leaves nothing unwritten."""

    def __init__(self, store: RunStore) -> None:
        self._store = store
        self._candidates: list[Row] = []
        self._scores: list[Row] = []
        self._written = time.monotonic()

    def __enter__(self) -> Recorder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.write()

    def add(self, made: Made) -> None:
        """Know these rows from now on."""
        Memory.add_candidates(self._store, made.candidates)
        Memory.add_scores(self._store, made.scores)
        self._candidates += made.candidates
        self._scores += made.scores

    def forget(self, row: Row) -> None:
        """Know nothing of a candidate any more; what is not written yet is not going to be."""
        self._store.candidates.pop(row["key"], None)
        self._store.fresh.discard(row["key"])
        self._candidates = [other for other in self._candidates if other["key"] != row["key"]]

    def write_if_due(self) -> None:
        """Write what there is when it is much, or old."""
        rows = len(self._candidates) + len(self._scores)
        if rows >= MOST_ROWS or (rows and time.monotonic() - self._written >= MOST_SECONDS):
            self.write()

    def write(self) -> None:
        """Write what there is: candidates first, so that no score is without one.

        Raises:
            StoreError: the folder is full, or cannot be written.
        """
        candidates, scores = self._candidates, self._scores
        self._candidates, self._scores = [], []
        self._store.add_candidates(candidates)
        self._store.add_scores(scores)
        self._written = time.monotonic()
