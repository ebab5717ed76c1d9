"""An extra lesson for the language model: look at the phoneme that you are about to say.

Left alone, a small model on little speech learns what speech sounds like long before it learns to read.
So one attention head in each of a few layers is told where to look: at the phoneme that the next token
belongs to, give or take two symbols. The idea is that of guided attention (Tachibana et al. 2018,
arXiv:1710.08969), with a forced alignment in the place of its diagonal. The lesson leaves no trace in
the format: the model is a plain Llama.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM

REACH = 2
"""Symbols before and after the phoneme that count as well: stress marks, a late alignment."""


@contextmanager
def watched_attention(llama: LlamaForCausalLM, layers: Sequence[int]) -> Iterator[Watched]:
    """The first head of each of `layers`, in the forward passes under this context."""
    watched = Watched()
    hooks = [
        cast(nn.Module, llama.model.layers[layer].self_attn).register_forward_pre_hook(
            partial(watched.keep, layer), with_kwargs=True
        )
        for layer in layers
    ]
    try:
        yield watched
    finally:
        for hook in hooks:
            hook.remove()


class Watched:
    """The watched heads' attention."""

    def __init__(self) -> None:
        self._seen: dict[int, tuple[Any, dict[str, Any]]] = {}

    def keep(self, layer: int, module: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        """Remember a layer's input."""
        self._seen[layer] = (module, named)

    def distance(self, place: Tensor) -> Tensor:
        """Mean over heads and queries of -log(attention within `REACH` of `place` [B, T]); -1 counts as no query."""
        asked = place >= 0
        reach = torch.arange(-REACH, REACH + 1, device=place.device)
        keys = place[asked][:, None] + reach
        losses = []
        for module, named in self._seen.values():
            log_attention = self._log_attention(module, named)[asked]
            near = log_attention.gather(1, keys.clamp(min=0)).masked_fill(keys < 0, -torch.inf)
            losses.append(-near.logsumexp(1).mean())
        return torch.stack(losses).mean() if asked.any() else place.new_zeros((), dtype=torch.float32)

    @staticmethod
    def _log_attention(module: Any, named: dict[str, Any]) -> Tensor:
        """Log of the first head's attention, float32 [B, T, T]."""
        from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

        hidden, (cosines, sines) = named["hidden_states"], named["position_embeddings"]
        size = module.head_dim
        query = nn.functional.linear(hidden, module.q_proj.weight[:size])[:, None]
        key = nn.functional.linear(hidden, module.k_proj.weight[:size])[:, None]
        query, key = apply_rotary_pos_emb(query, key, cosines, sines)
        scores = (query @ key.transpose(2, 3))[:, 0].float() * module.scaling
        future = torch.ones(scores.shape[1:], dtype=torch.bool, device=scores.device).triu(1)
        return cast(Tensor, scores.masked_fill(future, -torch.inf).log_softmax(-1))
