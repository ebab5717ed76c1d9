"""Best-of-N with an outcome verifier: make N candidates, judge them all, return the best.

The whole pool is kept and returned: best@k for every k <= N, the oracle and random choice all come
from it afterwards (`reports.best_at_k`), so one run of N = 64 holds every smaller one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from search.budget import Budget
from search.rounds import RoundSearch
from search.strategy import SearchResult
from tts_eval.types import Request, Sampling, Synthesizer, Verifier


@dataclass(frozen=True, slots=True, kw_only=True)
class BestOfN:
    """N independent samples, the best one wins."""

    sampling: Sampling
    run_seed: int = 0

    def search(
        self, requests: Sequence[Request], synthesizer: Synthesizer, verifier: Verifier, budget: Budget
    ) -> Iterator[SearchResult]:
        """One result per request, in order. `verifier` judges whole pools."""
        engine = RoundSearch(sampling=self.sampling, run_seed=self.run_seed, wanted=lambda pool: budget.candidates)
        return engine.search(requests, synthesizer, verifier, budget)
