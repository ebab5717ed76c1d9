"""What workers do for a run, as metrics of Ray: its dashboard and Prometheus show them while the run goes on.

Counted here once a batch, from what workers answer: not what a run finds in its folder, nor what a guided search hears
on its way. Ray exports them, with `ray_` before their names, where its agent runs (`pip install 'ray[default]'`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from benchmarks.stage import Made
from tts_eval.store import Row
from tts_eval.workers.crew import Outcome

MAKING = "synth"


class _Metrics(NamedTuple):
    made: Any
    heard: Any
    failures: Any
    waiting: Any
    busy: Any


@cache
def _metrics() -> _Metrics:
    """One of each in a process, whatever the number of runs."""
    from ray.util.metrics import Counter, Gauge

    by_stage = ("run", "stage")
    return _Metrics(
        Counter("tts_eval_candidates", "Candidates that workers have made, failed ones too.", by_stage),
        Counter("tts_eval_judgements", "Clips that a verifier has heard.", by_stage),
        Counter("tts_eval_failures", "Candidates and judgements that failed, or were given up.", by_stage),
        Gauge("tts_eval_waiting", "Candidates that nobody has begun, and clips that wait for a verifier.", by_stage),
        Counter("tts_eval_busy_seconds", "Seconds that workers spent on batches.", by_stage),
    )


class Meter:
    """Counts what comes of one run's batches."""

    def __init__(self, run: str) -> None:
        self._run = {"run": run}
        self._metrics = _metrics()

    def count(self, outcome: Outcome) -> None:
        """A batch is over."""
        task, metrics = outcome.task, self._metrics
        made = [result for result in outcome.results or () if isinstance(result, Made)]
        stages: Sequence[str] = (MAKING,)
        if task.method.startswith("judge"):
            stages = task.context[0]
            for position, spec in enumerate(stages):
                self._count(metrics.heard, spec, [row for each in made for row in each.scores[position : position + 1]])
        else:
            self._count(metrics.made, MAKING, [row for each in made for row in each.candidates])
        if outcome.results is None and len(stages) == 1:  # of several, one is to blame: they are tried one by one
            self._add(metrics.failures, stages[0], 1)
        self._add(metrics.busy, " + ".join(stages), outcome.seconds)

    def _count(self, counter: Any, stage: str, rows: Sequence[Row]) -> None:
        self._add(counter, stage, len(rows))
        self._add(self._metrics.failures, stage, sum(bool(row["failure"]) for row in rows))

    def _add(self, counter: Any, stage: str, amount: float) -> None:
        if amount > 0:  # Ray refuses to count nothing
            counter.inc(amount, self._tags(stage))

    def waiting(self, items: Mapping[str, int]) -> None:
        """So many candidates and clips wait, by stage."""
        for stage, count in items.items():
            self._metrics.waiting.set(count, self._tags(stage))

    def _tags(self, stage: str) -> dict[str, str]:
        return {**self._run, "stage": stage}
