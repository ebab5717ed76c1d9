"""What a run has left to do, piece by piece, in seconds: what a cluster can share out among its workers.

A piece is a candidate, or the search of one request, which stays on one worker; verifiers hear it afterwards.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Piece:
    """One candidate, or the search of one request."""

    made: float | None
    """Seconds that making it takes; None where it is there already."""
    heard: tuple[tuple[str, float], ...] = ()
    """Verifiers that hear it afterwards, by spec, with their seconds."""
    audio_seconds: float = 0.0
    """Of what they hear."""


class Pieces:
    """Collects pieces by what they are about."""

    def __init__(self) -> None:
        self._made: dict[Hashable, float] = {}
        self._audio: dict[Hashable, float] = {}
        self._heard: dict[Hashable, list[tuple[str, float]]] = {}

    def make(self, key: Hashable, seconds: float, audio_seconds: float) -> None:
        """Something has to be made."""
        self._made[key] = seconds
        self._audio[key] = audio_seconds
        self._heard.setdefault(key, [])

    def hear(self, key: Hashable, spec: str, seconds: float, audio_seconds: float) -> None:
        """A verifier has to hear it."""
        self._audio.setdefault(key, audio_seconds)
        self._heard.setdefault(key, []).append((spec, seconds))

    def done(self) -> tuple[Piece, ...]:
        """All of them, in the order in which they came up."""
        return tuple(Piece(self._made.get(key), tuple(heard), self._audio[key]) for key, heard in self._heard.items())
