"""Adaptive best-of-N: stop when one more sample is not expected to be worth its price.

With k scores so far, the next one is taken to be normal with their mean and their deviation, the
latter widened by sqrt(1 + 1/k) for what k scores do not know. How much it is expected to beat the
best by is then the expected improvement of Jones, Schonlau and Welch (1998). Easy requests, whose
scores agree, stop at once; those with a wide spread go on, up to N.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from search.budget import Budget
from search.rounds import Pool, RoundSearch
from search.strategy import SearchResult, require_absolute
from tts_eval.errors import ConfigError
from tts_eval.types import Request, Sampling, Synthesizer, Verifier


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptiveBestOfN:
    """Best-of-N that stops when it no longer pays."""

    needs_absolute: ClassVar[bool] = True

    sampling: Sampling
    run_seed: int = 0
    price: float = 0.01
    """Rise of the best score that one more candidate must be expected to bring."""
    start: int = 4
    """Candidates that every request gets; two are the least that show a spread."""
    batch: int = 1
    """Candidates per round after that."""

    def __post_init__(self) -> None:
        problems = [
            f"{name} is {value}; expected {expected}."
            for name, value, is_right, expected in (
                ("price", self.price, 0.0 <= self.price < math.inf, "0 or more"),
                ("start", self.start, self.start >= 2, "2 or more"),
                ("batch", self.batch, self.batch >= 1, "1 or more"),
            )
            if not is_right
        ]
        if problems:
            raise ConfigError(problems)

    def search(
        self, requests: Sequence[Request], synthesizer: Synthesizer, verifier: Verifier, budget: Budget
    ) -> Iterator[SearchResult]:
        """One result per request, in order; the pool is what was sampled.

        Raises:
            ConfigError: the verifier's scores are places among siblings, and have other units with every sample.
        """
        require_absolute(verifier, "adaptive")

        def wanted(pool: Pool) -> int:
            if len(pool.candidates) < self.start:
                return self.start - len(pool.candidates)
            return self.batch if expected_gain(pool.merits) > self.price else 0

        engine = RoundSearch(sampling=self.sampling, run_seed=self.run_seed, wanted=wanted, looks_at_scores=True)
        return engine.search(requests, synthesizer, verifier, budget)


def expected_gain(merits: Sequence[float | None]) -> float:
    """How much one more sample is expected to raise the best score.

    A sample may fail as often as those so far did; infinite while fewer than two have a score.
    """
    scores = np.array([merit for merit in merits if merit is not None])
    if len(scores) < 2:
        return math.inf
    spread = float(scores.std(ddof=1)) * math.sqrt(1 + 1 / len(scores))
    if spread <= 1e-12 * max(1.0, float(np.abs(scores).max())):  # equal up to rounding
        return 0.0
    z = float(scores.max() - scores.mean()) / spread
    density = math.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    gain = spread * (density - z * math.erfc(z / math.sqrt(2)) / 2)
    return gain * len(scores) / len(merits)
