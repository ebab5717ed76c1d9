"""One run as a leaderboard sees it: what was chosen, by every judge, and what that cost. No candidates are kept."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from reports.pools import chosen_of
from reports.read_run import read_run
from reports.results import JudgedMetric, RunResults
from reports.search_cost import search_cost
from reports.statistics import Sums
from reports.summary import cluster_of, cluster_unit
from tts_eval.errors import DataError, StoreError


class Identity(NamedTuple):
    """Two numbers that agree in this may be ranked: metric, text protocol, and the judge's full name."""

    metric: str
    protocol: str
    judge: str


@dataclass(frozen=True, slots=True, eq=False)
class Judgement:
    """One metric of the chosen clips."""

    judged: JudgedMetric
    sums: Sums
    """Over the requests."""
    n: int
    """Requests that the judge gave a number for."""

    @property
    def identity(self) -> Identity:
        """Which metric it is."""
        return Identity(self.judged.metric.name, self.judged.metric.protocol, self.judged.judge)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class RunLine:
    """One run."""

    name: str
    suite: str
    """NAME@VERSION, and what of it was run."""
    synthesizer: str
    strategy: str
    n: int
    request_ids: tuple[str, ...]
    requests_digest: str
    """Of ids, texts and references, in any order: runs that have it in common were asked the same."""
    clusters: tuple[str, ...]
    cluster_unit: str
    judgements: Mapping[Identity, Judgement]
    """The first metric of each judge."""
    generator_seconds: float
    """Of one request; so are all costs."""
    choosing_seconds: float
    tokens: float
    candidates: int
    missing: int
    """Candidates that are not there yet."""
    unjudged: int
    """Scores of candidates that are not there yet."""

    @property
    def suite_name(self) -> str:
        """NAME@VERSION alone."""
        return self.suite.partition(", ")[0]

    @property
    def is_finished(self) -> bool:
        """Whether nothing is missing; what failed is not missing."""
        return not self.missing and not self.unjudged

    @property
    def what_is_missing(self) -> str:
        """In words; "" where nothing is."""
        parts = [
            f"{self.missing:,} of {self.candidates:,} candidates are missing" if self.missing else "",
            f"{self.unjudged:,} scores are missing" if self.unjudged else "",
        ]
        return " and ".join(filter(None, parts))


def read_line(folder: Path) -> RunLine:
    """The run in a folder.

    Raises:
        TTSEvalError: there is none, it is damaged, of another version, or it has no requests.
    """
    with other_versions_named(folder):
        return line_of(read_run(folder))


@contextlib.contextmanager
def other_versions_named(folder: Path) -> Iterator[None]:
    """Turn what rows of another version raise (a column that is not there, another type) into an error that says so.

    Raises:
        StoreError: in its place.
    """
    try:
        yield
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise StoreError(
            f"{folder} is damaged, or was written by another version of tts-eval ({error!r}). "
            "Run 'tts-eval run' on it again."
        ) from error


def line_of(results: RunResults) -> RunLine:
    """The line of a run.

    Raises:
        DataError: it has no requests.
    """
    if not results.requests:
        raise DataError(f"Run '{results.name}' has no requests.")
    cost, requests = search_cost(results), results.requests
    candidates = [candidate for request in requests for candidate in request.candidates]
    keys = dict.fromkeys(judged.verifier_key for judged in results.metrics)
    return RunLine(
        name=results.name,
        suite=results.suite,
        synthesizer=results.synthesizer,
        strategy=results.strategy,
        n=results.n,
        request_ids=tuple(request.id for request in requests),
        requests_digest=_digest(results),
        clusters=tuple(cluster_of(request) for request in requests),
        cluster_unit=cluster_unit(requests),
        judgements=_judgements(results),
        generator_seconds=cost.generator_seconds / len(requests),
        choosing_seconds=max(cost.verifier_seconds, 0.0) / len(requests),
        tokens=cost.tokens / len(requests),
        candidates=len(candidates),
        missing=sum(not c.is_made for c in candidates),
        unjudged=sum(
            key not in c.scores and key not in c.spared for c in candidates if c.audio is not None for key in keys
        ),
    )


def _judgements(results: RunResults) -> dict[Identity, Judgement]:
    first: dict[str, JudgedMetric] = {}
    for judged in results.metrics:
        first.setdefault(judged.verifier_key, judged)
    found: dict[Identity, Judgement] = {}
    for judged in first.values():
        pool = chosen_of(results, judged)
        one = Judgement(
            judged, Sums(pool.sums.numerators[:, 0], pool.sums.denominators[:, 0]), int(pool.is_scored.sum())
        )
        found.setdefault(one.identity, one)
    return found


def _digest(results: RunResults) -> str:
    asked = sorted((request.id, request.text, request.reference_digest) for request in results.requests)
    return hashlib.sha256(json.dumps(asked).encode("utf-8")).hexdigest()


def in_order(sums: Sums, ids: tuple[str, ...], wanted: tuple[str, ...]) -> Sums:
    """Sums over requests `ids`, in the order `wanted` of the same requests."""
    place = {name: index for index, name in enumerate(ids)}
    return sums.take(np.array([place[name] for name in wanted]))
