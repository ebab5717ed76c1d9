"""What a process search is made of: beams, who goes on, and how many of them a budget still pays for."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from search.budget import Budget
from search.selection import ranks
from search.trace import Fate, Node
from tts_eval.types import Candidate, Cost, FailureKind, Request, Score

SLOW_SPEECH = 10.0
"""Characters a second; at this pace the budget reserves what one beam needs to come to its end."""
NOT_YET = (FailureKind.UNDECIDED, FailureKind.SHORT, FailureKind.EMPTY)
"""What a verifier says of an unfinished clip when it cannot tell yet."""


@dataclass(slots=True, eq=False)
class Beam:
    """One continuation of a request."""

    tree: int
    candidate: Candidate
    row: int = 0
    """Of the generation, while it goes on."""
    is_over: bool = False
    score: Score | None = None
    merit: float | None = None
    """The score's value, higher is better; None where there is none."""
    is_final: bool = False
    """Whether the score is of all that it says."""
    potential: float | None = None
    """What a resampling strategy remembers of it."""
    node: int | None = None
    """Where the search's trace has it, or the beam that it continues."""

    @property
    def is_undecided(self) -> bool:
        """Whether the verifier cannot tell yet: no reason to prefer it, nor to drop it."""
        failure = self.score.failure if self.score else None
        return not self.is_over and failure is not None and failure.kind in NOT_YET

    @property
    def has_failed(self) -> bool:
        """Whether it was judged as a whole and got no score: it must not win while others go on."""
        if not self.is_final or self.merit is not None:
            return False
        failure = self.score.failure if self.score else None
        return failure is None or failure.kind is not FailureKind.UNDECIDED  # as one is that has nobody to compare with


Keep = Callable[[Sequence[Beam], int, np.random.Generator], list[int]]
"""(one tree's beams, number of the decision from 0, random stream) -> who goes on, best first; may repeat."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guidance:
    """How beams are chosen on the way."""

    step_seconds: float
    """Speech between two decisions, by the synthesizer's average; see `StepSynthesizer.step_seconds`."""
    width: int
    """Rows that a tree begins with."""
    keep: Keep
    until_seconds: float = 0.0
    """Speech that is guided; 0 guides to the end."""
    trees: int = 1
    """Groups of beams that do not compete with each other."""
    expand: int = 1
    """Continuations of each beam that is kept; the first goes on as it would have anyway."""
    lookahead_seconds: float = 0.0
    """Beams are judged by what they would say so much later."""

    def steps_of_a_decision(self, step_seconds: float) -> int:
        """The model's steps that a beam makes for a decision, with those that it looks ahead."""
        ahead = model_steps(self.lookahead_seconds, step_seconds) if self.lookahead_seconds else 0
        return model_steps(self.step_seconds, step_seconds) + ahead

    @property
    def decisions(self) -> float:
        """How many there are; infinity guides to the end."""
        return math.ceil(self.until_seconds / self.step_seconds - 1e-9) if self.until_seconds else math.inf

    def with_steps_of(self, step_seconds: float) -> Guidance:
        """The same for a synthesizer that cannot stop earlier than after so many seconds, as a phrase or a tone is."""
        return replace(self, step_seconds=max(self.step_seconds, step_seconds))


@dataclass(slots=True, eq=False)
class Hunt:
    """The search of one request."""

    request: Request
    beams: list[Beam]
    cost: Cost = field(default_factory=Cost)
    share_per_row: float = 0.0
    """Part of the budget that one row's step has cost lately."""
    trace: list[Node] = field(default_factory=list)
    """The way that the search went."""

    @property
    def live(self) -> list[Beam]:
        """Beams that go on."""
        return [beam for beam in self.beams if not beam.is_over]

    def note_decision(self, decision: int, judged: Sequence[Beam], kept: Collection[Beam]) -> None:
        """Trace what became of the beams that were `judged`; to be told before the kept ones are expanded.

        A beam that had ended before has a node already: only what has become of it can be new.
        """
        for beam in dict.fromkeys(judged):
            fate = Fate.DROPPED if beam not in kept else Fate.ENDED if beam.is_over else Fate.KEPT
            if beam.node is not None and self.trace[beam.node].fate is Fate.ENDED:
                self.trace[beam.node].fate = fate
                continue
            clip = beam.candidate.clip
            score = beam.score.value if beam.score else None
            self.trace.append(Node(decision, beam.node, clip.seconds if clip else 0.0, score, fate))
            beam.node = len(self.trace) - 1


def number_rows(hunts: Sequence[Hunt]) -> list[int]:
    """Which row each live beam goes on from; from now on they are numbered in this order."""
    live = [beam for hunt in hunts for beam in hunt.live]
    sources = [beam.row for beam in live]
    for row, beam in enumerate(live):
        beam.row = row
    return sources


def affordable(
    hunt: Hunt, beams: list[Beam], budget: Budget, step_seconds: float, *, has_ended: bool = False
) -> list[Beam]:
    """As many of the beams as can make another step and still leave enough for one of them to end."""
    if not budget.is_limited or not hunt.share_per_row:
        return beams
    left = 1.0 - budget.share(hunt.cost)
    if not has_ended:
        said = max((b.candidate.clip.seconds for b in beams if b.candidate.clip), default=0.0)
        longest = min(len(hunt.request.text) / SLOW_SPEECH, beams[0].candidate.sampling.max_seconds) if beams else 0.0
        left -= hunt.share_per_row * max(longest - said - step_seconds, 0.0) / step_seconds
    rows = int(left / hunt.share_per_row)
    return beams[: max(rows, 0 if has_ended else 1)]


def model_steps(seconds: float, step_seconds: float) -> int:
    """How many of the model's steps come nearest to so many seconds; one at least."""
    return max(round(seconds / step_seconds), 1)


def best(pool: Sequence[Beam], places: int) -> list[int]:
    """Positions of the `places` best beams, best first; ties go to the lower position.

    Undecided ones are neither good nor bad: they get the part of the places that they are of the pool
    (one at least, where there is more than one). Failed ones come last.
    """
    order = sorted(range(len(pool)), key=ranks([beam.merit for beam in pool]).__getitem__)
    decided = [p for p in order if pool[p].merit is not None]
    undecided = [p for p in order if pool[p].merit is None and pool[p].is_undecided]
    failed = [p for p in order if pool[p].merit is None and not pool[p].is_undecided]
    share = max(round(places * len(undecided) / max(len(pool), 1)), int(places > 1))
    chosen = decided[: places - min(share, len(undecided))]
    chosen += undecided[: places - len(chosen)]
    return (chosen + failed)[:places]
