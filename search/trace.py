"""The way that a guided search went: every beam at every decision, from whom it came, and what became of it.

Numbers only, no audio: the chosen clip holds the sound of its whole ancestry, and seeds bring the rest
back. A search of 16 x 16 beams over 5 s has some 2,500 nodes, which are 120 kB of JSON.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Fate(StrEnum):
    """What a decision made of a beam."""

    KEPT = "kept"
    ENDED = "ended"
    """It had said everything, and stays in competition."""
    DROPPED = "dropped"


@dataclass(slots=True)
class Node:
    """One beam at one decision; its number is its place in the trace."""

    decision: int
    parent: int | None
    """Number of the beam that it continues."""
    seconds: float
    """Of speech, so far."""
    score: float | None
    """What the verifier that guides says; None where it cannot tell."""
    fate: Fate
    is_chosen: bool = False
    """Whether the chosen clip went through here."""


def note_choice(trace: Sequence[Node], number: int | None) -> None:
    """Mark the chosen beam's ancestry; `number` is its node's."""
    while number is not None:
        trace[number].is_chosen = True
        number = trace[number].parent


def trace_json(trace: Sequence[Node]) -> str:
    """The trace as text: [[decision, parent, seconds, score, fate, is_chosen], ...]; "" for none."""
    rows = [
        [
            node.decision,
            node.parent,
            node.seconds,
            node.score,
            node.fate.value,
            int(node.is_chosen),
        ]
        for node in trace
    ]
    return json.dumps(rows, separators=(",", ":")) if rows else ""


def trace_from_json(text: str) -> tuple[Node, ...]:
    """The trace that `trace_json` wrote."""
    rows = json.loads(text) if text else []
    return tuple(
        Node(decision, parent, seconds, score, Fate(fate), bool(is_chosen))
        for decision, parent, seconds, score, fate, is_chosen in rows
    )
