"""The numbers of one metric for a whole run, as arrays: the step from records to statistics.

This is where a clip without a score gets its price: the metric's `worst`. For a ratio of sums
(corpus WER) that price is `worst` times the reference length, as if every word had been deleted;
the length comes from another candidate of the request, else from the words of its text.
A clip that a cascade spared the verifier has no price but NaN: nothing is known of it, and every
number that it would take part in is undefined.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reports.results import CandidateResult, JudgedMetric, RequestResult, RunResults
from reports.statistics import Sums
from tts_eval.errors import DataError


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """One metric over all candidates; every array is [requests, N]."""

    sums: Sums
    badness: np.ndarray
    """The clip's own value, signed so that less is better."""
    is_scored: np.ndarray
    """Whether the judge gave a number."""
    is_spared: np.ndarray
    """Whether a cascade kept the clip from the judge; its numbers are NaN."""

    def take(self, requests: np.ndarray) -> Pool:
        """The same for some of the requests (a mask or indices)."""
        return Pool(
            self.sums.take(requests), self.badness[requests], self.is_scored[requests], self.is_spared[requests]
        )


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
    """All values of one metric; needs pools of one size (see `ranks_of`)."""
    return _pool([(request, request.candidates) for request in results.requests], judged)


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
    shape = (len(rows), len(rows[0][1]))
    numerators, denominators = np.zeros(shape), np.ones(shape)
    badness, is_scored, is_spared = np.zeros(shape), np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
    for row, (request, candidates) in enumerate(rows):
        length = _reference_length(request, judged)
        for column, candidate in enumerate(candidates):
            value = clip_value(candidate, judged)
            is_scored[row, column] = value is not None
            is_spared[row, column] = judged.verifier_key in candidate.spared
            signed = judged.metric.worst if value is None else value
            badness[row, column] = -signed if judged.metric.higher_is_better else signed
            numerators[row, column], denominators[row, column] = _parts(candidate, judged, value, length)
    for numbers in (numerators, badness):
        numbers[is_spared] = np.nan
    return Pool(Sums(numerators, denominators), badness, is_scored, is_spared)


def clip_value(candidate: CandidateResult, judged: JudgedMetric) -> float | None:
    """What the judge said of one clip; None for a failed score and for a number that is not finite."""
    value = candidate.value(judged) if candidate.is_scored(judged) else math.nan
    return value if math.isfinite(value) else None


def _parts(candidate: CandidateResult, judged: JudgedMetric, value: float | None, length: float) -> tuple[float, float]:
    ratio = judged.metric.ratio_of
    # An infinite price has no mean: NaN makes the whole number undefined, which is what it is.
    worst = judged.metric.worst if math.isfinite(judged.metric.worst) else math.nan
    if ratio is None:
        return (worst if value is None else value), 1.0
    if value is None:
        return worst * length, length
    values = candidate.scores[judged.verifier_key].values
    return values[ratio[0]], values[ratio[1]]


def _reference_length(request: RequestResult, judged: JudgedMetric) -> float:
    """Denominator of a clip that could not be judged."""
    if judged.metric.ratio_of is not None:
        for candidate in request.candidates:
            score = candidate.scores.get(judged.verifier_key)
            if score is not None and score.values.get(judged.metric.ratio_of[1], 0) > 0:
                return score.values[judged.metric.ratio_of[1]]
    return float(max(len(request.text.split()), 1))
