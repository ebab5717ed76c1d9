"""How different the answers still are that a search gives: what choosing narrows down.

Two searches of N candidates each, for the same request, from candidates that they do not share: how
often do their winners say the same, and how far apart are they in manner? Both searches are drawn from
the one pool, so all N up to half of it can be asked, exactly. Distance is that of the 28 numbers of
`tts_eval.prosody` (pitch, loudness, voice colour, rhythm), each in units of how much it varies within
a request: squared Euclid, so that its mean over two independent draws is twice their variance.
Independence of the two is the point: in one pool all searches of its full size have the same winner.

Not seen: whether the variety was any good.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from reports.best_at_k import best_at_k
from reports.manner import Manner
from reports.pools import ranks_of
from reports.results import RequestResult, RunResults
from reports.statistics import Bootstrap, Estimate, Sums
from reports.summary import bootstrap_of, column

TRANSCRIPT = "transcript"
"""Key of `Score.details` under which a recogniser says what it heard."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Variety:
    """What is left of a pool's variety by the best of `n`. Each number is None where nothing can be said of it."""

    n: int
    differing: Estimate | None
    """How often two independent winners say different words."""
    spread: Estimate | None
    """Mean squared distance in manner of two independent winners, relative to that of two candidates."""
    pitch_range: Estimate | None
    """Octaves between the 10th and the 90th percentile of the winner's pitch, of winners that have a clear pitch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diversity:
    """The variety of a run's pools, and of what is chosen from them."""

    candidates: int
    """Per request."""
    different: Estimate | None
    """How many different transcripts a request's candidates have."""
    heard_by: str
    """The recogniser whose transcripts they are; "" where there is none."""
    by_n: tuple[Variety, ...]


def diversity_of(
    results: RunResults, points: list[int], manner: Mapping[str, Manner] | None = None, seed: int = 0
) -> Diversity:
    """How varied the winners of the run's own rule are, for each number of candidates in `points`.

    Args:
        results: the run, with whole pools.
        points: numbers of candidates, each at most the pool's size.
        manner: of the candidates that were measured, by the path of their audio.
        seed: decides the resampling behind every interval.

    Raises:
        DataError: there are no requests, or their pools differ in size.
    """
    ranks = ranks_of(results)
    heard_by = _recogniser(results)
    said = _Said.of(results, ranks, heard_by, seed)
    measured = _Measured.of(results, ranks, manner or {}, seed)
    return Diversity(
        candidates=ranks.shape[1],
        different=said.different() if said and ranks.shape[1] > 1 else None,
        heard_by=heard_by,
        by_n=tuple(
            Variety(
                n=n,
                differing=said.differing(n) if said else None,
                spread=measured.spread(n) if measured else None,
                pitch_range=measured.pitch_range(n) if measured else None,
            )
            for n in points
        ),
    )


@lru_cache(maxsize=32)
def winner_pairs(size: int, n: int) -> np.ndarray:
    """Chance that two searches, of `n` candidates each and none in common, choose the ranks r and s: [size, size].

    With r < s: the first searches r and n - 1 others behind r, the second s and n - 1 others behind s. Those
    of the second are counted first, so of the `size` - 1 - r behind r the first may draw what they leave.

    Raises:
        ValueError: there are fewer than 2 `n` candidates.
    """
    if not 1 <= n <= size // 2:
        raise ValueError(f"Two searches of {n} candidates need {2 * n}, and the pool has {size}.")
    logs = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, size + 1)))])  # of the factorials

    def log_ways(pool: np.ndarray, drawn: int) -> np.ndarray:
        is_possible = pool >= drawn
        inside = np.where(is_possible, pool, drawn)
        ways: np.ndarray = np.where(is_possible, logs[inside] - logs[drawn] - logs[inside - drawn], -np.inf)
        return ways

    behind = size - 1 - np.arange(size)
    first, second = log_ways(behind - n, n - 1)[:, None], log_ways(behind, n - 1)[None, :]
    both = log_ways(np.array(size), n) + log_ways(np.array(size - n), n)
    chances: np.ndarray = np.triu(np.exp(first + second - both), k=1)
    chances += chances.T.copy()
    chances.setflags(write=False)
    return chances


def in_order_of_rank(values: np.ndarray, ranks: np.ndarray) -> np.ndarray:
    """Per request its candidates' values, best ranked first; both start with [requests, N]."""
    return values[np.arange(len(values))[:, None], np.argsort(ranks, axis=1)]


@dataclass(frozen=True, slots=True, eq=False)
class _Said:
    """What was heard of every candidate, best ranked first."""

    words: np.ndarray
    """[requests, N]; equal numbers in a row are equal words."""
    unique: np.ndarray
    bootstrap: Bootstrap

    @classmethod
    def of(cls, results: RunResults, ranks: np.ndarray, heard_by: str, seed: int) -> _Said | None:
        if not heard_by:
            return None
        words = np.array([_numbered(_words(request, heard_by)) for request in results.requests], dtype=np.int32)
        unique = words.max(axis=1, initial=-1) + 1.0
        return cls(in_order_of_rank(words, ranks), unique, bootstrap_of(results.requests, seed))

    def different(self) -> Estimate:
        return _estimate(Sums.of_means(self.unique), self.bootstrap, len(self.unique))

    def differing(self, n: int) -> Estimate | None:
        size = self.words.shape[1]
        if 2 * n > size:
            return None
        pairs = winner_pairs(size, n)
        share = np.array([((row[:, None] != row[None, :]) * pairs).sum() for row in self.words])
        return _estimate(Sums.of_means(share), self.bootstrap, len(share))


@dataclass(frozen=True, slots=True, eq=False)
class _Measured:
    """The manner of every candidate of the requests all of whose candidates were measured."""

    distances: np.ndarray
    """[requests, N, N], best ranked first."""
    bootstrap: Bootstrap
    ranks: np.ndarray
    pitch_ranges: Sums
    """[requests, N], by candidate index: range and 1, or 0 and 0 for a clip without a clear pitch."""
    expected: int

    @classmethod
    def of(cls, results: RunResults, ranks: np.ndarray, manner: Mapping[str, Manner], seed: int) -> _Measured | None:
        found = [
            [manner.get(candidate.audio or "") for candidate in request.candidates] for request in results.requests
        ]
        rows = [row for row, entries in enumerate(found) if None not in entries]
        if not rows:
            return None
        values = np.array([[entry.numbers for entry in found[row] if entry] for row in rows], dtype=np.float64)
        within = np.sqrt(values.var(axis=1).mean(axis=0))
        varied = (values - values.mean(axis=1, keepdims=True))[:, :, within > 1e-9] / within[within > 1e-9]
        ordered = in_order_of_rank(varied, ranks[rows])
        ranges = np.array(
            [
                [np.nan if entry.pitch_range is None else entry.pitch_range for entry in found[row] if entry]
                for row in rows
            ]
        )
        lengths = (ordered**2).sum(axis=2)
        products = ordered @ ordered.transpose(0, 2, 1)
        return cls(
            distances=np.maximum(lengths[:, :, None] + lengths[:, None, :] - 2 * products, 0.0),
            bootstrap=bootstrap_of([results.requests[row] for row in rows], seed),
            ranks=ranks[rows],
            pitch_ranges=Sums(np.nan_to_num(ranges), np.isfinite(ranges).astype(np.float64)),
            expected=len(results.requests),
        )

    def spread(self, n: int) -> Estimate | None:
        size = self.distances.shape[1]
        if 2 * n > size:
            return None
        left, whole = ((self.distances * winner_pairs(size, count)).sum(axis=(1, 2)) for count in (n, 1))
        return _estimate(Sums(left, whole), self.bootstrap, self.expected)

    def pitch_range(self, n: int) -> Estimate:
        estimate = _estimate(column(best_at_k(self.pitch_ranges, self.ranks), n - 1), self.bootstrap, self.expected)
        return replace(estimate, n=int(self.pitch_ranges.denominators.any(axis=1).sum()))


def _recogniser(results: RunResults) -> str:
    """The first recogniser, held-out ones first, that says what it heard."""
    for key in dict.fromkeys(judged.verifier_key for judged in results.metrics):
        for request in results.requests:
            for candidate in request.candidates:
                if key in candidate.scores and TRANSCRIPT in candidate.scores[key].details:
                    return key
    return ""


def _words(request: RequestResult, heard_by: str) -> list[str]:
    """What was heard of each candidate, without case and punctuation; nothing of one that failed."""
    heard = [candidate.scores.get(heard_by) for candidate in request.candidates]
    return [
        " ".join(re.findall(r"\w+", score.details.get(TRANSCRIPT, "").casefold())) if score else "" for score in heard
    ]


def _numbered(words: list[str]) -> list[int]:
    """The same number for the same words, from 0."""
    numbers: dict[str, int] = {}
    return [numbers.setdefault(some, len(numbers)) for some in words]


def _estimate(sums: Sums, bootstrap: Bootstrap, expected: int) -> Estimate:
    value = float(sums.value)
    fine = math.isfinite(value)
    return Estimate(
        value=value if fine else None,
        interval=bootstrap.interval(sums) if fine else None,
        n=len(sums.numerators),
        n_expected=expected,
    )
