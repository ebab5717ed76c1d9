"""Token embeddings that know how the codec's grid lies: codes that share a coordinate share weights.

A code of a scalar quantiser is a point on a small grid. Its embedding is the sum of one vector for
each coordinate, one for each pair of coordinates, and one of its own that starts at nothing. So what is
learned from a code holds for its neighbours at once, which matters where speech is scarce. The table is
written out in full when the model is exported: what is shipped is a plain Llama.
"""

from __future__ import annotations

from itertools import combinations

import torch
from torch import Tensor, nn

DEVIATION = 0.02


class TokenTable(nn.Module):
    """Embeddings of a vocabulary in which `codes` tokens from `first` on lie on a grid of `levels`."""

    def __init__(self, vocabulary: int, width: int, first: int, levels: tuple[int, ...]) -> None:
        super().__init__()
        self.first = first
        codes = int(torch.tensor(levels).prod())
        if first + codes > vocabulary:
            raise ValueError(f"{codes} codes from {first} on do not fit into a vocabulary of {vocabulary}")
        place = torch.cumprod(torch.tensor((1, *levels[:-1])), 0)
        coordinates = (torch.arange(codes)[:, None] // place) % torch.tensor(levels)
        parts = [coordinates[:, [axis]] for axis in range(len(levels))]
        sizes = list(levels)
        for one, other in combinations(range(len(levels)), 2):
            parts.append(coordinates[:, [one]] * levels[other] + coordinates[:, [other]])
            sizes.append(levels[one] * levels[other])
        offsets = torch.tensor([0, *sizes[:-1]]).cumsum(0)
        self.register_buffer("rows", torch.cat(parts, 1) + offsets, persistent=False)
        self.rows: Tensor
        self.own = nn.Parameter(DEVIATION * torch.randn(vocabulary, width))
        self.shared = nn.Parameter(DEVIATION * len(sizes) ** -0.5 * torch.randn(sum(sizes), width))
        with torch.no_grad():
            self.own[first : first + codes] = 0.0

    def forward(self) -> Tensor:
        """Embeddings of all tokens, [vocabulary, width]."""
        shared = nn.functional.embedding_bag(self.rows, self.shared, mode="sum")
        end = self.first + len(self.rows)
        pieces = [self.own[: self.first], self.own[self.first : end] + shared, self.own[end:]]
        return torch.cat(pieces)
