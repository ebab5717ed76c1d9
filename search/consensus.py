"""Consensus: of N candidates, the one that the others agree with most, by what was heard in them.

Minimum Bayes risk over the pool (arXiv 2510.19471 for recognition): the risk of a candidate is its mean
distance in words (characters in Chinese), errors / longer transcript, to its siblings' transcripts, as
the protocol of the verifier's error rate writes them: punctuation is no disagreement. The text that was
asked for plays no part, so this also works where the verifier's own score cannot be trusted. The
verifier must give transcripts (`asr:...`); candidates of equal risk are ranked by its score.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from search.budget import Budget
from search.rounds import Pool, RoundSearch
from search.selection import ranks
from search.strategy import SearchResult
from tts_eval.edits import compare, words
from tts_eval.errors import ConfigError
from tts_eval.text import Languages, language_code, load_languages, protocols
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
            sampling=self.sampling,
            run_seed=self.run_seed,
            wanted=lambda pool: budget.candidates,
            order=partial(by_agreement, languages=languages_of(verifier)),
        )
        return engine.search(requests, synthesizer, verifier, budget)


def languages_of(verifier: Verifier) -> Languages:
    """The text protocol, by language, that the verifier (or the first of a selection rule) scores transcripts by."""
    names = (metric.protocol for part in getattr(verifier, "parts", [verifier]) for metric in part.metrics)
    return next((load_languages(name) for name in names if name in protocols), {})


def by_agreement(pool: Pool, languages: Languages) -> list[int]:
    """Rank of each candidate: the lowest risk first, then the best score; without a transcript last.

    A language that `languages` does not cover is compared as it was written down.
    """
    judged = [position for position, merit in enumerate(pool.merits) if merit is not None]
    transcripts = [pool.scores[position].details.get("transcript") for position in judged]
    if any(transcript is None for transcript in transcripts):
        raise ConfigError(["Consensus compares transcripts, and the verifier gives none. Use --verifier asr:tiny.en."])
    protocol = languages.get(language_code(pool.request.language))
    heard = [protocol.normalise_hypothesis(text or "") if protocol else text or "" for text in transcripts]
    risks = np.round(risk([words(text) for text in heard]), 12)
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
