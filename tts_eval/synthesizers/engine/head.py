"""What differs between models that say tokens and models that say latents.

The engine knows positions, caches and rows. What a step says, how it is drawn, when a row is at
its end and what the model hears of it next is the head's business. Frames are whatever the codec
decodes: int64 codes [T], or latents [T, D].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from torch import Tensor

from tts_eval.synthesizers.codec import Reference
from tts_eval.synthesizers.engine.cache import Index
from tts_eval.types import Job


@dataclass(frozen=True, slots=True, eq=False)
class Opening:
    """What all rows of a request start from; rows that share the object share one prefill."""

    inputs: Tensor
    """Embeddings [T, width] of the prompt, T >= 1."""
    reference: Reference | None
    """The prompt's audio, as the codec knows it."""
    text: str
    """What is to be said."""
    script: tuple[tuple[int, ...], ...] = ()
    """Tokens that a row hears each time that it ends, before it goes on; it is over when there are none left."""
    begun: Tensor | None = None
    """Frames of a recording that the rows go on with: what their clips begin with."""

    @property
    def heard_steps(self) -> int:
        """Steps in which a row says nothing, because it hears its script."""
        return sum(len(tokens) + 1 for tokens in self.script)


@dataclass(frozen=True, slots=True)
class Start:
    """One row to be generated."""

    job: Job
    opening: Opening
    limit: int
    """Most steps."""


class Said(NamedTuple):
    """What one row said in a few steps."""

    frames: np.ndarray
    ended: bool
    """Whether it came to its end after these frames."""
    steps: int
    """Steps that it took, the end and those in which it only heard something included."""
    drawn: int
    """Steps in which something was drawn."""


class HeadRows(Protocol):
    """The head's memory of each slot."""

    @property
    def tensors(self) -> Sequence[Tensor]:
        """Everything that belongs to slots, slots first: the engine copies and moves it with the rows."""
        ...

    def assign(self, slot: int, start: Start) -> None:
        """A new row begins in `slot`."""
        ...

    def reseed(self, slot: int, seed: int) -> None:
        """What `slot` says from now on follows from `seed`."""
        ...

    def prepare(self, jobs: Sequence[Job]) -> object:
        """These jobs are live from now on; the result changes whenever a captured graph would be stale."""
        ...

    def step(self, hidden: Tensor, clock: Index) -> Tensor:
        """Let the first slots say step `clock`, given what the model made of them [rows, width].

        Returns the embeddings [rows, width] that the model hears next.
        """
        ...

    def any_ended(self, rows: int, clock: int) -> bool:
        """Whether one of the first `rows` slots came to its end in step `clock`."""
        ...

    def collect(self, rows: int, since: int, until: int) -> list[Said]:
        """What the first slots said in steps [since, until)."""
        ...


class StepHead(Protocol):
    """Makes `HeadRows`."""

    def rows(self, slots: int, steps: int) -> HeadRows:
        """Memory for `slots` rows of at most `steps` steps."""
        ...

    @property
    def silence(self) -> np.ndarray:
        """What a row has said before its first step: no frames, of the right kind."""
        ...

    def flops(self) -> float:
        """FLOPs of one step of one row."""
        ...
