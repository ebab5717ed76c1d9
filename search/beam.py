"""Step-wise beam search (Llasa, arXiv 2502.04128, section 3.4): judge, keep the best, expand, again.

Every half second (25 tokens of a 50 Hz codec) each of 16 beams has been continued in 16 ways; the
verifier hears all of them and the best 16 go on. The paper starts from one beam and so do we: all
16 x 16 first steps are samples of their own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from search.beams import Beam, Guidance, best, decisions_within
from search.budget import Budget
from search.process import ProcessSearch
from search.strategy import SearchResult
from tts_eval.errors import ConfigError
from tts_eval.types import Request, Sampling, Synthesizer, Verifier


@dataclass(frozen=True, slots=True, kw_only=True)
class BeamSearch:
    """Keep the best beams, expand each."""

    sampling: Sampling
    run_seed: int = 0
    then: Verifier | None = None
    step: float = 0.5
    """Seconds of speech between two decisions."""
    expand: int = 16
    """Continuations of each beam."""
    keep: str = "16"
    """Beams that go on; `4-8-16` is one width per decision, the last one stays."""
    until: float = 0.0
    """Seconds of speech that are guided, the rest is sampled freely; 0 guides to the end."""
    lookahead: float = 0.0
    """Judge a beam by what it would say so many seconds later."""

    def __post_init__(self) -> None:
        problems = []
        try:
            is_right = min(self.widths) >= 1
        except ValueError:
            is_right = False
        if not is_right:
            problems.append(f"keep is '{self.keep}'; expected a number of beams, or one per decision: 4-8-16.")
        problems += amiss(step=self.step, expand=self.expand, until=self.until, lookahead=self.lookahead)
        if problems:
            raise ConfigError(problems)

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

        guidance = Guidance(
            step_seconds=self.step,
            decisions=decisions_within(self.until, self.step),
            width=widths[0] * self.expand,
            keep=keep,
            expand=self.expand,
            lookahead_seconds=self.lookahead,
        )
        engine = ProcessSearch(guidance=guidance, sampling=self.sampling, run_seed=self.run_seed, then=self.then)
        return engine.search(requests, synthesizer, verifier, budget)


def amiss(**options: float) -> list[str]:
    """What is wrong with the options of a process search, as problems of a ConfigError."""
    from_zero = ("until", "lookahead")
    return [
        f"{name} is {value}; expected {'0 or more' if name in from_zero else 'more than 0'}."
        for name, value in options.items()
        if not math.isfinite(value) or value < 0 or (value == 0 and name not in from_zero)
    ]
