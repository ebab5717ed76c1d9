"""Choosing tokens: temperature, top-k, top-p and repetition penalty as transformers' processors define them.

Penalty first, then temperature, top-k, top-p; temperature 0 takes the most probable token. The
draw is an inverse distribution function at one uniform number per row and step, which comes from
the row's own seed: no row can change what another one says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tts_eval import seeds
from tts_eval.types import Sampling


def uniforms(seed: int, steps: int) -> Tensor:
    """The random numbers of one row, float64 [steps], in [0, 1)."""
    return torch.from_numpy(seeds.generator(seed).random(steps))


@dataclass(frozen=True, slots=True)
class Controls:
    """Which parts of the sampling any row uses; what nobody uses costs nothing."""

    draws: bool
    greedy: bool
    filters: bool
    penalises: bool

    @classmethod
    def of(cls, samplings: Sequence[Sampling]) -> Controls:
        """The parts that these rows need."""
        return cls(
            draws=any(s.temperature > 0 for s in samplings),
            greedy=any(s.temperature == 0 for s in samplings),
            filters=any(s.temperature > 0 and (s.top_p < 1 or s.top_k > 0) for s in samplings),
            penalises=any(s.repetition_penalty != 1 for s in samplings),
        )


class Settings:
    """The sampling of each slot, as tensors."""

    def __init__(self, slots: int, device: torch.device) -> None:
        self.temperature = torch.ones(slots, device=device)
        self.top_p = torch.ones(slots, device=device)
        self.top_k = torch.zeros(slots, dtype=torch.long, device=device)
        self.penalty = torch.ones(slots, device=device)

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """Everything that belongs to slots."""
        return self.temperature, self.top_p, self.top_k, self.penalty

    def assign(self, slot: int, sampling: Sampling) -> None:
        """Give `slot` a row's sampling."""
        self.temperature[slot] = sampling.temperature
        self.top_p[slot] = sampling.top_p
        self.top_k[slot] = sampling.top_k
        self.penalty[slot] = sampling.repetition_penalty


def choose(logits: Tensor, uniform: Tensor, settings: Settings, controls: Controls, heard: Tensor | None) -> Tensor:
    """One token per row, int64 [rows].

    Args:
        logits: [rows, tokens].
        uniform: float64 [rows].
        settings: of at least as many slots.
        controls: which settings count.
        heard: which tokens a row has heard or said, bool [rows, tokens]; None where nothing is penalised.
    """
    rows = len(logits)
    logits = logits.float()
    if heard is not None:
        logits = penalised(logits, heard, settings.penalty[:rows, None])
    if not controls.draws:
        return logits.argmax(dim=-1)
    temperature = settings.temperature[:rows, None]
    scaled = logits / torch.where(temperature > 0, temperature, 1.0)
    if controls.filters:
        scaled = filtered(scaled, settings.top_k[:rows], settings.top_p[:rows])
    drawn = _draw(scaled.softmax(dim=-1), uniform)
    return torch.where(temperature[:, 0] > 0, drawn, logits.argmax(dim=-1)) if controls.greedy else drawn


def penalised(logits: Tensor, heard: Tensor, penalty: Tensor) -> Tensor:
    """Logits of tokens that were heard, made less likely."""
    return torch.where(heard, torch.where(logits < 0, logits * penalty, logits / penalty), logits)


def filtered(logits: Tensor, top_k: Tensor, top_p: Tensor) -> Tensor:
    """Logits [rows, tokens] with what top-k (0 keeps all) and then top-p remove at -inf.

    Like transformers', ties with the k-th token stay, and so does the token that crosses `top_p`.
    Rows that use neither come back as they are, so their draws are the same in any company.
    """
    ordered, tokens = logits.sort(dim=-1, descending=True, stable=True)
    count = ordered.shape[-1]
    last = torch.where(top_k > 0, top_k, count).clamp(max=count) - 1
    ordered = ordered.masked_fill(ordered < ordered.gather(-1, last[:, None]), float("-inf"))
    probabilities = ordered.softmax(dim=-1)
    before = probabilities.cumsum(dim=-1, dtype=torch.float64) - probabilities
    keep = ordered.isfinite() & ((before < top_p[:, None]) | (top_p[:, None] >= 1))
    keep[:, 0] = True
    return logits.masked_fill(~torch.zeros_like(keep).scatter(-1, tokens, keep), float("-inf"))


def _draw(probabilities: Tensor, uniform: Tensor) -> Tensor:
    # In float64: on a GPU the order of a float32 sum may differ from run to run, and with it the token.
    total = probabilities.cumsum(dim=-1, dtype=torch.float64)
    target = (uniform * total[:, -1])[:, None]
    return torch.searchsorted(total, target, right=True)[:, 0].clamp(max=probabilities.shape[-1] - 1)
