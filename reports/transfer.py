"""Which verifier to choose by: how far each agrees with each judge, and what choosing by it would gain.

Needs pools, not a search: in a run of best-of-n every metric may stand in as the verifier of any judge
with other weights, whatever the run itself chose by. So a small pilot (a few candidates of each
request, all verifiers that come into question) says what a large run would get, by the judge that
will not take part. Of several verifiers the best looks a little better than it is: it was chosen on
these very numbers.

A candidate that failed stays in, ranked last and worth the judge's worst, as in every report; a
request is left out of a pair where something was never asked (a run that was stopped, a cascade).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from reports.agreement import pair_counts, tau_b
from reports.expected_gain import REACH, best_by, beyond
from reports.pool import Pool
from reports.pools import pool_of, ranks_of
from reports.results import CandidateResult, JudgedMetric, RunResults
from reports.statistics import Bootstrap, Estimate, Interval, Sums
from reports.summary import FEWEST_CLUSTERS, bootstrap_of, column, signed
from tts_eval.errors import ConfigError

RULE = "the run's rule"
Verdict = Literal["helps", "harms", "unsettled", "too few", "n/a"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chooser:
    """What a best-of-N could choose by: a metric, or the run's own rule."""

    key: str
    """`VERIFIER_SPEC#METRIC`, or `RULE`."""
    checkpoints: frozenset[str]
    """Whose weights choose."""
    selected_on: bool
    """Whether this run chose by it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gain:
    """What the best of `n` gains over a single sample by the judge; positive is better."""

    n: int
    value: float | None
    """Beyond the pool: if more candidates change nothing."""
    straight: float | None
    """Beyond the pool: if things go straight on as in the last doubling; else the same as `value`."""
    interval: Interval | None
    """Beyond the pool: of both."""
    is_beyond: bool
    """Whether it takes more candidates than the run has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One verifier's metric and one judge's."""

    chooser: Chooser
    judged: JudgedMetric
    correlation: Estimate
    """tau-b within requests; `n` is the requests on which both tell candidates apart, the only ones that say
    anything, `n_expected` all of them."""
    gains: tuple[Gain, ...]
    pool: int
    """Candidates per request."""
    clusters: int
    """Independent draws among the requests that say anything."""

    @property
    def gain(self) -> Gain:
        """What the whole pool gives."""
        return next(gain for gain in self.gains if gain.n == self.pool)

    @property
    def verdict(self) -> Verdict:
        """What choosing by it among the whole pool does by the judge."""
        if self.gain.value is None:
            return "n/a"
        if self.clusters < FEWEST_CLUSTERS or self.gain.interval is None:
            return "too few"
        if not self.gain.interval.excludes_zero:
            return "unsettled"
        return "helps" if self.gain.value > 0 else "harms"


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """All verifiers of a run against all judges with other weights."""

    run: str
    n: int
    requests: int
    pairs: tuple[Pair, ...]
    """By judge; of each the most helpful verifier first."""
    oracles: Mapping[str, tuple[Gain, ...]]
    """By judge: what choosing by the judge itself would gain, which no verifier can beat."""

    def as_json(self) -> dict[str, object]:
        """Only str, int, finite float, bool, None, list and dict."""
        return {
            "run": self.run,
            "n": self.n,
            "requests": self.requests,
            "pairs": [_pair_json(pair) for pair in self.pairs],
            "oracles": {key: [_gain_json(gain) for gain in gains] for key, gains in self.oracles.items()},
        }


def transfer_of(results: RunResults, seed: int = 0, judges: Sequence[str] = ()) -> Transfer:
    """How the verifiers of a run transfer to its judges; no pairs where requests have one candidate each.

    Args:
        results: the run, with whole pools.
        seed: decides the resampling behind every interval.
        judges: specs of those that judge; the run's held-out judges when empty, all when it has none.

    Raises:
        DataError: there are no requests, or their pools differ in size.
        ConfigError: the run has no judge of that name.
    """
    ranks_of(results)
    judging = _judging(results, judges)
    choosing = choosers(results)
    pairs: list[Pair] = []
    oracles: dict[str, tuple[Gain, ...]] = {}
    for judged in judging if results.n > 1 else ():
        pool = _asked_only(pool_of(results, judged), results, judged)
        oracles[judged.key] = _oracle(results, judged, pool, seed)
        found = [
            _pair(results, judged, pool, chooser, order, seed)
            for chooser, order in choosing
            if judged.checkpoint not in chooser.checkpoints
        ]
        pairs += sorted(found, key=lambda pair: (pair.gain.value is None, -(pair.gain.value or 0.0)))
    return Transfer(run=results.name, n=results.n, requests=len(results.requests), pairs=tuple(pairs), oracles=oracles)


def choosers(results: RunResults) -> list[tuple[Chooser, np.ndarray]]:
    """What may choose, each with its order of every candidate, least first, [requests, N]; NaN where it was not asked.

    Of metrics of one judge that rank every pool alike (WER and corpus WER do) the first stands for all.
    """
    selecting = frozenset(judged.checkpoint for judged in results.metrics if judged.selected_on)
    found = [
        (
            Chooser(key=judged.key, checkpoints=frozenset({judged.checkpoint}), selected_on=judged.selected_on),
            _order(results, judged),
        )
        for judged in results.metrics
    ]
    if selecting:
        found.append((Chooser(key=RULE, checkpoints=selecting, selected_on=True), _rule_order(results)))
    different: dict[tuple[frozenset[str], bytes], tuple[Chooser, np.ndarray]] = {}
    for chooser, order in found:
        different.setdefault((chooser.checkpoints, _places(order).tobytes()), (chooser, order))
    return list(different.values())


def prediction_points(size: int) -> list[int]:
    """Powers of two from 2 up to `REACH` times the pool's size, and that size."""
    return sorted({2**power for power in range(1, (REACH * size).bit_length())} | {size})


def _judging(results: RunResults, judges: Sequence[str]) -> list[JudgedMetric]:
    known = {judged.verifier_key for judged in results.metrics}
    unknown = [spec for spec in judges if spec not in known]
    if unknown:
        raise ConfigError(
            [f"Run '{results.name}' has no judge '{s}'; expected one of: {', '.join(sorted(known))}." for s in unknown]
        )
    wanted = set(judges) or {judged.verifier_key for judged in results.metrics if not judged.selected_on} or known
    return [judged for judged in results.metrics if judged.verifier_key in wanted]


def _pair(
    results: RunResults, judged: JudgedMetric, pool: Pool, chooser: Chooser, order: np.ndarray, seed: int
) -> Pair:
    rows = np.flatnonzero(~(np.isnan(order) | np.isnan(pool.badness)).any(axis=1))
    size, requests = order.shape[1], [results.requests[row] for row in rows]
    bootstrap = bootstrap_of(requests, seed)
    counts = pair_counts(order[rows], pool.badness[rows])
    correlation = tau_b(counts, bootstrap)
    says = [request for request, count in zip(requests, counts, strict=True) if count[1] > 0]
    return Pair(
        chooser=chooser,
        judged=judged,
        correlation=Estimate(
            value=correlation.value, interval=correlation.interval, n=correlation.n, n_expected=len(results.requests)
        ),
        gains=_gains(best_by(pool.sums.take(rows), order[rows]), judged, bootstrap, size),
        pool=size,
        clusters=bootstrap_of(says, seed).n_clusters,
    )


def _oracle(results: RunResults, judged: JudgedMetric, pool: Pool, seed: int) -> tuple[Gain, ...]:
    rows = np.flatnonzero(~np.isnan(pool.badness).any(axis=1))
    bootstrap = bootstrap_of([results.requests[row] for row in rows], seed)
    best = best_by(pool.sums.take(rows), pool.badness[rows])
    return _gains(best, judged, bootstrap, pool.badness.shape[1])


def _gains(best: Sums, judged: JudgedMetric, bootstrap: Bootstrap, size: int) -> tuple[Gain, ...]:
    sign = 1.0 if judged.metric.higher_is_better else -1.0
    single = column(best, 0)

    def gain(n: int) -> Gain:
        reached = column(best, min(n, size) - 1)
        ends = [reached] if n <= size else [reached, beyond(best, n)]
        values = [sign * float(end.value - single.value) for end in ends]
        intervals = [signed(bootstrap.paired(single, end).absolute, sign) for end in ends]
        defined = all(math.isfinite(value) for value in values)
        both = [interval for interval in intervals if interval is not None]
        return Gain(
            n=n,
            value=values[0] if defined else None,
            straight=values[-1] if defined else None,
            interval=Interval(min(one.low for one in both), max(one.high for one in both))
            if defined and len(both) == len(ends)
            else None,
            is_beyond=n > size,
        )

    return tuple(gain(n) for n in prediction_points(size))


def _order(results: RunResults, judged: JudgedMetric) -> np.ndarray:
    pool = _asked_only(pool_of(results, judged), results, judged)
    # A search ranks what could not be judged last, whatever price reports put on it.
    return np.where(pool.is_scored | np.isnan(pool.badness), pool.badness, np.inf)


def _rule_order(results: RunResults) -> np.ndarray:
    selecting = [judged for judged in results.metrics if judged.selected_on]

    def place(candidate: CandidateResult) -> float:
        if candidate.selection_score is not None:
            return -candidate.selection_score
        is_unknown = not candidate.is_made or any(_is_unasked(candidate, judged) for judged in selecting)
        return np.nan if is_unknown else np.inf

    return np.array([[place(candidate) for candidate in request.candidates] for request in results.requests])


def _asked_only(pool: Pool, results: RunResults, judged: JudgedMetric) -> Pool:
    """The pool with NaN where the judge has not been asked, as where a cascade spared it."""
    unasked = np.array(
        [
            [not candidate.is_made or _is_unasked(candidate, judged) for candidate in request.candidates]
            for request in results.requests
        ]
    )
    return Pool(pool.sums, np.where(unasked, np.nan, pool.badness), pool.is_scored, pool.is_spared)


def _is_unasked(candidate: CandidateResult, judged: JudgedMetric) -> bool:
    return candidate.failure is None and judged.verifier_key not in candidate.scores


def _places(order: np.ndarray) -> np.ndarray:
    """How many of its pool each candidate is behind: equal for orders that rank alike."""
    places: np.ndarray = (order[:, None, :] < order[:, :, None]).sum(axis=2)
    return np.where(np.isnan(order), -1, places)


def _pair_json(pair: Pair) -> dict[str, object]:
    return {
        "verifier": pair.chooser.key,
        "selected_on": pair.chooser.selected_on,
        "judge": pair.judged.key,
        "higher_is_better": pair.judged.metric.higher_is_better,
        "correlation": pair.correlation.value,
        "correlation_ci": list(pair.correlation.interval) if pair.correlation.interval else None,
        "n": pair.correlation.n,
        "n_expected": pair.correlation.n_expected,
        "clusters": pair.clusters,
        "verdict": pair.verdict,
        "gains": [_gain_json(gain) for gain in pair.gains],
    }


def _gain_json(gain: Gain) -> dict[str, object]:
    return {
        "n": gain.n,
        "gain": gain.value,
        "straight": gain.straight,
        "ci": list(gain.interval) if gain.interval else None,
        "beyond_the_pool": gain.is_beyond,
    }
