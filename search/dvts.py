"""Diverse verifier tree search: independent subtrees, each of which goes on with its best beam.

After search-and-learn (Hugging Face): beams of one tree compete with each other alone, so that one
early favourite cannot take all places. One tree is beam search that keeps one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from search.beam import amiss
from search.beams import Guidance, best, decisions_within
from search.budget import Budget
from search.process import ProcessSearch
from search.strategy import SearchResult
from tts_eval.errors import ConfigError
from tts_eval.types import Request, Sampling, Synthesizer, Verifier


@dataclass(frozen=True, slots=True, kw_only=True)
class DiverseTrees:
    """Several greedy searches side by side."""

    sampling: Sampling
    run_seed: int = 0
    then: Verifier | None = None
    trees: int = 16
    expand: int = 16
    """Continuations of each tree's beam."""
    step: float = 0.5
    """Seconds of speech between two decisions."""
    until: float = 0.0
    """Seconds of speech that are guided; 0 guides to the end."""
    lookahead: float = 0.0
    """Judge a beam by what it would say so many seconds later."""

    def __post_init__(self) -> None:
        if problems := amiss(
            trees=self.trees, expand=self.expand, step=self.step, until=self.until, lookahead=self.lookahead
        ):
            raise ConfigError(problems)

    def search(
        self, requests: Sequence[Request], synthesizer: Synthesizer, verifier: Verifier, budget: Budget
    ) -> Iterator[SearchResult]:
        """One result per request, in order; the pool has one candidate of each tree."""
        guidance = Guidance(
            step_seconds=self.step,
            decisions=decisions_within(self.until, self.step),
            trees=self.trees,
            width=self.expand,
            keep=lambda pool, decision, random: best(pool, 1),
            expand=self.expand,
            lookahead_seconds=self.lookahead,
        )
        engine = ProcessSearch(guidance=guidance, sampling=self.sampling, run_seed=self.run_seed, then=self.then)
        return engine.search(requests, synthesizer, verifier, budget)
