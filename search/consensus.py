"""Consensus: of N candidates, the one that the others agree with most, by what was heard in them.

Minimum Bayes risk over the pool (arXiv 2510.19471 for recognition): the risk of a candidate is its mean
word distance, errors / longer transcript, to its siblings' transcripts. The text that was asked for
plays no part, so this also works where the verifier's own score cannot be trusted. The verifier must
give transcripts (`asr:...`); candidates of equal risk are ranked by its score.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from search.budget import Budget
from search.rounds import Pool, RoundSearch
from search.selection import ranks
from search.strategy import SearchResult
from tts_eval.edits import compare, words
from tts_eval.errors import ConfigError
from tts_eval.types import Request, Sampling, Synthesizer, Verifier


@dataclass(frozen=True, slots=True, kw_only=True)
class Consensus:
    """The candidate that is closest to all others."""

    sampling: Sampling
    run_seed: int = 0

    def search(
        self, requests: Sequence[Request], synthesizer: Synthesizer, verifier: Verifier, budget: Budget
    ) -> Iterator[SearchResult]:
        """One result per request, in order.

        Raises:
            ConfigError: the verifier gives no transcripts.
        """
        engine = RoundSearch(
            sampling=self.sampling, run_seed=self.run_seed, wanted=lambda pool: budget.candidates, order=by_agreement
        )
        return engine.search(requests, synthesizer, verifier, budget)


def by_agreement(pool: Pool) -> list[int]:
    """Rank of each candidate: the lowest risk first, then the best score; without a transcript last."""
    judged = [position for position, merit in enumerate(pool.merits) if merit is not None]
    transcripts = [pool.scores[position].details.get("transcript") for position in judged]
    if any(transcript is None for transcript in transcripts):
        raise ConfigError(["Consensus compares transcripts, and the verifier gives none. Use --verifier asr:tiny.en."])
    risks = np.round(risk([words(transcript or "") for transcript in transcripts]), 12)
    order = sorted(range(len(judged)), key=lambda i: (risks[i], -(pool.merits[judged[i]] or 0.0), i))
    values: list[float | None] = [None] * len(pool.merits)
    for rank, i in enumerate(order):
        values[judged[i]] = -float(rank)
    return ranks(values)


def risk(transcripts: Sequence[Sequence[str]]) -> np.ndarray:
    """Mean distance [N] of each transcript, as words, to the others; 0 where there are none."""
    count = len(transcripts)
    distances = np.zeros((count, count))
    for i in range(count):
        for j in range(i):
            distances[i, j] = distances[j, i] = _distance(transcripts[i], transcripts[j])
    means: np.ndarray = distances.sum(axis=1) / max(count - 1, 1)
    return means


def _distance(first: Sequence[str], second: Sequence[str]) -> float:
    """Edits between two transcripts as a share of the longer one, from 0 to 1."""
    longest = max(len(first), len(second))
    if not first or not second:
        return float(longest > 0)
    return compare(first, second).counts.errors / longest
