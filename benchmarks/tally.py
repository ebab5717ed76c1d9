"""How far the phases of a run are that workers complete, for whoever watches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from benchmarks.lacking import Lacking
from benchmarks.pending import Pending
from tts_eval.types import Request


class Tally:
    """Counts what is made and heard; a request that needed no worker, or less of one, is counted when it is done."""

    def __init__(self, run: Lacking, pending: Pending) -> None:
        self._progress = run.progress
        self._pending = pending
        heard_alone = [spec for spec in pending.judging if spec not in pending.selecting]
        self._labels = {
            **{spec: f"select {spec}" for spec in pending.selecting},
            **{spec: f"judge {spec}" for spec in heard_alone},
        }
        self._heard: dict[str, Counter[str]] = {}
        truths = sum(request.ground_truth is not None for request in run.requests)
        self._progress.start("generate", len(run.requests) * pending.pool)
        for spec, label in self._labels.items():
            self._progress.start(label, len(run.requests) * self._expected(spec) + truths)

    def _expected(self, spec: str) -> int:
        return self._pending.selecting.get(spec, self._pending.pool)

    def made(self, candidates: int) -> None:
        """So many candidates are there."""
        self._progress.advance("generate", candidates)

    def heard(self, request: Request, specs: Iterable[str]) -> None:
        """These verifiers have heard one more clip of a request."""
        for spec in specs:
            self._heard.setdefault(request.id, Counter())[spec] += 1
            self._progress.advance(self._labels[spec], 1)

    def finished(self, request: Request) -> None:
        """Nothing of a request is missing any more."""
        heard = self._heard.pop(request.id, Counter())
        truth = int(request.ground_truth is not None)
        for spec, label in self._labels.items():
            self._progress.advance(label, max(self._expected(spec) + truth - heard[spec], 0))

    def waiting(self, clips: Mapping[str, int]) -> None:
        """So many clips wait for each verifier."""
        for spec, label in self._labels.items():
            self._progress.waiting(label, clips.get(spec, 0))
