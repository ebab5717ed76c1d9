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
from typing import ClassVar

import numpy as np

from search.beams import Beam
from search.budget import Budget
from search.guided import GuidedSearch
from search.strategy import SearchResult, require_absolute
from tts_eval.types import Request, Synthesizer, Verifier


@dataclass(frozen=True, slots=True, kw_only=True)
class ParticleSearch(GuidedSearch):
    """Particles that multiply where the score rises."""

    needs_absolute: ClassVar[bool] = True

    particles: int = 16
    tau: float = 0.1
    """Rise of the score that makes a particle e times as likely to go on."""

    def search(
        self, requests: Sequence[Request], synthesizer: Synthesizer, verifier: Verifier, budget: Budget
    ) -> Iterator[SearchResult]:
        """One result per request, in order; the pool is the particles that are left, each once.

        Raises:
            ConfigError: the verifier's scores are places among siblings, which neither rise nor fall.
        """
        require_absolute(verifier, "smc")
        return self._hunt(
            requests, synthesizer, verifier, budget, width=self.particles,
            keep=lambda pool, decision, random: resample(pool, self.tau, random),
        )  # fmt: skip


def resample(pool: Sequence[Beam], tau: float, random: np.random.Generator) -> list[int]:
    """As many positions as there are particles, by weight; notes in each particle what it was weighed by."""
    weights = _weights(pool, tau)
    points = (np.arange(len(pool)) + random.random()) / len(pool)
    edges = np.cumsum(weights / weights.sum())
    # A hair lower, so that rounding cannot push a point that lies on an edge over it.
    return [int(p) for p in np.minimum(np.searchsorted(edges * (1 + 1e-12), points), len(pool) - 1)]


def _weights(pool: Sequence[Beam], tau: float) -> np.ndarray:
    """Weights [particles]: undecided ones have the mean of the decided ones, failed ones none (unless all did)."""
    decided = [beam for beam in pool if beam.merit is not None]
    if not decided:
        waiting = np.array([float(beam.is_undecided) for beam in pool])
        return waiting if waiting.any() else np.ones(len(pool))
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
