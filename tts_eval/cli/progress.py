"""One bar per phase, with rate and time left, on standard error; and what an interrupt means there."""

from __future__ import annotations

import signal
import sys
from types import FrameType, TracebackType
from typing import Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text


class RateColumn(ProgressColumn):
    """Items per second."""

    def render(self, task: Task) -> Text:
        """The rate so far, once there is one."""
        speed = task.finished_speed or task.speed
        return Text(f"{speed:.1f}/s" if speed else "", style="progress.data.speed")


class Bars:
    """Progress for people; silent where nobody watches a terminal."""

    def __init__(self, *, visible: bool = True) -> None:
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            RateColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            disable=not (visible and sys.stderr.isatty()),
        )
        self._tasks: dict[str, TaskID] = {}
        self._waiting: dict[str, int] = {}
        self._is_interrupted = False
        self._handler_before: Any = None

    def __enter__(self) -> Bars:
        self._handler_before = signal.signal(signal.SIGINT, self._interrupt)
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()
        signal.signal(signal.SIGINT, self._handler_before)
        if kind is KeyboardInterrupt:
            typer.echo("interrupted; what was made is stored - run the same command again to go on", err=True)
            raise typer.Exit(130) from error

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        # An exception that is raised inside a C library's callback (libsndfile's, while it writes) is lost.
        self._is_interrupted = True
        raise KeyboardInterrupt

    def start(self, phase: str, total: int) -> None:
        """Show a bar for a phase; one of that name begins anew."""
        if phase in self._tasks:
            self._bars.reset(self._tasks[phase], total=total)
        else:
            self._tasks[phase] = self._bars.add_task(phase, total=total)

    def advance(self, phase: str, amount: int) -> None:
        """Move a phase's bar."""
        if self._is_interrupted:
            raise KeyboardInterrupt
        self._bars.advance(self._tasks[phase], amount)

    def waiting(self, phase: str, items: int) -> None:
        """Say behind a phase's name how many items have been made and wait for a worker."""
        if self._waiting.get(phase, 0) != items:
            self._waiting[phase] = items
            self._bars.update(self._tasks[phase], description=f"{phase} ({items} waiting)" if items else phase)
