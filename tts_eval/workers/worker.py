"""One worker: a process of its own with an object in it, whose methods are called with batches.

What the object raises on purpose (`TTSEvalError`) comes back as a value that the driver raises again, with the
node it happened on; what its code logs comes back with the results.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tts_eval import errors
from tts_eval.errors import ConfigError, TTSEvalError
from tts_eval.execution import THREADS_VARIABLE
from tts_eval.registry import load_target
from tts_eval.threads import share_cores
from tts_eval.workers.identity import Identity, identity

PLAIN_ERRORS = ("AudioError", "DataError", "StoreError", "SynthesisError", "UnknownNameError", "WeightsError")


class Note(NamedTuple):
    """A line of a worker's log."""

    level: int
    message: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """A `TTSEvalError`, as it travels."""

    kind: str
    problems: tuple[str, ...]

    @classmethod
    def of(cls, error: TTSEvalError) -> Refusal:
        """The error as a value."""
        return cls(type(error).__name__, error.problems if isinstance(error, ConfigError) else (str(error),))

    def error(self, where: str = "") -> TTSEvalError:
        """The error again; of those that take more than a message to make, the base."""
        problems = [f"{problem} (on {where})" if where else problem for problem in self.problems]
        if self.kind == "ConfigError":
            return ConfigError(problems)
        kind = getattr(errors, self.kind) if self.kind in PLAIN_ERRORS else TTSEvalError
        error: TTSEvalError = kind("\n".join(problems))
        return error


@dataclass(frozen=True, slots=True)
class Reply:
    """What a worker says when a call is over."""

    results: Any = None
    refusal: Refusal | None = None
    notes: tuple[Note, ...] = field(default=())
    seconds: float = 0.0
    """That the call took."""
    started: float = 0.0
    """When it began, in seconds since 1970 by the worker's clock."""


class Worker:
    """The process's side of a crew."""

    def __init__(self, target: str, threads: int, gpus: float) -> None:
        """Make the object that `target` (MODULE:ATTRIBUTE, called without arguments) names.

        Args:
            target: What makes the object.
            threads: Threads that its models may use.
            gpus: GPUs that it was given; of a part of one, PyTorch's memory is bounded to that part.
        """
        limit_threads(threads)
        share_cores()
        if 0.0 < gpus < 1.0:
            _bound_gpu_memory(gpus)
        self._listener = _Listener()
        logging.getLogger().addHandler(self._listener)
        self._object = load_target(target)()

    def identity(self) -> Identity:
        """Which code this process runs; the driver has the same."""
        return identity()

    def call(self, method: str, items: Sequence[Any], context: tuple[Any, ...]) -> Reply:
        """What `method(items, *context)` of the object gives."""
        began, started = time.time(), time.perf_counter()
        try:
            results = getattr(self._object, method)(items, *context)
        except TTSEvalError as error:
            return Reply(refusal=Refusal.of(error), notes=self._listener.take())
        seconds = time.perf_counter() - started
        return Reply(results=results, notes=self._listener.take(), seconds=seconds, started=began)


class _Listener(logging.Handler):
    """Keeps warnings until they are taken."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._notes: list[Note] = []

    def emit(self, record: logging.LogRecord) -> None:
        self._notes.append(Note(record.levelno, record.getMessage()))

    def take(self) -> tuple[Note, ...]:
        notes, self._notes = tuple(self._notes), []
        return notes


def limit_threads(threads: int) -> None:
    """Let models in this process use so many threads; call it before one of their libraries is loaded."""
    for name in (THREADS_VARIABLE, "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = str(threads)


def _bound_gpu_memory(share: float) -> None:
    import torch

    if torch.cuda.is_available():
        torch.cuda.set_per_process_memory_fraction(share)
