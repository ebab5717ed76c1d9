"""A sweep in numbers: every cell at its budget over all seeds, beside best-of-N at the same budget.

A number of a cell is taken request by request: first the mean over the seeds, then the bootstrap over
requests (or speakers), so that seeds count as repetitions of the same requests and not as more of them.
All cells are seen through the same draws, and every difference is paired. What a cell cost is what its
search spent: tokens that another cell had stored already count as if it had made them itself, and judges
that only report count for nobody.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from reports.multiple_comparisons import holm
from reports.permutation import permutation_p
from reports.pools import pool_of, ranks_of
from reports.read_run import results_of
from reports.results import JudgedMetric, RunResults
from reports.search_cost import search_cost
from reports.statistics import Bootstrap, Estimate, Interval, Sums
from reports.summary import FEWEST_CLUSTERS, bootstrap_of, cluster_of, cluster_unit
from reports.sweep_baseline import baseline_of
from search.rule_text import parse_rule
from tts_eval.columns import RunColumns
from tts_eval.config import RunConfig, sampling_of
from tts_eval.errors import DataError
from tts_eval.manifest import read_manifest
from tts_eval.sweep_folder import Cell, Outcome, read_sweep
from tts_eval.types import Cost

SETTLED = 0.05
"""Largest corrected p-value of a difference that is called better or worse."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CellMetric:
    """One metric of one cell."""

    judged: JudgedMetric
    """With whether this very judge took part in this cell's choice."""
    value: Estimate
    difference: Estimate | None
    """To best-of-N at the same budget; None for that cell itself, and where there is none."""
    p: float | None
    """Of the permutation test of the difference; None where there is no difference."""
    p_corrected: float | None
    """The same after Holm, among all differences of the sweep."""
    clusters: int

    @property
    def verdict(self) -> str:
        """Whether the difference is settled: better, worse, unsettled, too few; "" where there is none.

        "better alone" and "worse alone" would be settled if they were the only ones asked about.
        """
        if self.difference is None or self.difference.value is None:
            return ""
        if self.difference.interval is None or self.clusters < FEWEST_CLUSTERS:
            return "too few"
        if not self.difference.interval.excludes_zero:
            return "unsettled"
        side = "better" if (self.difference.value > 0) == self.judged.metric.higher_is_better else "worse"
        return side if self.p_corrected is not None and self.p_corrected <= SETTLED else f"{side} alone"


@dataclass(frozen=True, slots=True, kw_only=True)
class CellCost:
    """What the search of one request cost, on average."""

    tokens: float
    flops: float | None
    """None where nobody counted them."""
    audio_seconds: float
    """Audio of what was made, as far as it was finished."""
    generator_seconds: float
    verifier_seconds: float
    """Of the verifiers that search."""
    verifier_calls: float
    """Clips that the search asked them about, unfinished ones too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CellSummary:
    """One row: a cell at one budget."""

    name: str
    row: str
    config: RunConfig
    """Its settings, with the first of its seeds."""
    seeds: tuple[int, ...]
    """Those with results."""
    failures: Mapping[int, str]
    """Why other seeds have none."""
    metrics: tuple[CellMetric, ...]
    cost: CellCost | None
    """None where no seed has results."""
    baseline: str
    """Row of the best-of-N that it is compared with; "" where there is none."""
    selection_score: float | None
    """Mean score of what was chosen by the rule that guided; None where the rule gives places, not scores."""

    def metric(self, key: str) -> CellMetric | None:
        """The metric with that key."""
        return next((metric for metric in self.metrics if metric.judged.key == key), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepSummary:
    """Everything that a sweep's report says in numbers."""

    name: str
    suite: str
    synthesizer: str
    cells: tuple[CellSummary, ...]
    metrics: tuple[JudgedMetric, ...]
    """Every metric that some cell has, the judges' first; whether it was selected on differs from cell to cell."""
    lacking: Mapping[str, tuple[int, ...]]
    """Judges that cells have for some of their seeds only, and so do not show, with the seeds that lack them."""
    clusters: int
    cluster_unit: str

    @property
    def shown(self) -> tuple[JudgedMetric, ...]:
        """The first metric of every judge: what tables and figures show."""
        first: dict[str, JudgedMetric] = {}
        for judged in self.metrics:
            first.setdefault(judged.verifier_key, judged)
        return tuple(first.values())

    @property
    def tradeoffs(self) -> list[list[CellSummary]]:
        """Searches of which there are several temperatures or top-p and nothing else differs, each by temperature."""
        lines: dict[tuple[object, ...], list[CellSummary]] = {}
        for cell in sorted(self.cells, key=lambda cell: (cell.config.temperature, cell.config.top_p)):
            config = cell.config
            search = config.strategy, config.n, config.budget, config.verifier, config.then
            lines.setdefault((*search, replace(sampling_of(config), temperature=1.0, top_p=1.0)), []).append(cell)
        return [line for line in lines.values() if len(line) > 1]

    @property
    def has_failures(self) -> bool:
        """Whether a cell has no results for one of its seeds."""
        return any(cell.failures for cell in self.cells)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class _Seen:
    """One cell with one seed, as arrays over the requests."""

    results: RunResults
    judged: Mapping[str, JudgedMetric]
    sums: Mapping[str, Sums]
    is_scored: Mapping[str, np.ndarray]
    cost: Cost
    scores: list[float | None]


class _Draws(NamedTuple):
    """What decides resamples and swaps."""

    bootstrap: Bootstrap
    clusters: Sequence[str]
    """Of each request."""
    seed: int


def summarise_sweep(folder: Path, seed: int = 0) -> SweepSummary:
    """The numbers of the sweep in `folder`; `seed` decides the resampling behind every interval.

    Raises:
        StoreError: there is no sweep, or a run of it is damaged.
        DataError: no cell has results, or cells have other requests than others.
    """
    outcomes = read_sweep(folder)
    seen = _read(folder, outcomes)
    if not seen:
        failures = "; ".join(sorted({outcome.failure for outcome in outcomes}))
        raise DataError(f"No cell of {folder} has results, so there is nothing to report on: {failures}")
    results = [one.results for by_seed in seen.values() for one in by_seed.values()]
    requests = results[0].requests
    for other in results:
        if [request.id for request in other.requests] != [request.id for request in requests]:
            raise DataError(f"The cells of {folder} have other requests than each other. Run 'tts-eval sweep' again.")
    draws = _Draws(bootstrap_of(requests, seed), [cluster_of(request) for request in requests], seed)
    cells = list({outcome.cell.row: outcome.cell for outcome in reversed(outcomes)}.values())[::-1]
    summaries = _corrected([_cell(cell, cells, outcomes, seen, draws) for cell in cells])
    keys: dict[str, JudgedMetric] = {}
    for summary in summaries:
        for metric in summary.metrics:
            keys.setdefault(metric.judged.key, metric.judged)
    is_held_out = {key: any(m.judged.key == key and not m.judged.selected_on for c in summaries for m in c.metrics)
                   for key in keys}  # fmt: skip
    return SweepSummary(
        name=folder.resolve().name,
        suite=results[0].suite,
        synthesizer=results[0].synthesizer,
        cells=tuple(summaries),
        metrics=tuple(sorted(keys.values(), key=lambda judged: not is_held_out[judged.key])),
        lacking=_lacking(seen),
        clusters=draws.bootstrap.n_clusters,
        cluster_unit=cluster_unit(requests),
    )


def _read(folder: Path, outcomes: Sequence[Outcome]) -> dict[str, dict[int, _Seen]]:
    """What each row has, by seed."""
    stores: dict[str, RunColumns] = {}
    seen: dict[str, dict[int, _Seen]] = {}
    for outcome in outcomes:
        if outcome.failure:
            continue
        cell = outcome.cell
        if cell.folder not in stores:
            stores[cell.folder] = RunColumns(folder / cell.folder)
        store = stores[cell.folder]
        manifest = read_manifest(store, outcome.manifest)
        results = results_of(store, manifest, cell.row)
        seen.setdefault(cell.row, {})[cell.config.seed] = _see(results)
    return seen


def _lacking(seen: Mapping[str, Mapping[int, _Seen]]) -> dict[str, tuple[int, ...]]:
    """Seeds without a judge that another seed of the same cell has, by judge."""
    found: dict[str, set[int]] = {}
    for by_seed in seen.values():
        judges = {seed: {judged.verifier_key for judged in one.judged.values()} for seed, one in by_seed.items()}
        for judge in set().union(*judges.values()):
            found.setdefault(judge, set()).update(seed for seed, own in judges.items() if judge not in own)
    return {judge: tuple(sorted(seeds)) for judge, seeds in sorted(found.items()) if seeds}


def _see(results: RunResults) -> _Seen:
    chosen = np.argmin(ranks_of(results), axis=1)
    rows = np.arange(len(chosen))
    sums, is_scored = {}, {}
    for judged in results.metrics:
        pool = pool_of(results, judged)
        sums[judged.key] = Sums(pool.sums.numerators[rows, chosen], pool.sums.denominators[rows, chosen])
        is_scored[judged.key] = pool.is_scored[rows, chosen]
    return _Seen(
        results=results,
        judged={judged.key: judged for judged in results.metrics},
        sums=sums,
        is_scored=is_scored,
        cost=search_cost(results),
        scores=[request.chosen.selection_score for request in results.requests],
    )


def _cell(
    cell: Cell, cells: Sequence[Cell], outcomes: Sequence[Outcome], seen: Mapping[str, Mapping[int, _Seen]],
    draws: _Draws,
) -> CellSummary:  # fmt: skip
    by_seed = seen.get(cell.row, {})
    baseline = baseline_of(cell, cells)
    before = seen.get(baseline.row, {}) if baseline else {}
    first = next(iter(by_seed.values()), None)
    scores = [score for one in by_seed.values() for score in one.scores]
    known = [score for score in scores if score is not None]
    failures = {o.cell.config.seed: o.failure for o in outcomes if o.cell.row == cell.row and o.failure}
    expected = len(by_seed) + len(failures)
    is_score = first is not None and len(known) == len(scores) and _is_absolute(cell.config)
    keys = [key for key in (first.judged if first else ()) if all(key in one.judged for one in by_seed.values())]
    return CellSummary(
        name=cell.name,
        row=cell.row,
        config=cell.config,
        seeds=tuple(by_seed),
        failures=failures,
        metrics=tuple(_metric(key, by_seed, before, expected, draws) for key in keys),
        cost=_mean_cost([one.cost for one in by_seed.values()], len(first.results.requests)) if first else None,
        baseline=baseline.row if baseline and before else "",
        selection_score=float(np.mean(known)) if is_score else None,
    )


def _is_absolute(config: RunConfig) -> bool:
    return parse_rule(config.verifier).is_absolute


def _metric(
    key: str, by_seed: Mapping[int, _Seen], before: Mapping[int, _Seen], seeds_expected: int, draws: _Draws
) -> CellMetric:
    sums = _over_seeds([one.sums[key] for one in by_seed.values()])
    n = sum(int(one.is_scored[key].sum()) for one in by_seed.values())
    common = [seed for seed in by_seed if seed in before and key in before[seed].sums]
    difference, p = None, None
    if common:
        earlier = _over_seeds([before[seed].sums[key] for seed in common])
        later = _over_seeds([by_seed[seed].sums[key] for seed in common])
        interval = draws.bootstrap.paired(earlier, later).absolute
        n_paired = sum(int((before[s].is_scored[key] & by_seed[s].is_scored[key]).sum()) for s in common)
        change = _finite(float(later.value) - float(earlier.value))
        difference = _estimate(change, interval, n_paired, seeds_expected * len(earlier.numerators))
        p = permutation_p(earlier, later, draws.clusters, np.random.default_rng([draws.seed, 1]))
    value = _finite(float(sums.value))
    return CellMetric(
        judged=next(iter(by_seed.values())).judged[key],
        value=_estimate(value, draws.bootstrap.interval(sums), n, seeds_expected * len(sums.numerators)),
        difference=difference,
        p=p,
        p_corrected=None,
        clusters=draws.bootstrap.n_clusters,
    )


def _corrected(cells: Sequence[CellSummary]) -> list[CellSummary]:
    found = iter(holm([metric.p for cell in cells for metric in cell.metrics]))
    return [
        replace(cell, metrics=tuple(replace(metric, p_corrected=next(found)) for metric in cell.metrics))
        for cell in cells
    ]


def _over_seeds(sums: Sequence[Sums]) -> Sums:
    """The mean over the seeds, request by request."""
    return Sums(np.mean([one.numerators for one in sums], axis=0), np.mean([one.denominators for one in sums], axis=0))


def _estimate(value: float | None, interval: Interval | None, n: int, n_expected: int) -> Estimate:
    return Estimate(value=value, interval=interval if value is not None else None, n=n, n_expected=n_expected)


def _mean_cost(costs: Sequence[Cost], requests: int) -> CellCost:
    total = sum(costs, Cost())
    searches = len(costs) * max(requests, 1)
    return CellCost(
        tokens=total.tokens / searches,
        flops=None if total.flops is None else total.flops / searches,
        audio_seconds=total.audio_seconds / searches,
        generator_seconds=total.generator_seconds / searches,
        verifier_seconds=max(total.verifier_seconds, 0.0) / searches,
        verifier_calls=total.judgements / searches,
    )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
