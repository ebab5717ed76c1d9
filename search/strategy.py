"""What a search strategy is, and the strategies by name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from tts_eval.registry import Registry
from tts_eval.types import Candidate, Cost, Request, Sampling, Score, Synthesizer, Verifier


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What a search may spend on each request."""

    candidates: int


@dataclass(frozen=True, kw_only=True)
class SearchResult:
    """What a search did for one request."""

    request: Request
    candidates: tuple[Candidate, ...]
    """The pool, by index."""
    scores: tuple[Score, ...]
    ranks: tuple[int, ...]
    """0 is the chosen one."""
    cost: Cost = field(default_factory=Cost)

    @property
    def chosen(self) -> Candidate:
        """The candidate that the search returns."""
        return self.candidates[self.ranks.index(0)]


class Strategy(Protocol):
    """Spends a budget between a synthesizer and a verifier."""

    def search(
        self, requests: Sequence[Request], synthesizer: Synthesizer, verifier: Verifier, budget: Budget
    ) -> Iterator[SearchResult]:
        """One result per request, in order, as they are found."""
        ...


class StrategyFactory(Protocol):
    """Makes a strategy from the settings that all of them share."""

    def __call__(self, *, sampling: Sampling, run_seed: int) -> Strategy:
        """The strategy, ready to search."""
        ...


strategies: Registry[StrategyFactory] = Registry("strategy", "strategies", entry_point_group="tts_eval.strategies")
strategies.add("best-of-n", "search.best_of_n:BestOfN", "N independent samples, the best one wins")
