"""Best-of-N with an outcome verifier: make N candidates, judge them all, return the best.

The whole pool is kept and returned: best@k for every k <= N, the oracle and random choice all come
from it afterwards (`reports.best_at_k`), so one run of N = 64 holds every smaller one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from search.selection import ranks
from search.strategy import Budget, SearchResult
from tts_eval.execution import batched
from tts_eval.seeds import candidate_seed
from tts_eval.types import Candidate, Cost, Item, Job, Request, Sampling, Score, Synthesizer, Verifier

POOLS_AT_ONCE = 64
"""Candidates that are generated and judged together; bounds memory, and lets verifiers batch across requests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BestOfN:
    """N independent samples, the best one wins."""

    sampling: Sampling
    run_seed: int = 0

    def search(
        self, requests: Sequence[Request], synthesizer: Synthesizer, verifier: Verifier, budget: Budget
    ) -> Iterator[SearchResult]:
        """One result per request, in order. `verifier` judges whole pools and is better when higher."""
        for chunk in batched(requests, max(POOLS_AT_ONCE // budget.candidates, 1)):
            jobs = [self._job(request, index) for request in chunk for index in range(budget.candidates)]
            candidates = synthesizer.generate(jobs)
            items = [Item(request=job.request, candidate=made) for job, made in zip(jobs, candidates, strict=True)]
            scores = verifier.score(items)
            for position, request in enumerate(chunk):
                pool = slice(position * budget.candidates, (position + 1) * budget.candidates)
                yield _result(request, candidates[pool], scores[pool], verifier)

    def _job(self, request: Request, index: int) -> Job:
        seed = candidate_seed(self.run_seed, request.id, index)
        return Job(request=request, index=index, seed=seed, sampling=self.sampling)


def _result(
    request: Request, candidates: Sequence[Candidate], scores: Sequence[Score], verifier: Verifier
) -> SearchResult:
    sign = 1.0 if verifier.metrics[0].higher_is_better else -1.0
    order = ranks([None if score.value is None else sign * score.value for score in scores])
    cost = sum((candidate.cost for candidate in candidates), Cost())
    judged = Cost(
        verifier_seconds=sum(score.seconds for score in scores),
        spared_calls=sum(score.spared_calls for score in scores),
        spared_seconds=sum(score.spared_seconds for score in scores),
    )
    return SearchResult(
        request=request, candidates=tuple(candidates), scores=tuple(scores), ranks=tuple(order), cost=cost + judged
    )
