"""The head of models that say tokens: one codec code per step, or the token that ends the speech.

Only codes and the end can be said, so only their rows of the output matrix are multiplied: for
Llasa-1B that saves a fifth of the weights that a step reads, and no text token can get into the speech.

A row may have a script: pieces of text that it hears one by one. When it says the end and there is a
piece left, it hears the end and then that piece, a token a step, in which nothing is drawn.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from tts_eval.synthesizers.engine import sampling
from tts_eval.synthesizers.engine.cache import Index, put, take
from tts_eval.synthesizers.engine.head import Said, Start
from tts_eval.types import Job


class TokenHead:
    """Codes are tokens `first`, `first + 1` ...; their own numbers here are 0, 1 ..., and the end comes last."""

    def __init__(self, embedding: Tensor, output: Tensor, *, first: int, codes: int, end: int | None) -> None:
        """Take what is needed of the embedding and output matrices [vocabulary, width].

        `end` None makes a head that never ends, for speed measurements.
        """
        self.codes = codes
        self.embedding = embedding
        spoken = [*range(first, first + codes), first if end is None else end]
        self.spoken = torch.tensor(spoken, device=embedding.device)
        """Token ids of what can be said."""
        kept = [output[first : first + codes]] + ([] if end is None else [output[end : end + 1]])
        self.output = torch.cat(kept)

    def rows(self, slots: int, steps: int) -> TokenRows:
        """Memory for `slots` rows of at most `steps` tokens."""
        return TokenRows(self, slots, steps)

    @property
    def silence(self) -> np.ndarray:
        """No codes."""
        return np.zeros(0, dtype=np.int64)

    def flops(self) -> float:
        """FLOPs of one step of one row."""
        return 2.0 * self.output.numel()


PAUSED, HEARD = 1, 2
"""Said instead of a code, counted from the end's number: an end that is not the last; nothing."""
NOTHING = -1
"""In the script: the end of a piece."""


class TokenRows:
    """What each slot said, how it draws, and what it has still to hear."""

    def __init__(self, head: TokenHead, slots: int, steps: int) -> None:
        device = head.output.device
        self._head = head
        self._settings = sampling.Settings(slots, device)
        self._controls = sampling.Controls(draws=True, greedy=True, filters=True, penalises=False)
        self._uniform = torch.zeros(slots, steps, dtype=torch.float64, device=device)
        self._said = torch.zeros(slots, steps, dtype=torch.long, device=device)
        self._heard = torch.zeros(slots, len(head.output), dtype=torch.bool, device=device)
        self._scripted = False
        self._script = torch.full((slots, steps + 2), NOTHING, device=device)
        self._cursor = torch.zeros(slots, dtype=torch.long, device=device)
        self._listens = torch.zeros(slots, dtype=torch.bool, device=device)

    @property
    def tensors(self) -> Sequence[Tensor]:
        """Everything that belongs to slots."""
        return (
            *self._settings.tensors, self._uniform, self._said, self._heard, self._script, self._cursor, self._listens
        )  # fmt: skip

    def assign(self, slot: int, start: Start) -> None:
        """A new row begins in `slot`."""
        self._settings.assign(slot, start.job.sampling)
        self.reseed(slot, start.job.seed)
        self._heard[slot] = False
        reference, begun = start.opening.reference, start.opening.begun
        for frames in (None if reference is None else reference.frames, begun):
            if frames is not None:
                self._heard[slot, frames] = True
        self._script[slot] = NOTHING
        self._cursor[slot] = 0
        self._listens[slot] = False
        if start.opening.script:
            self._scripted = True
            script = [token for piece in start.opening.script for token in (*piece, NOTHING)]
            room = self._script.shape[1] - 1
            self._script[slot, : min(len(script), room)] = torch.tensor(script[:room], device=self._script.device)

    def reseed(self, slot: int, seed: int) -> None:
        """What `slot` says from now on follows from `seed`."""
        self._uniform[slot] = sampling.uniforms(seed, self._uniform.shape[1])

    def prepare(self, jobs: Sequence[Job]) -> tuple[sampling.Controls, bool]:
        """Skip what none of these jobs uses."""
        self._controls = sampling.Controls.of([job.sampling for job in jobs])
        return self._controls, self._scripted

    def step(self, hidden: Tensor, clock: Index) -> Tensor:
        """Draw one token per row; returns their embeddings."""
        rows = len(hidden)
        heard = self._heard[:rows] if self._controls.penalises else None
        logits = functional.linear(hidden, self._head.output)
        tokens = sampling.choose(logits, take(self._uniform[:rows], 1, clock), self._settings, self._controls, heard)
        if self._scripted:
            said, ids = self._follow_script(tokens)
        else:
            said, ids = tokens, self._head.spoken[tokens]
        if heard is not None:
            # Hearing a word is not saying something: an end that only paused may come again unpunished.
            places = said.clamp(max=heard.shape[1] - 1)[:, None]
            heard.scatter_(1, places, heard.gather(1, places) | (said <= self._head.codes)[:, None])
        put(self._said[:rows], 1, clock, said)
        # A row that has ended says nothing more: what it hears does not matter.
        return functional.embedding(ids, self._head.embedding)

    def _follow_script(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """What the rows say instead of what they drew, and the ids of what they hear."""
        rows = len(tokens)
        cursor, listens = self._cursor[:rows], self._listens[:rows]
        cue = self._script[:rows].gather(1, cursor[:, None])[:, 0]
        pauses = (tokens == self._head.codes) & ~listens & (cue != NOTHING)
        said = torch.where(listens, self._head.codes + HEARD, torch.where(pauses, self._head.codes + PAUSED, tokens))
        ids = torch.where(listens, cue, self._head.spoken[tokens])
        cursor += listens
        following = self._script[:rows].gather(1, cursor[:, None])[:, 0]
        finishes = listens & (following == NOTHING)
        cursor += finishes
        cursor.clamp_(max=self._script.shape[1] - 1)
        listens.copy_(pauses | (listens & ~finishes))
        return said, ids

    def any_ended(self, rows: int, clock: int) -> bool:
        """Whether one of the first `rows` slots ended in step `clock`."""
        return bool((self._said[:rows, clock] == self._head.codes).any())

    def collect(self, rows: int, since: int, until: int) -> list[Said]:
        """The codes of steps [since, until), up to the end where it came."""
        said = self._said[:rows, since:until].cpu().numpy().copy()  # on a CPU it would be the memory of the slots
        codes = self._head.codes
        result = []
        for tokens in said:
            ends = np.flatnonzero(tokens == codes)
            taken = tokens[: ends[0] + 1] if len(ends) else tokens
            drawn = int((taken != codes + HEARD).sum())
            result.append(Said(taken[taken < codes], bool(len(ends)), len(taken), drawn))
        return result
