"""Outcome search: candidates are made whole, in rounds, until a strategy has enough of them.

    ask how many more -> generate for all requests -> judge -> ... -> rank

Best-of-N asks once. A strategy that looks at scores asks again after each round; whole pools are
judged every time, as a selection rule compares candidates with their siblings (behind
`RememberingVerifier` only what is new costs anything). Under a budget a round has no more candidates than it
pays for if all of them ramble until they are cut, one at least: so no more than one goes over it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from search.budget import Budget
from search.selection import ranks
from search.strategy import SearchResult, merits
from tts_eval.execution import batched
from tts_eval.seeds import candidate_seed
from tts_eval.types import Candidate, Cost, Item, Job, Request, Sampling, Score, Synthesizer, Verifier

CANDIDATES_AT_ONCE = 64
"""Candidates that are generated and judged together; bounds memory, and lets models batch across requests."""
USUAL_POOL = 4
"""Candidates that a request gets where a budget or the scores decide, whatever it may get at most."""


@dataclass(slots=True, eq=False)
class Pool:
    """What a request has so far."""

    request: Request
    candidates: list[Candidate] = field(default_factory=list)
    scores: list[Score] = field(default_factory=list)
    merits: list[float | None] = field(default_factory=list)
    """The scores' values, higher is better; None where there is none."""
    cost: Cost = field(default_factory=Cost)
    """Of making and judging them; what a cascade spared is counted at the end, in the result."""


def by_merit(pool: Pool) -> list[int]:
    """Rank of each candidate: the best score first."""
    return ranks(pool.merits)


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundSearch:
    """The engine of every strategy that chooses among finished candidates."""

    sampling: Sampling
    run_seed: int
    wanted: Callable[[Pool], int]
    """How many more candidates a pool should get; none is asked for beyond the budget."""
    looks_at_scores: bool = False
    """Whether `wanted` needs the scores of the candidates so far."""
    order: Callable[[Pool], list[int]] = by_merit
    """Rank of each candidate of a finished pool."""

    def search(
        self, requests: Sequence[Request], synthesizer: Synthesizer, verifier: Verifier, budget: Budget
    ) -> Iterator[SearchResult]:
        """One result per request, in order."""
        is_open = self.looks_at_scores or budget.is_limited
        size = min(budget.candidates, USUAL_POOL) if is_open else budget.candidates
        judges_each_round = self.looks_at_scores or budget.seconds < float("inf")
        for chunk in batched(requests, max(CANDIDATES_AT_ONCE // size, 1)):
            pools = [Pool(request) for request in chunk]
            while grown := self._grow(pools, synthesizer, budget):
                if judges_each_round:
                    _judge(grown, verifier)
            if not judges_each_round:
                _judge(pools, verifier)
            yield from (self._result(pool) for pool in pools)

    def _grow(self, pools: Sequence[Pool], synthesizer: Synthesizer, budget: Budget) -> list[Pool]:
        """Give each pool what it wants and can afford; returns the pools that have grown."""
        numbers = [self._number(pool, budget) for pool in pools]
        jobs = [
            self._job(pool.request, len(pool.candidates) + extra)
            for pool, number in zip(pools, numbers, strict=True)
            for extra in range(number)
        ]
        if not jobs:
            return []
        made = iter(synthesizer.generate(jobs))
        for pool, number in zip(pools, numbers, strict=True):
            new = [next(made) for _ in range(number)]
            pool.candidates += new
            pool.cost += sum((candidate.cost for candidate in new), Cost())
        return [pool for pool, number in zip(pools, numbers, strict=True) if number]

    def _number(self, pool: Pool, budget: Budget) -> int:
        have = len(pool.candidates)
        number = min(self.wanted(pool), budget.candidates - have)
        if not budget.is_limited or number <= 0:
            return max(number, 0)
        if not have:
            return 1
        left, mean = 1.0 - budget.share(pool.cost), budget.share(pool.cost) / have
        if left < mean / 2:
            return 0
        return min(number, max(int(left / self._dearest(pool, budget)), 1))

    def _dearest(self, pool: Pool, budget: Budget) -> float:
        """What a candidate costs that ends only when it is cut, as a share; infinity while no price is known."""
        prices = [
            budget.share(candidate.cost) / candidate.cost.audio_seconds
            for candidate in pool.candidates
            if candidate.cost.audio_seconds
        ]
        if not any(prices):
            return math.inf
        seconds = sum(candidate.cost.audio_seconds for candidate in pool.candidates)
        return max(*prices, budget.share(pool.cost) / seconds) * self.sampling.max_seconds

    def _job(self, request: Request, index: int) -> Job:
        seed = candidate_seed(self.run_seed, request.id, index)
        return Job(request=request, index=index, seed=seed, sampling=self.sampling)

    def _result(self, pool: Pool) -> SearchResult:
        spared = Cost(
            spared_calls=sum(score.spared_calls for score in pool.scores),
            spared_seconds=sum(score.spared_seconds for score in pool.scores),
        )
        return SearchResult(
            request=pool.request,
            candidates=tuple(pool.candidates),
            scores=tuple(pool.scores),
            ranks=tuple(self.order(pool)),
            cost=pool.cost + spared,
        )


def _judge(pools: Sequence[Pool], verifier: Verifier) -> None:
    """Judge whole pools in one call."""
    scores = iter(verifier.score([Item(request=p.request, candidate=made) for p in pools for made in p.candidates]))
    for pool in pools:
        new = len(pool.candidates) - len(pool.scores)
        pool.scores = [next(scores) for _ in pool.candidates]
        pool.merits = merits(pool.scores, verifier)
        pool.cost += Cost(verifier_seconds=sum(score.seconds for score in pool.scores), judgements=new)
