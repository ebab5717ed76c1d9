"""The numbers of one metric for a whole run, as arrays: the step from records to statistics.

This is where a clip without a score gets its price: the metric's `worst`. For a ratio of sums
(corpus WER) that price is `worst` times the reference length, as if every word had been deleted;
the length comes from another candidate of the request, else from its text under the metric's protocol.
A clip that a cascade spared the verifier has no price but NaN: nothing is known of it, and every
number that it would take part in is undefined.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from reports.pool import Pool
from reports.results import CandidateResult, JudgedMetric, RequestResult, RunResults
from reports.statistics import Sums
from tts_eval.errors import DataError, UnknownNameError
from tts_eval.text import language_code, load_protocol
from tts_eval.types import Score


def ranks_of(results: RunResults) -> np.ndarray:
    """The run's own ranking of every candidate, [requests, N].

    Raises:
        DataError: there are no requests, or the pools are not all of one size (the message names the first).
    """
    if not results.requests:
        raise DataError(f"Run '{results.name}' has no requests, so there is nothing to report on; generate first.")
    size = len(results.requests[0].candidates)
    for request in results.requests:
        if len(request.candidates) != size:
            raise DataError(
                f"Request '{request.id}' of run '{results.name}' has {len(request.candidates)} candidates, "
                f"the first request has {size}; best@k needs pools of one size. "
                "Failed candidates must stay in the pool; finish the run before reporting on it."
            )
    ranks = [[candidate.rank for candidate in request.candidates] for request in results.requests]
    return np.array(ranks, dtype=np.int64).reshape(len(results.requests), size)


def pool_of(results: RunResults, judged: JudgedMetric) -> Pool:
    """All values of one metric, read-only; needs pools of one size (see `ranks_of`)."""
    if judged not in results.pools:
        wanted = [*results.metrics, judged]  # at once, because what takes the time is looking at every candidate
        rows = [(request, request.candidates) for request in results.requests]
        results.pools.update(zip(wanted, _pools(rows, wanted), strict=True))
    return results.pools[judged]


def chosen_of(results: RunResults, judged: JudgedMetric) -> Pool:
    """The chosen clips as pools of one, whatever the pools' size was."""
    return _pool([(request, (request.chosen,)) for request in results.requests], judged)


def ground_truths_of(requests: Sequence[RequestResult], judged: JudgedMetric) -> Pool:
    """The recordings as pools of one; every request needs one."""
    return _pool([(request, (request.ground_truth,)) for request in requests if request.ground_truth], judged)


def resyntheses_of(requests: Sequence[RequestResult], judged: JudgedMetric) -> Pool:
    """The recordings through a codec as pools of one; every request needs one."""
    return _pool([(request, (request.resynthesis,)) for request in requests if request.resynthesis], judged)


def _pool(rows: Sequence[tuple[RequestResult, Sequence[CandidateResult]]], judged: JudgedMetric) -> Pool:
    (pool,) = _pools(rows, [judged])
    return pool


def _pools(
    rows: Sequence[tuple[RequestResult, Sequence[CandidateResult]]], metrics: Sequence[JudgedMetric]
) -> list[Pool]:
    pools = [_empty_pool(len(rows), len(rows[0][1])) for _ in metrics]
    for row, (request, candidates) in enumerate(rows):
        scores = [dict(candidate.scores.items()) for candidate in candidates]
        for judged, pool in zip(metrics, pools, strict=True):
            _fill(pool, row, request, candidates, scores, judged)
    for pool in pools:
        for numbers in (pool.sums.numerators, pool.badness):
            numbers[pool.is_spared] = np.nan
        for numbers in (pool.sums.numerators, pool.sums.denominators, pool.badness, pool.is_scored, pool.is_spared):
            numbers.setflags(write=False)
    return pools


def _empty_pool(requests: int, size: int) -> Pool:
    shape = (requests, size)
    return Pool(
        Sums(np.zeros(shape), np.ones(shape)), np.zeros(shape), np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
    )


def _fill(
    pool: Pool, row: int, request: RequestResult, candidates: Sequence[CandidateResult],
    scores: Sequence[Mapping[str, Score]], judged: JudgedMetric,
) -> None:  # fmt: skip
    """One row of a pool."""
    key = judged.verifier_key
    length = _reference_length(request, judged)
    for column, (candidate, known) in enumerate(zip(candidates, scores, strict=True)):
        score = known.get(key)
        value = number_of(score, judged)
        pool.is_scored[row, column] = value is not None
        pool.is_spared[row, column] = key in candidate.spared
        signed = judged.metric.worst if value is None else value
        pool.badness[row, column] = -signed if judged.metric.higher_is_better else signed
        parts = _parts(score, judged, value, length)
        pool.sums.numerators[row, column], pool.sums.denominators[row, column] = parts


def clip_value(candidate: CandidateResult, judged: JudgedMetric) -> float | None:
    """What the judge said of one clip; None for a failed score and for a number that is not finite."""
    return number_of(candidate.scores.get(judged.verifier_key), judged)


def number_of(score: Score | None, judged: JudgedMetric) -> float | None:
    """The metric of a score; None for a failed one and for a number that is not finite."""
    value = math.nan if score is None or score.failure is not None else score.values[judged.metric.name]
    return value if math.isfinite(value) else None


def _parts(score: Score | None, judged: JudgedMetric, value: float | None, length: float) -> tuple[float, float]:
    ratio = judged.metric.ratio_of
    # An infinite price has no mean: NaN makes the whole number undefined, which is what it is.
    worst = judged.metric.worst if math.isfinite(judged.metric.worst) else math.nan
    if ratio is None:
        return (worst if value is None else value), 1.0
    if score is None or value is None:
        return worst * length, length
    return score.values[ratio[0]], score.values[ratio[1]]


def _reference_length(request: RequestResult, judged: JudgedMetric) -> float:
    """Denominator of a clip that could not be judged."""
    if judged.metric.ratio_of is None:
        return 1.0
    for candidate in request.candidates:
        score = candidate.scores.get(judged.verifier_key)
        if score is not None and score.values.get(judged.metric.ratio_of[1], 0) > 0:
            return score.values[judged.metric.ratio_of[1]]
    try:
        length = load_protocol(judged.metric.protocol, language_code(request.language)).reference_length(request.text)
    except UnknownNameError:  # no text protocol, or it does not know the language
        length = len(request.text.split())
    return float(max(length, 1))
