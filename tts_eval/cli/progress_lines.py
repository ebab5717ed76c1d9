"""Progress for programs and log files: one JSON object a line on standard error, at most one a second and phase."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from enum import StrEnum

from tts_eval.cli.progress import Bars

SECONDS_BETWEEN = 1.0


class ProgressKind(StrEnum):
    """How progress is shown."""

    BARS = "bars"
    JSON = "json"


@dataclass(slots=True)
class _Phase:
    total: int
    started: float
    done: int = 0
    waiting: int = 0
    said: float = 0.0


class Lines(Bars):
    """Bars as lines."""

    def __init__(self) -> None:
        super().__init__(visible=False)
        self._phases: dict[str, _Phase] = {}

    def start(self, phase: str, total: int) -> None:
        """Begin to count a phase; one of that name begins anew."""
        super().start(phase, total)
        self._phases[phase] = _Phase(total, time.monotonic())

    def advance(self, phase: str, amount: int) -> None:
        """Count, and say so when it is time or the phase is over."""
        super().advance(phase, amount)
        known = self._phases[phase]
        known.done += amount
        if amount and (known.done >= known.total or time.monotonic() - known.said >= SECONDS_BETWEEN):
            self._say(phase, known)

    def waiting(self, phase: str, items: int) -> None:
        """Remember how long the queue is; the phase's next line says it."""
        self._phases[phase].waiting = items

    def _say(self, phase: str, known: _Phase) -> None:
        known.said = time.monotonic()
        rate = known.done / max(known.said - known.started, 1e-9)
        line = {
            "phase": phase,
            "done": known.done,
            "total": known.total,
            "waiting": known.waiting,
            "per_second": round(rate, 3),
            "seconds_left": round((known.total - known.done) / rate, 1),
        }
        sys.stderr.write(json.dumps(line, ensure_ascii=False) + "\n")
        sys.stderr.flush()


def show(kind: ProgressKind) -> Bars:
    """Whoever shows progress in that way; a context manager."""
    return Lines() if kind is ProgressKind.JSON else Bars()
