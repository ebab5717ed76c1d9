"""Sequential Monte Carlo: particles that are resampled by how much their score has risen.

With a score r and the pull 1 / tau, the particles tend to samples of p(audio) exp(r / tau) as their
number grows (the potential of a step is exp((r_now - r_before) / tau), so that the product over a
path is that of its last score). Unlike arg-max, this goes on with second bests, which makes it
harder to fool the verifier (Puri et al., 2025, for language models).

Resampling is systematic: a particle with weight w gets floor(N w) or ceil(N w) places, so equal
scores resample to every particle once, and the search is plain sampling.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from search.beam import amiss
from search.beams import Beam, Guidance, decisions_within
from search.budget import Budget
from search.process import ProcessSearch
from search.strategy import SearchResult, require_absolute
from tts_eval.errors import ConfigError
from tts_eval.types import Request, Sampling, Synthesizer, Verifier


@dataclass(frozen=True, slots=True, kw_only=True)
class ParticleSearch:
    """Particles that multiply where the score rises."""

    sampling: Sampling
    run_seed: int = 0
    then: Verifier | None = None
    particles: int = 16
    tau: float = 0.1
    """Rise of the score that makes a particle e times as likely to go on."""
    step: float = 0.5
    """Seconds of speech between two decisions."""
    until: float = 0.0
    """Seconds of speech that are guided; 0 guides to the end."""
    lookahead: float = 0.0
    """Judge a particle by what it would say so many seconds later."""

    def __post_init__(self) -> None:
        if problems := amiss(
            particles=self.particles, tau=self.tau, step=self.step, until=self.until, lookahead=self.lookahead
        ):
            raise ConfigError(problems)

    def search(
        self, requests: Sequence[Request], synthesizer: Synthesizer, verifier: Verifier, budget: Budget
    ) -> Iterator[SearchResult]:
        """One result per request, in order; the pool is the particles that are left, each once.

        Raises:
            ConfigError: the verifier's scores are places among siblings, which neither rise nor fall.
        """
        require_absolute(verifier, "smc")
        guidance = Guidance(
            step_seconds=self.step,
            decisions=decisions_within(self.until, self.step),
            width=self.particles,
            keep=lambda pool, decision, random: resample(pool, self.tau, random),
            lookahead_seconds=self.lookahead,
        )
        engine = ProcessSearch(guidance=guidance, sampling=self.sampling, run_seed=self.run_seed, then=self.then)
        return engine.search(requests, synthesizer, verifier, budget)


def resample(pool: Sequence[Beam], tau: float, random: np.random.Generator) -> list[int]:
    """As many positions as there are particles, by weight; notes in each particle what it was weighed by."""
    weights = _weights(pool, tau)
    points = (np.arange(len(pool)) + random.random()) / len(pool)
    edges = np.cumsum(weights / weights.sum())
    # A hair lower, so that rounding cannot push a point that lies on an edge over it.
    return [int(p) for p in np.minimum(np.searchsorted(edges * (1 + 1e-12), points), len(pool) - 1)]


def _weights(pool: Sequence[Beam], tau: float) -> np.ndarray:
    """Weights [particles]: undecided ones have the mean of the decided ones, failed ones none."""
    decided = [beam for beam in pool if beam.merit is not None]
    if not decided:
        return np.ones(len(pool))
    now = np.array([(beam.merit or 0.0) / tau for beam in decided])
    before = np.array([beam.potential or 0.0 for beam in decided])
    rise = now - before
    top = rise.max()
    mean = float(np.log(np.exp(rise - top).mean()) + top)
    rises = iter(rise.tolist())
    log_weights = np.full(len(pool), -np.inf)
    for position, beam in enumerate(pool):
        if beam.merit is not None:
            log_weights[position] = next(rises)
            beam.potential = beam.merit / tau
        elif beam.is_undecided:
            log_weights[position] = mean
            beam.potential = (beam.potential or 0.0) + mean
    weights: np.ndarray = np.exp(log_weights - top)
    return weights
