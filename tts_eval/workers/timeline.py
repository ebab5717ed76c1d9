"""What each worker did when, in the form that chrome://tracing and ui.perfetto.dev show.

One event per batch, so that it costs nothing per item. Times are the workers' own clocks.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from tts_eval.errors import StoreError
from tts_eval.files import write_text_atomically

FILE = "timeline.json"
LOADING = "get ready"
"""What a worker does from its start until its models are loaded."""
LOST = "lost"


class Span(NamedTuple):
    """A stretch of a worker's time."""

    group: str
    worker: str
    work: str
    started: float
    """Seconds since 1970."""
    seconds: float
    items: int


class Timeline:
    """The workers' times since they were started."""

    def __init__(self) -> None:
        self._spans: list[Span] = []

    def add(self, span: Span) -> None:
        """Note something that has been done."""
        self._spans.append(span)

    def write(self, folder: Path) -> None:
        """Write what there is into a folder; nothing where nobody did more than get ready.

        Raises:
            StoreError: it cannot be written.
        """
        if any(span.items for span in self._spans):
            write_text_atomically(folder / FILE, json.dumps(self.as_json()) + "\n")

    def as_json(self) -> dict[str, Any]:
        """Chrome's trace event format: a process for each group, a thread for each worker, microseconds."""
        groups = {name: number for number, name in enumerate(dict.fromkeys(span.group for span in self._spans))}
        workers = {name: number for number, name in enumerate(dict.fromkeys(span.worker for span in self._spans))}
        start = min((span.started for span in self._spans), default=0.0)
        names = [_name("process_name", number, 0, name) for name, number in groups.items()]
        threads = {span.worker: span.group for span in self._spans}
        names += [_name("thread_name", groups[group], workers[name], name) for name, group in threads.items()]
        events = [
            {
                "name": span.work,
                "ph": "X",
                "pid": groups[span.group],
                "tid": workers[span.worker],
                "ts": round((span.started - start) * 1e6),
                "dur": round(span.seconds * 1e6),
                "args": {"items": span.items},
            }
            for span in sorted(self._spans, key=lambda span: span.started)
        ]
        return {"traceEvents": [*names, *events], "otherData": {"start": start}}


def _name(kind: str, process: int, thread: int, name: str) -> dict[str, Any]:
    return {"name": kind, "ph": "M", "pid": process, "tid": thread, "args": {"name": name}}


def loading_seconds(folder: Path) -> list[float]:
    """How long each worker of the timeline in a folder took to get ready; nothing where there is no timeline.

    Raises:
        StoreError: the file is damaged.
    """
    path = folder / FILE
    if not path.exists():
        return []
    try:
        events = json.loads(path.read_text(encoding="utf-8"))["traceEvents"]
        found: dict[int, float] = {}
        for event in events:
            if event["name"] == LOADING:
                found[event["tid"]] = found.get(event["tid"], 0.0) + event["dur"] / 1e6
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise StoreError(f"{path} is no timeline ({error}). Delete it; the run's results do not need it.") from error
    return list(found.values())
