"""Rejection: sample until a candidate is good enough, N times at most.

The threshold is in units of the score that is maximised: of a verifier that is better when lower
(WER), it is negative. It means something for one metric (`asr:tiny.en`) or stored scales; rules that compare
a candidate with its siblings (sums, cascades and lexicographic ones) are refused.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from search.budget import Budget
from search.rounds import Pool, RoundSearch
from search.strategy import SearchResult, require_absolute
from tts_eval.errors import ConfigError
from tts_eval.types import Request, Sampling, Synthesizer, Verifier


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """The first candidate that passes; the best one where none does."""

    needs_absolute: ClassVar[bool] = True

    sampling: Sampling
    run_seed: int = 0
    threshold: float = 0.0
    """Score, higher is better, that is good enough."""
    batch: int = 1
    """Candidates per round."""

    def __post_init__(self) -> None:
        problems = [] if math.isfinite(self.threshold) else [f"threshold is {self.threshold}; expected a number."]
        if self.batch < 1:
            problems.append(f"batch is {self.batch}; expected 1 or more.")
        if problems:
            raise ConfigError(problems)

    def search(
        self, requests: Sequence[Request], synthesizer: Synthesizer, verifier: Verifier, budget: Budget
    ) -> Iterator[SearchResult]:
        """One result per request, in order; the pool is what was sampled.

        Raises:
            ConfigError: the verifier's scores are places among siblings.
        """
        require_absolute(verifier, "rejection")

        def wanted(pool: Pool) -> int:
            passed = any(merit is not None and merit >= self.threshold for merit in pool.merits)
            return 0 if passed else self.batch

        engine = RoundSearch(sampling=self.sampling, run_seed=self.run_seed, wanted=wanted, looks_at_scores=True)
        return engine.search(requests, synthesizer, verifier, budget)
