"""A batch of work, and what becomes of it when the worker that had it dies.

    once more, whole -> in halves -> until the culprit stands alone -> once more -> without it

The same policy as `tts_eval.execution.isolate`, for what no process survives. An item is blamed only after two
workers died with it alone, as a worker may also die because somebody else took all the memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

TRIES = 2
"""Workers that may die of one batch before it is halved, or of one item before it is given up."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Task:
    """One call of a worker: `method(items, *context)`, which gives one result per item."""

    method: str
    items: Sequence[Any]
    context: tuple[Any, ...] = ()
    urgent: bool = False
    """Whether it goes before what waits already: what finishes things before what begins others."""
    team: int | None = None
    """Who is to do it, where that matters; see `tts_eval.workers.teams`."""
    tries: int = 0
    """Workers that died with it."""

    def after_death(self) -> list[Task]:
        """What is to be tried in its place; nothing when its only item has had its tries."""
        tried = replace(self, tries=self.tries + 1)
        if tried.tries < TRIES:
            return [tried]
        if len(self.items) == 1:
            return []
        middle = len(self.items) // 2
        # Half a batch has been tried as part of the whole one; one item alone is new to everybody.
        return [
            replace(self, items=part, tries=0 if len(part) == 1 else TRIES - 1)
            for part in (self.items[:middle], self.items[middle:])
        ]


def cause_of_death(error: Exception) -> str:
    """What became of a worker, in a line, from what Ray raised."""
    text = str(error)
    if "running low on memory" in text:
        return "its node ran out of memory"
    if "node has died" in text or "node died" in text:
        return "its node was lost"
    if "ActorUnavailable" in type(error).__name__:
        return "it cannot be reached: its node was lost, or is cut off"
    if "raised in its creation task" in text:
        return f"it could not be made, {text.strip().splitlines()[-1].strip()}; have the same packages on every node"
    if "ActorDied" in type(error).__name__:
        return "its process ended: it was killed, crashed, or ran out of memory"
    return f"{type(error).__name__}: {' '.join(text.split())[:200]}"
