"""Consensus: of N candidates, the one that the others agree with most.

Minimum Bayes risk over the pool (arXiv 2510.19471 for recognition): the risk of a candidate is its mean
distance to its siblings. What was asked for plays no part, so this also works where the verifier's own score
cannot be trusted; candidates of equal risk are ranked by it.

By transcript, the distance is errors / longer transcript in words (characters in Chinese), as the protocol of
the verifier's error rate writes them: punctuation is no disagreement. By embedding (`speaker`, `emotion`) it is
1 - cosine.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np

from search.budget import Budget
from search.rounds import Pool, RoundSearch
from search.selection import ranks
from search.strategy import SearchResult
from tts_eval.edits import compare, words
from tts_eval.errors import ConfigError
from tts_eval.text import Languages, language_code, load_languages, protocols
from tts_eval.types import Request, Sampling, Score, Synthesizer, Verifier

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Consensus:
    """The candidate that is closest to all others."""

    sampling: Sampling
    run_seed: int = 0
    by: str = "transcript"
    """What candidates are compared by: `transcript` or `embedding`; the verifier must give it."""

    @property
    def compares(self) -> str:
        """What scores must bring along; stored ones have no embeddings."""
        return self.by

    def __post_init__(self) -> None:
        if self.by not in ("transcript", "embedding"):
            raise ConfigError([f"by is '{self.by}'; expected transcript or embedding."])

    def search(
        self, requests: Sequence[Request], synthesizer: Synthesizer, verifier: Verifier, budget: Budget
    ) -> Iterator[SearchResult]:
        """One result per request, in order.

        Raises:
            ConfigError: the verifier gives no transcripts, or no embeddings.
        """
        engine = RoundSearch(
            sampling=self.sampling,
            run_seed=self.run_seed,
            wanted=lambda pool: budget.candidates,
            order=by_embedding if self.by == "embedding" else partial(by_transcript, languages=languages_of(verifier)),
        )
        return engine.search(requests, synthesizer, verifier, budget)


def languages_of(verifier: Verifier) -> Languages:
    """The text protocol, by language, that the verifier (or the first of a selection rule) scores transcripts by."""
    names = (metric.protocol for part in getattr(verifier, "parts", [verifier]) for metric in part.metrics)
    return next((load_languages(name) for name in names if name in protocols), {})


def by_transcript(pool: Pool, languages: Languages) -> list[int]:
    """Rank of each candidate: the lowest risk first, then the best score; without a transcript behind the others.

    A language that `languages` does not cover is compared as it was written down.

    Raises:
        ConfigError: the verifier gives no transcripts.
    """
    transcripts = _given(
        pool,
        lambda score: score.details.get("transcript"),
        "Consensus compares transcripts, and the verifier gives none. Use --verifier asr:tiny.en.",
    )
    protocol = languages.get(language_code(pool.request.language))
    heard = [protocol.normalise_hypothesis(text) if protocol else text for text in transcripts.values()]
    return _ranked(pool, list(transcripts), risk([words(text) for text in heard], _edits))


def by_embedding(pool: Pool) -> list[int]:
    """The same, of what the first verifier with embeddings compares by.

    Raises:
        ConfigError: the verifier gives no embeddings.
    """
    vectors = _given(
        pool,
        lambda score: score.embedding,
        "by=embedding compares embeddings, and the verifier gives none. Use --verifier speaker.",
    )
    return _ranked(pool, list(vectors), risk(list(vectors.values()), _angle))


def _given(pool: Pool, part: Callable[[Score], T | None], problem: str) -> dict[int, T]:
    """What judged candidates are compared by, by position; those that a cascade dropped may have none.

    Raises:
        ConfigError: nobody has one, although somebody was heard by all.
    """
    judged = _judged(pool)
    found = {position: given for position in judged if (given := part(pool.scores[position])) is not None}
    if not found and any(pool.scores[position].spared_calls == 0 for position in judged):
        raise ConfigError([problem])
    return found


def _judged(pool: Pool) -> list[int]:
    return [position for position, merit in enumerate(pool.merits) if merit is not None]


def _ranked(pool: Pool, compared: Sequence[int], risks: np.ndarray) -> list[int]:
    risk_of = dict(zip(compared, np.round(risks, 12), strict=True))
    order = sorted(_judged(pool), key=lambda i: (risk_of.get(i, math.inf), -(pool.merits[i] or 0.0), i))
    values: list[float | None] = [None] * len(pool.merits)
    for rank, position in enumerate(order):
        values[position] = -float(rank)
    return ranks(values)


def risk(candidates: Sequence[T], distance: Callable[[T, T], float]) -> np.ndarray:
    """Mean distance [N] of each candidate to the others; 0 where there are none."""
    count = len(candidates)
    distances = np.zeros((count, count))
    for i in range(count):
        for j in range(i):
            distances[i, j] = distances[j, i] = distance(candidates[i], candidates[j])
    means: np.ndarray = distances.sum(axis=1) / max(count - 1, 1)
    return means


def _edits(first: Sequence[str], second: Sequence[str]) -> float:
    """Edits between two transcripts as a share of the longer one, from 0 to 1."""
    longest = max(len(first), len(second))
    if not first or not second:
        return float(longest > 0)
    return compare(first, second).counts.errors / longest


def _angle(first: np.ndarray, second: np.ndarray) -> float:
    """1 - cosine, from 0 to 2."""
    lengths = float(np.linalg.norm(first) * np.linalg.norm(second))
    return 1.0 - float(first @ second) / lengths if lengths else 1.0
