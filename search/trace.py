"""The way that a guided search went: every beam at every decision, from whom it came, and what became of it.

Numbers only, no audio: the chosen clip holds the sound of its whole ancestry, and seeds bring the rest
back. A search of 16 x 16 beams over 5 s has some 2,500 nodes, which are 120 kB of JSON.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum

from search.beams import Beam, Hunt


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


def note_decision(hunt: Hunt, decision: int, judged: Sequence[Beam], kept: Collection[Beam]) -> None:
    """Write down what a decision made of the beams that were `judged`; to be told before the kept ones are expanded.

    A beam that had ended before has a node already: only what has become of it can be new.
    """
    for beam in dict.fromkeys(judged):
        fate = Fate.DROPPED if beam not in kept else Fate.ENDED if beam.is_over else Fate.KEPT
        if beam.node is not None and hunt.trace[beam.node].fate is Fate.ENDED:
            hunt.trace[beam.node].fate = fate
            continue
        clip = beam.candidate.clip
        score = beam.score.value if beam.score else None
        hunt.trace.append(Node(decision, beam.node, clip.seconds if clip else 0.0, score, fate))
        beam.node = len(hunt.trace) - 1


def note_choice(trace: Sequence[Node], chosen: Beam) -> None:
    """Mark the chosen beam's ancestry."""
    number = chosen.node
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
