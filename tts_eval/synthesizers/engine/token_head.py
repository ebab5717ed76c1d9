"""The head of models that say tokens: one codec code per step, or the token that ends the speech.

Only codes and the end can be said, so only their rows of the output matrix are multiplied: for
Llasa-1B that saves a fifth of the weights that a step reads, and no text token can get into the speech.
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
        self.embedding = embedding[first : first + codes]
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


class TokenRows:
    """What each slot said, and how it draws."""

    def __init__(self, head: TokenHead, slots: int, steps: int) -> None:
        device = head.output.device
        self._head = head
        self._settings = sampling.Settings(slots, device)
        self._controls = sampling.Controls(draws=True, greedy=True, filters=True, penalises=False)
        self._uniform = torch.zeros(slots, steps, dtype=torch.float64, device=device)
        self._said = torch.zeros(slots, steps, dtype=torch.long, device=device)
        self._heard = torch.zeros(slots, len(head.output), dtype=torch.bool, device=device)

    @property
    def tensors(self) -> Sequence[Tensor]:
        """Everything that belongs to slots."""
        return *self._settings.tensors, self._uniform, self._said, self._heard

    def assign(self, slot: int, start: Start) -> None:
        """A new row begins in `slot`."""
        self._settings.assign(slot, start.job.sampling)
        self.reseed(slot, start.job.seed)
        self._heard[slot] = False
        if start.opening.reference is not None:
            self._heard[slot, start.opening.reference.frames] = True

    def reseed(self, slot: int, seed: int) -> None:
        """What `slot` says from now on follows from `seed`."""
        self._uniform[slot] = sampling.uniforms(seed, self._uniform.shape[1])

    def prepare(self, jobs: Sequence[Job]) -> sampling.Controls:
        """Skip what none of these jobs uses."""
        self._controls = sampling.Controls.of([job.sampling for job in jobs])
        return self._controls

    def step(self, hidden: Tensor, clock: Index) -> Tensor:
        """Draw one token per row; returns their embeddings."""
        rows = len(hidden)
        heard = self._heard[:rows] if self._controls.penalises else None
        logits = functional.linear(hidden, self._head.output)
        tokens = sampling.choose(logits, take(self._uniform[:rows], 1, clock), self._settings, self._controls, heard)
        if heard is not None:
            heard.scatter_(1, tokens[:, None], True)
        put(self._said[:rows], 1, clock, tokens)
        # A row that has ended says nothing more: what it hears does not matter, but must exist.
        return functional.embedding(tokens.clamp(max=self._head.codes - 1), self._head.embedding)

    def any_ended(self, rows: int, clock: int) -> bool:
        """Whether one of the first `rows` slots ended in step `clock`."""
        return bool((self._said[:rows, clock] == self._head.codes).any())

    def collect(self, rows: int, since: int, until: int) -> list[Said]:
        """The codes of steps [since, until), up to the end where it came."""
        said = self._said[:rows, since:until].cpu().numpy().copy()  # on a CPU it would be the memory of the slots
        result = []
        for tokens in said:
            ends = np.flatnonzero(tokens == self._head.codes)
            result.append(Said(tokens[: ends[0]] if len(ends) else tokens, bool(len(ends))))
        return result
