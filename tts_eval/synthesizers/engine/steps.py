"""Running steps: as they are on a CPU, as CUDA graphs on a GPU.

A workspace is the memory of a batch: caches, the head's rows, what each row hears next. A graph is
captured for each number of rows and columns, both rounded up, and replayed without a look at
its results, so a run of steps waits for the GPU once. Graphs belong to their workspace, which is
used again by the next batch that fits into it.
"""

from __future__ import annotations

import logging
from typing import Any, Protocol

import torch
from torch import Tensor

from tts_eval.synthesizers.engine.cache import Index, KVCache
from tts_eval.synthesizers.engine.head import HeadRows, StepHead
from tts_eval.synthesizers.engine.transformer import Transformer

logger = logging.getLogger(__name__)

COLUMN_BUCKET = 128
"""Graphs look at a multiple of so many columns."""
ROW_BUCKETS = (1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
GRAPH_STEPS = 16
"""Steps between two looks at what a GPU has said: a row may run on so long after its end."""
WARM_UP = 2


class Replayed(Protocol):
    """A captured step."""

    def replay(self) -> None:
        """Do it again."""
        ...


class Workspace:
    """The memory of a batch of `slots` rows, `columns` positions and `steps` steps."""

    def __init__(self, transformer: Transformer, head: StepHead, slots: int, columns: int, steps: int) -> None:
        device, dtype = transformer.device, transformer.dtype
        self.slots, self.columns, self.steps = slots, columns, steps
        self.cache = KVCache(transformer.shape, slots, columns, device, dtype)
        self.rows: HeadRows = head.rows(slots, steps)
        self.inputs = torch.zeros(slots, transformer.shape.width, device=device, dtype=dtype)
        self.positions = torch.zeros(slots, dtype=torch.long, device=device)
        self._transformer = transformer
        self._uses_graphs = device.type == "cuda"
        self._graphs: dict[tuple[int, int, object], Replayed] = {}
        self._pool: Any = torch.cuda.graph_pool_handle() if self._uses_graphs else None
        """Memory that the graphs of this workspace share: only one of them runs at a time."""
        self._clock = torch.zeros(1, dtype=torch.long, device=device)
        self._column = torch.zeros(1, dtype=torch.long, device=device)

    def fits(self, slots: int, columns: int, steps: int) -> bool:
        """Whether a batch of that size has room here."""
        return slots <= self.slots and columns <= self.columns and steps <= self.steps

    def reset(self) -> None:
        """Forget all rows."""
        self.cache.mask.fill_(float("-inf"))
        self.cache.is_ragged = False

    @property
    def slot_tensors(self) -> tuple[Tensor, ...]:
        """Everything that belongs to slots, but for the cache."""
        return self.inputs, self.positions, *self.rows.tensors

    def gather(self, other: Workspace, sources: Tensor, length: int) -> None:
        """Slot i becomes what slot `sources[i]` of `other` (often this very workspace) was."""
        self.cache.gather(other.cache, sources, length)
        for mine, theirs in zip(self.slot_tensors, other.slot_tensors, strict=True):
            mine[: len(sources)] = theirs[sources]

    def move(self, source: int, target: int, length: int) -> None:
        """Slot `target` becomes what slot `source` is."""
        self.cache.move(source, target, length)
        for tensor in self.slot_tensors:
            tensor[target] = tensor[source]

    def run(self, live: int, clock: int, column: int, steps: int, controls: object) -> int:
        """Run up to `steps` steps of the first `live` slots; returns how many were run.

        Stops early where looking costs nothing (a CPU) and some row has come to its end.
        """
        if self._uses_graphs:
            try:
                return self._run_graphs(live, clock, column, min(steps, GRAPH_STEPS), controls)
            except torch.OutOfMemoryError:
                raise
            except RuntimeError as error:  # of a capture: some driver or kernel that graphs cannot hold
                logger.warning("no CUDA graph could be captured (%s); going on without, more slowly", error)
                self._uses_graphs = False
        for done in range(steps):
            self._step(live, clock + done, column + done, column + done + 1)
            if self.rows.any_ended(live, clock + done):
                return done + 1
        return steps

    def _step(self, live: int, clock: Index, column: Index, length: int) -> None:
        if self.cache.is_ragged or not isinstance(column, int):
            self.cache.open(live, column)
        hidden = self._transformer.step(self.inputs[:live], self.positions[:live], self.cache, column, length)
        self.inputs[:live] = self.rows.step(hidden, clock)
        # A row beyond the live ones of a graph may run on for ever: it must stay at some position that exists.
        torch.add(self.positions[:live], 1, out=self.positions[:live]).clamp_(max=self._transformer.positions - 1)

    def _run_graphs(self, live: int, clock: int, column: int, steps: int, controls: object) -> int:
        """All steps without a look at the results; graphs that are missing are captured before the first of them."""
        rows = min(next((size for size in ROW_BUCKETS if size >= live), live), self.slots)
        lengths = [min(-(-(column + done + 1) // COLUMN_BUCKET) * COLUMN_BUCKET, self.columns) for done in range(steps)]
        self._clock.fill_(clock)
        self._column.fill_(column)
        for length in dict.fromkeys(lengths):
            if (rows, length, controls) not in self._graphs:
                self._graphs[rows, length, controls] = self._capture(rows, length)
        for length in lengths:
            self._graphs[rows, length, controls].replay()
        return steps

    def _capture(self, rows: int, length: int) -> Replayed:
        """A graph of one step that also moves the clock and the column on."""
        saved = [tensor.clone() for tensor in (*self.slot_tensors, self._clock, self._column)]
        try:
            return self._captured(rows, length)
        finally:
            # The warm-up wrote this step's column of the cache, which the replay writes again; the rest is put back.
            for tensor, value in zip((*self.slot_tensors, self._clock, self._column), saved, strict=True):
                tensor.copy_(value)

    def _captured(self, rows: int, length: int) -> Replayed:
        make_stream: Any = torch.cuda.Stream
        stream = make_stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP):
                self._step(rows, self._clock, self._column, length)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            self._graph_step(rows, length)
        return graph

    def _graph_step(self, rows: int, length: int) -> None:
        self._step(rows, self._clock, self._column, length)
        self._clock += 1
        self._column += 1
