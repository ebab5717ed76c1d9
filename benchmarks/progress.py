"""Who hears how far the phases of a run are."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Hears how far the phases of a run are."""

    def start(self, phase: str, total: int) -> None:
        """A phase has begun."""
        ...

    def advance(self, phase: str, amount: int) -> None:
        """`amount` more items of the phase are done."""
        ...

    def waiting(self, phase: str, items: int) -> None:
        """So many items of the phase have been made and are waiting for a worker."""
        ...


class Quiet:
    """Progress that nobody watches."""

    def start(self, phase: str, total: int) -> None:
        """Ignore it."""

    def advance(self, phase: str, amount: int) -> None:
        """Ignore it."""

    def waiting(self, phase: str, items: int) -> None:
        """Ignore it."""
