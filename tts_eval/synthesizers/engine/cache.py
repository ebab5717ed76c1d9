"""Keys and values of every layer, in slots: one slot per live row, all slots written at one common column.

Prompts of different lengths end at the same column; what lies to the left of a short one is masked.
So a step writes one column for all rows, rows can be copied, moved and dropped without touching the
others, and the buffers keep their addresses (CUDA graphs need that).
"""

from __future__ import annotations

from typing import TypeAlias

import torch

from tts_eval.synthesizers.engine.shape import Shape

Index: TypeAlias = "int | torch.Tensor"
"""A position: a number, or a tensor [1] where a CUDA graph reads it at every replay."""


def put(target: torch.Tensor, dim: int, index: Index, value: torch.Tensor) -> None:
    """Write `value` at `index` of dimension `dim`."""
    if isinstance(index, int):
        target.select(dim, index).copy_(value)
    else:
        target.index_copy_(dim, index, value.unsqueeze(dim))


def take(source: torch.Tensor, dim: int, index: Index) -> torch.Tensor:
    """What lies at `index` of dimension `dim`."""
    return source.select(dim, index) if isinstance(index, int) else source.index_select(dim, index).squeeze(dim)


class KVCache:
    """Room for `slots` rows of `columns` positions."""

    def __init__(self, shape: Shape, slots: int, columns: int, device: torch.device, dtype: torch.dtype) -> None:
        size = (slots, shape.kv_heads, columns, shape.head_size)
        self.slots = slots
        self.columns = columns
        self.keys = [torch.empty(size, device=device, dtype=dtype) for _ in range(shape.layers)]
        self.values = [torch.empty(size, device=device, dtype=dtype) for _ in range(shape.layers)]
        if device.type == "cuda":  # a graph reads a little more than has been written: NaN there would spread
            for buffer in (*self.keys, *self.values):
                buffer.zero_()
        self.mask = torch.full((slots, columns), float("-inf"), device=device, dtype=dtype)
        """Added to attention scores: 0 where a row may look, -inf elsewhere."""
        self.is_ragged = False
        """Whether some row has columns to its left that it must not look at."""

    @property
    def nbytes(self) -> int:
        """Memory of all keys and values."""
        return sum(buffer.nbytes for buffer in (*self.keys, *self.values))

    @staticmethod
    def bytes_per_position(shape: Shape, dtype: torch.dtype) -> int:
        """Memory that one position of one row takes."""
        return 2 * shape.layers * shape.kv_heads * shape.head_size * dtype.itemsize

    def fill(self, slots: list[int], prefix: list[tuple[torch.Tensor, torch.Tensor]], end: int) -> None:
        """Give `slots` a prompt's keys and values [kv_heads, T, head_size], so that it ends before column `end`."""
        start = end - prefix[0][0].shape[1]
        first, last = slots[0], slots[-1] + 1
        if slots != list(range(first, last)):
            raise ValueError("the rows of one prompt must lie side by side")
        for layer, (keys, values) in enumerate(prefix):
            for buffer, content in ((self.keys[layer], keys), (self.values[layer], values)):
                buffer[first:last, :, :start] = 0.0  # masked, but fresh memory may hold NaN, which no mask hides
                buffer[first:last, :, start:end] = content
        self.mask[first:last] = float("-inf")
        self.mask[first:last, start:end] = 0.0
        self.is_ragged |= start > 0

    def write(self, layer: int, rows: int, column: Index, keys: torch.Tensor, values: torch.Tensor) -> None:
        """Put keys and values [rows, kv_heads, head_size] of one step at `column` of the first slots."""
        put(self.keys[layer][:rows], 2, column, keys)
        put(self.values[layer][:rows], 2, column, values)

    def read(self, layer: int, rows: int, length: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values [rows, kv_heads, length, head_size]."""
        return self.keys[layer][:rows, :, :length], self.values[layer][:rows, :, :length]

    def open(self, rows: int, column: Index) -> None:
        """Let the first `rows` slots look at `column`."""
        self.mask[:rows].index_fill_(1, _tensor(column, self.mask.device), 0.0)

    def gather(self, other: KVCache, sources: torch.Tensor, length: int) -> None:
        """Slot i becomes what slot `sources[i]` of `other` was, up to column `length`; `other` may be this cache."""
        rows = len(sources)
        for mine, theirs in zip((*self.keys, *self.values), (*other.keys, *other.values), strict=True):
            mine[:rows, :, :length] = theirs[sources, :, :length]
        self.mask[:rows] = other.mask[sources]
        self.is_ragged |= other.is_ragged

    def move(self, source: int, target: int, length: int) -> None:
        """Slot `target` becomes what slot `source` is, up to column `length`."""
        for buffer in (*self.keys, *self.values):
            buffer[target, :, :length] = buffer[source, :, :length]
        self.mask[target] = self.mask[source]


def _tensor(index: Index, device: torch.device) -> torch.Tensor:
    return torch.tensor([index], device=device) if isinstance(index, int) else index
