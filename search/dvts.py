"""Diverse verifier tree search: independent subtrees, each of which goes on with its best beam.

After search-and-learn (Hugging Face): beams of one tree compete with each other alone, so that one
early favourite cannot take all places. One tree is beam search that keeps one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from search.beams import best
from search.budget import Budget
from search.guided import GuidedSearch
from search.strategy import SearchResult
from tts_eval.types import Request, Synthesizer, Verifier


@dataclass(frozen=True, slots=True, kw_only=True)
class DiverseTrees(GuidedSearch):
    """Several greedy searches side by side."""

    trees: int = 16
    expand: int = 16
    """Continuations of each tree's beam."""

    def search(
        self, requests: Sequence[Request], synthesizer: Synthesizer, verifier: Verifier, budget: Budget
    ) -> Iterator[SearchResult]:
        """One result per request, in order; the pool has one candidate of each tree."""
        return self._hunt(
            requests, synthesizer, verifier, budget, keep=lambda pool, decision, random: best(pool, 1),
            width=self.expand, trees=self.trees, expand=self.expand,
        )  # fmt: skip
