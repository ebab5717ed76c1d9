"""Early rejection: N samples are begun, judged after two seconds, and only the best go on to the end.

Best-of-N for less: what is dropped costs its beginning alone. Where the
verifier cannot tell anything yet, all go on.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from search.beams import Guidance, best
from search.budget import Budget
from search.guided import amiss
from search.process import ProcessSearch
from search.strategy import SearchResult
from tts_eval.errors import ConfigError
from tts_eval.types import Request, Sampling, Synthesizer, Verifier


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlyRejection:
    """Drop what begins badly."""

    sampling: Sampling
    run_seed: int = 0
    then: Verifier | None = None
    after: float = 2.0
    """Seconds of speech that are heard before candidates are dropped; `speaker` needs 1.5."""
    share: float = 0.5
    """Part of the candidates that goes on; one at least."""

    def __post_init__(self) -> None:
        problems = amiss(after=self.after, share=self.share)
        if self.share > 1:
            problems.append(f"share is {self.share}; expected a part, up to 1.")
        if problems:
            raise ConfigError(problems)

    def search(
        self, requests: Sequence[Request], synthesizer: Synthesizer, verifier: Verifier, budget: Budget
    ) -> Iterator[SearchResult]:
        """One result per request, in order; the pool is the candidates that were not dropped."""
        places = max(math.ceil(budget.candidates * self.share - 1e-9), 1)
        guidance = Guidance(
            step_seconds=self.after,
            until_seconds=self.after,
            width=budget.candidates,
            keep=lambda pool, decision, random: best(pool, places),
        )
        engine = ProcessSearch(guidance=guidance, sampling=self.sampling, run_seed=self.run_seed, then=self.then)
        return engine.search(requests, synthesizer, verifier, budget)
