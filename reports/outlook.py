"""What a suite could show at all, before anything is spent: the spread of a run that exists, at the suite's size.

Asked of one sample against what was chosen. Two searches differ less within a request than that, so their
difference may show somewhat earlier.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reports.detectable import detectable_difference
from reports.pools import pool_of, ranks_of
from reports.results import JudgedMetric, RunResults
from reports.sides import not_there
from reports.statistics import Sums
from reports.summary import cluster_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """One metric of a suite."""

    judged: JudgedMetric
    detectable: float
    """Least absolute difference that is likely to be shown; see `reports.detectable`."""


def outlook_of(results: RunResults, clusters: int, requests: int) -> list[Outlook]:
    """The first metric of every judge that took no part in the run's choice, for a suite of some size.

    Empty for a run of one candidate per request, in which nothing was chosen, and for one with a single cluster.
    Requests that the run is not through with are left out: one failure does not differ from another.

    Args:
        results: the run.
        clusters: of the suite, speakers or requests.
        requests: of the suite.
    """
    if results.n < 2:
        return []
    chosen = ranks_of(results).argmin(axis=1)
    clusters_of = np.array([cluster_of(request) for request in results.requests])
    first: dict[str, JudgedMetric] = {}
    for judged in results.metrics:
        if not judged.selected_on:
            first.setdefault(judged.verifier_key, judged)
    found = []
    for judged in first.values():
        sums = pool_of(results, judged).sums
        waiting = set(not_there(results, [judged.verifier_key]))
        rows = np.flatnonzero([request.id not in waiting for request in results.requests])
        one, best = (Sums(sums.numerators[rows, at], sums.denominators[rows, at]) for at in (0, chosen[rows]))
        names = clusters_of[rows].tolist()
        difference = detectable_difference(one, best, names, n_clusters=clusters, per_cluster=requests / clusters)
        if difference is not None:
            found.append(Outlook(judged=judged, detectable=difference))
    return found
