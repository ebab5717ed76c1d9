"""What a transformer's sizes are, and so what it costs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """The sizes that decide memory and compute."""

    layers: int
    width: int
    heads: int
    kv_heads: int
    head_size: int
    matrix_weights: int
    """Weights that every position is multiplied with."""

    def flops(self, positions: int, context: int) -> float:
        """FLOPs of `positions` positions of which the first sees `context` positions, itself included."""
        seen = positions * context + positions * (positions - 1) / 2
        return 2.0 * self.matrix_weights * positions + 4.0 * self.layers * self.heads * self.head_size * seen
