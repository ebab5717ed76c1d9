"""What an interrupt (Ctrl-C) means while workers are busy: finish what is under way; a second one stops at once."""

from __future__ import annotations

import signal
import sys
import threading
from types import FrameType, TracebackType
from typing import Any


class Patience:
    """A context manager in which the first interrupt only sets `is_over`.

    Outside the main thread, where signals cannot be handled, it changes nothing.
    """

    def __init__(self) -> None:
        self.is_over = False
        self._before: Any = None

    def __enter__(self) -> Patience:
        if threading.current_thread() is threading.main_thread():
            # None is a handler that is not Python's, which Python cannot put back.
            self._before = signal.signal(signal.SIGINT, self._interrupt) or signal.default_int_handler
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if self.is_over:
            signal.signal(signal.SIGINT, self._before)
            raise KeyboardInterrupt
        self.is_over = True
        sys.stderr.write("\ninterrupted; finishing what is under way - once more to stop at once\n")
