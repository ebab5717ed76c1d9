"""Running batches, and keeping one bad item from taking the others with it.

An executor maps a function over batches and yields results as they come; `SerialExecutor` does so
in this process. `isolate` is the failure policy that generation and verification share.
"""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Generic, NamedTuple, Protocol, TypeVar

from tts_eval.errors import StoreError

T = TypeVar("T")
R = TypeVar("R")
logger = logging.getLogger(__name__)


THREADS_VARIABLE = "TTS_EVAL_THREADS"
"""Cores that models may use, where that is less than there are: several workers share a machine."""


def available_cores() -> int:
    """Cores that this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    told = os.environ.get(THREADS_VARIABLE, "")
    return min(cores, max(int(told), 1)) if told.isdecimal() else cores


class Executor(Protocol):
    """Runs a function over batches."""

    def map(
        self, function: Callable[[Sequence[T]], Sequence[R]], batches: Iterable[Sequence[T]]
    ) -> Iterator[tuple[Sequence[T], Sequence[R]]]:
        """Yield (batch, results) as batches finish."""
        ...


class SerialExecutor:
    """One batch after the other, in this process."""

    def map(
        self, function: Callable[[Sequence[T]], Sequence[R]], batches: Iterable[Sequence[T]]
    ) -> Iterator[tuple[Sequence[T], Sequence[R]]]:
        """Yield (batch, results) in order."""
        for batch in batches:
            yield batch, function(batch)


def batched(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """`items` in runs of `size`; the last one may be shorter."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def batched_by_seconds(
    items: Iterable[T], seconds: Callable[[T], float], most_seconds: float, most: float = math.inf
) -> Iterator[list[T]]:
    """`items` in order, in runs of at most `most` items and `most_seconds` together; a longer item comes alone.

    What is given as an iterator is taken as it is needed, one item ahead of the run: memory then follows
    the audio in it, not the number of clips.
    """
    batch: list[T] = []
    total = 0.0
    for item in items:
        length = seconds(item)
        if batch and (len(batch) >= most or total + length > most_seconds):
            yield batch
            batch, total = [], 0.0
        batch.append(item)
        total += length
    if batch:
        yield batch


def batched_by_length(lengths: Sequence[int], most: int) -> Iterator[list[int]]:
    """Indices in runs of similar length, of which none is longer than `most` with its padding.

    An item that is longer than that comes alone.
    """
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda index: lengths[index]):
        if batch and lengths[index] * (len(batch) + 1) > most:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


class Attempted(NamedTuple, Generic[R]):
    """What came of an item, and what it took."""

    result: R
    retries: int
    """Calls with the item in them that raised and were made again."""
    lost_seconds: float
    """The item's share of the wall time of those calls."""


def isolate(
    function: Callable[[Sequence[T]], Sequence[R]], items: Sequence[T], failed: Callable[[T, Exception], R]
) -> list[R]:
    """One result per item, in order; an item that makes `function` raise gets `failed(item, error)`.

    The batch is tried whole; if that raises, it is halved until the culprits stand alone, so one
    poisonous item among n costs about log2(n) extra calls. A `StoreError` is never an item's fault
    and passes through, as do KeyboardInterrupt and its like.
    """
    return [attempted.result for attempted in isolate_counting(function, items, failed)]


def isolate_counting(
    function: Callable[[Sequence[T]], Sequence[R]], items: Sequence[T], failed: Callable[[T, Exception], R]
) -> list[Attempted[R]]:
    """The same, with what was done in vain for each item."""
    started = time.perf_counter()
    try:
        return [Attempted(result, 0, 0.0) for result in _checked(function, items)]
    except StoreError:
        raise
    except Exception as error:  # models raise whatever they like; the item is named in the result
        if len(items) == 1:
            logger.warning("an item failed with %s: %s", type(error).__name__, error)
            return [Attempted(failed(items[0], error), 0, time.perf_counter() - started)]
    lost = (time.perf_counter() - started) / len(items)
    middle = len(items) // 2
    halves = (isolate_counting(function, half, failed) for half in (items[:middle], items[middle:]))
    return [
        Attempted(one.result, one.retries + 1, one.lost_seconds + lost) for attempted in halves for one in attempted
    ]


def _checked(function: Callable[[Sequence[T]], Sequence[R]], items: Sequence[T]) -> list[R]:
    results = list(function(items))
    if len(results) != len(items):
        raise ValueError(f"expected one result per item: {len(items)} items gave {len(results)} results")
    return results
