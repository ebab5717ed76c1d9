"""Progress for programs and log files: JSON objects on standard error, one a line.

    {"phase": "generate", "done": 128, "total": 768, "waiting": 0, "per_second": 4.2, "seconds_left": 152.4}

Asked for, at most one a second and phase. Where standard error is no terminal and nobody asked, one every ten seconds
and phase, so that a log shows that a long run goes on and a short one leaves nothing there. The rate is that of the
time since the phase's line before, so that what was there already does not flatter it; in its last line, of all.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from enum import StrEnum

from tts_eval.cli.progress import Bars

SECONDS_BETWEEN, SECONDS_BETWEEN_UNASKED = 1.0, 10.0


class ProgressKind(StrEnum):
    """How progress is shown."""

    BARS = "bars"
    JSON = "json"


@dataclass(slots=True)
class _Phase:
    total: int
    started: float
    said: float
    """When it was last said how far it is, or when it began."""
    done: int = 0
    done_when_said: int = 0
    waiting: int = 0


class Lines(Bars):
    """Bars as lines."""

    def __init__(self, seconds_between: float = SECONDS_BETWEEN, *, asked: bool = True) -> None:
        """Say nothing yet.

        Args:
            seconds_between: Between the lines of one phase.
            asked: Whether a phase that is over before its time has a line too.
        """
        super().__init__(visible=False)
        self._between, self._asked = seconds_between, asked
        self._phases: dict[str, _Phase] = {}

    def start(self, phase: str, total: int) -> None:
        """Begin to count a phase; one of that name begins anew."""
        super().start(phase, total)
        now = time.monotonic()
        self._phases[phase] = _Phase(total, started=now, said=now)

    def advance(self, phase: str, amount: int) -> None:
        """Count, and say so when it is time or the phase is over."""
        super().advance(phase, amount)
        known = self._phases[phase]
        known.done += amount
        is_over = known.done >= known.total and (self._asked or known.done_when_said)
        if amount and (is_over or time.monotonic() - known.said >= self._between):
            self._say(phase, known)

    def waiting(self, phase: str, items: int) -> None:
        """Remember how long the queue is; the phase's next line says it, after a while even if nothing is done."""
        known = self._phases[phase]
        known.waiting = items
        if known.done < known.total and time.monotonic() - known.said >= SECONDS_BETWEEN_UNASKED:
            self._say(phase, known)

    def _say(self, phase: str, known: _Phase) -> None:
        now, left = time.monotonic(), known.total - known.done
        since, done = (known.said, known.done - known.done_when_said) if left else (known.started, known.done)
        rate = done / max(now - since, 1e-9)
        known.said, known.done_when_said = now, known.done
        line = {
            "phase": phase,
            "done": known.done,
            "total": known.total,
            "waiting": known.waiting,
            "per_second": round(rate, 3),
            "seconds_left": round(left / rate, 1) if rate else None,
        }
        sys.stderr.write(json.dumps(line, ensure_ascii=False) + "\n")
        sys.stderr.flush()


def show(kind: ProgressKind = ProgressKind.BARS) -> Bars:
    """Whoever shows progress in that way; a context manager."""
    if kind is ProgressKind.JSON:
        return Lines()
    return Bars() if sys.stderr.isatty() else Lines(SECONDS_BETWEEN_UNASKED, asked=False)
