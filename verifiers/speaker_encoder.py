"""What a voice model is: clips go in, directions come out, and one voice has one direction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

RATE = 16_000


class SpeakerEncoder(Protocol):
    """Turns clips into directions; clips of one voice point the same way."""

    @property
    def shortest_seconds(self) -> float:
        """The model can do nothing with a shorter clip."""
        ...

    @property
    def lowest_cosine(self) -> float:
        """0 where embeddings have no negative parts, else -1."""
        ...

    def embed(self, clips_16k: Sequence[np.ndarray]) -> list[np.ndarray | None]:
        """One vector of length 1 per clip at 16 kHz, each of its own clip alone; None where no voice is heard."""
        ...


def direction(vector: np.ndarray) -> np.ndarray | None:
    """The vector at length 1, float32; None for the zero vector.

    Raises:
        ValueError: it has numbers that are not finite.
    """
    length = float(np.linalg.norm(vector.astype(np.float64)))
    if not np.isfinite(length):
        raise ValueError("the voice model gave an embedding that is not finite")
    return (vector / length).astype(np.float32) if length > 0 else None
