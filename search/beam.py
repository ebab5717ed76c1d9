"""Step-wise beam search (Llasa, arXiv 2502.04128, section 3.4): judge, keep the best, expand, again.

Every half second (25 tokens of a 50 Hz codec) each of 16 beams has been continued in 16 ways; the
verifier hears all of them and the best 16 go on. The paper starts from one beam and so do we: all
16 x 16 first steps are samples of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from search.beams import Beam, best
from search.budget import Budget
from search.guided import GuidedSearch
from search.strategy import SearchResult
from tts_eval.types import Request, Synthesizer, Verifier


@dataclass(frozen=True, slots=True, kw_only=True)
class BeamSearch(GuidedSearch):
    """Keep the best beams, expand each."""

    expand: int = 16
    """Continuations of each beam."""
    keep: str = "16"
    """Beams that go on; `4-8-16` is one width per decision, the last one stays."""

    def _problems(self) -> list[str]:
        try:
            is_right = min(self.widths) >= 1
        except ValueError:
            is_right = False
        return [] if is_right else [f"keep is '{self.keep}'; expected a number of beams, or one per decision: 4-8-16."]

    @property
    def widths(self) -> list[int]:
        """Beams kept at each decision; the last width stays."""
        return [int(width) for width in self.keep.split("-")]

    def search(
        self, requests: Sequence[Request], synthesizer: Synthesizer, verifier: Verifier, budget: Budget
    ) -> Iterator[SearchResult]:
        """One result per request, in order; the pool is the beams that were kept at the end."""
        widths = self.widths

        def keep(pool: Sequence[Beam], decision: int, _: np.random.Generator) -> list[int]:
            return best(pool, widths[min(decision, len(widths) - 1)])

        return self._hunt(
            requests, synthesizer, verifier, budget, keep=keep, width=widths[0] * self.expand, expand=self.expand
        )
