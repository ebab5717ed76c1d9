"""What a sweep would cost, before anything is loaded: its strategies are run on a stand-in that only costs.

Tokens, FLOPs and seconds of a sample come from a run of the same synthesizer, where there is one; else tokens
are reckoned from the text and the model family's usual rate, and seconds are unknown. Samples that cells share
count once, and what the sweep's folder holds already is not new. Not predicted: loading models, and that rows
which go on together are cheaper than alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.measured import USUAL_SPEECH, Measured, measure, measure_any
from benchmarks.models import Models
from benchmarks.pieces import Piece, Pieces
from benchmarks.stand_in import Ledger, SampleKey, StandInSynthesizer, StandInVerifier, Together
from benchmarks.sweep import check_cells
from search.budget import parse_budget
from search.remembering import selecting_verifier
from search.rule_text import load_rule
from search.strategy import SearchResult, guides, load_strategy, strategies
from tts_eval.config import RunConfig, is_whole_pool, sampling_of
from tts_eval.errors import ConfigError
from tts_eval.registry import parse_spec
from tts_eval.sweep_folder import FILE, Cell, read_sweep
from tts_eval.synthesizers import tokens_per_second
from tts_eval.types import Candidate, Cost, Request


@dataclass(frozen=True, slots=True, kw_only=True)
class CellPlan:
    """What one cell of one seed would do."""

    row: str
    seed: int
    tokens: int
    """That its searches spend, as its row in the table will say (there: per request)."""
    new_tokens: int
    """Of them, those that are neither stored nor sampled by a cell before it."""
    new_samples: int
    """Whole candidates that are neither stored nor made by a cell before it."""
    generator_seconds: float
    """For what is new."""
    verifier_seconds: float
    """For what is new, searching and judging."""
    pieces: tuple[Piece, ...] = ()
    """The same, as workers can share it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a sweep would do."""

    cells: int
    requests: int
    clusters: int
    """Speakers, where they are known, and requests without one: how many independent draws the suite has."""
    runs: tuple[CellPlan, ...]
    like: str
    """The run that the costs were measured on; "" where there is none."""
    knows_synthesizer: bool
    """Whether that run tells how long the synthesizer takes."""
    loading_seconds: float | None
    """That a worker takes to get ready, where that was measured."""
    assumptions: tuple[str, ...]
    """What was taken for granted, or is not known."""

    def total(self, name: str) -> float:
        """The sum of a number over all runs."""
        return float(sum(getattr(run, name) for run in self.runs))

    @property
    def wall_seconds(self) -> float | None:
        """Of synthesizer and verifiers, one after the other; None where the synthesizer's are not known."""
        if not self.knows_synthesizer:
            return None
        return self.total("generator_seconds") + self.total("verifier_seconds")

    def as_json(self) -> dict[str, Any]:
        """The machine-readable plan."""
        names = ("tokens", "new_tokens", "new_samples", "generator_seconds", "verifier_seconds")
        unknown = {} if self.knows_synthesizer else {"generator_seconds": None}
        return {
            "cells": self.cells,
            "requests": self.requests,
            "clusters": self.clusters,
            "like": self.like,
            "loading_seconds": self.loading_seconds,
            "assumptions": list(self.assumptions),
            "runs": [{name: getattr(run, name) for name in ("row", "seed", *names)} | unknown for run in self.runs],
            "total": {name: self.total(name) for name in names} | unknown | {"wall_seconds": self.wall_seconds},
        }


def plan_sweep(cells: Sequence[Cell], out: Path, like: Path | None = None) -> Plan:
    """What the sweep of `cells` into `out` would do, by the costs of the run `like` or of what `out` holds.

    Raises:
        ConfigError: a cell cannot work as it is set; all problems at once.
        DataError: the suite's data are not as expected.
        StoreError: `like` is no run.
    """
    models = Models()
    check_cells(cells, models)
    config = cells[0].config
    requests = models.suite(config).requests
    folders = {cell.config.seed: out / cell.folder for cell in cells}
    stored = {seed: measure_any([own], config.synth) for seed, own in folders.items()}
    like_all = measure(like, config.synth) if like else measure_any(list(folders.values()), config.synth)
    judges = config.judge or models.suite(config).judges
    ledgers = {seed: Ledger.of(own) for seed, own in stored.items()}
    done = [outcome.cell for outcome in read_sweep(out) if not outcome.failure] if (out / FILE).exists() else []
    runs = []
    for cell in cells:
        seed = cell.config.seed
        # What a seed's own folder holds is what will be found there.
        measured = like_all if like or not stored[seed].samples else stored[seed]
        run = _planned(cell, requests, judges, measured, ledgers[seed])
        if cell in done:
            run = replace(run, new_tokens=0, new_samples=0, generator_seconds=0.0, verifier_seconds=0.0, pieces=())
        runs.append(run)
    return Plan(
        cells=len({cell.row for cell in cells}),
        requests=len(requests),
        clusters=len({request.speaker or f"request {request.id}" for request in requests}),
        runs=tuple(runs),
        like=like_all.source,
        knows_synthesizer=bool(like_all.samples),
        loading_seconds=like_all.loading_seconds,
        assumptions=tuple(_assumptions(cells, requests, judges, like_all)),
    )


def _planned(
    cell: Cell, requests: Sequence[Request], judges: Sequence[str], measured: Measured, ledger: Ledger
) -> CellPlan:
    config = cell.config
    budget = parse_budget(config.budget, config.n)
    if budget.flops < math.inf and not measured.samples:
        raise ConfigError(
            [
                f"Nothing says how many FLOPs {config.synth} takes, which budget '{config.budget}' is in: "
                "give a run of it with --like RUN."
            ]
        )
    is_guided = guides(config.strategy)
    synthesizer = StandInSynthesizer(measured, tokens_per_second(config.synth), ledger)
    parts, then = (_parts(text, measured, ledger, is_noise=is_guided) for text in (config.verifier, config.then))
    is_scored = not is_guided and all(spec in measured.verifiers for spec in parts)
    strategy = load_strategy(
        config.strategy,
        sampling=sampling_of(config),
        run_seed=config.seed,
        then=Together(list(then.values())) if then else None,
    )
    guide = selecting_verifier(load_rule(config.verifier), parts) if is_scored else Together(list(parts.values()))
    results = list(strategy.search(requests, synthesizer, guide, budget))
    searching = [*parts.values(), *then.values()]
    ears = _judging(config, results, [*judges, *([] if is_whole_pool(config) else [*parts, *then])], measured, ledger)
    pieces = _candidates(synthesizer, [*searching, *ears], results)
    if not is_whole_pool(config):
        seconds = synthesizer.new.generator_seconds + sum(part.new_seconds for part in searching)
        pieces = _searches(seconds, ears, results)
    return CellPlan(
        row=cell.row,
        seed=config.seed,
        tokens=sum((result.cost for result in results), Cost()).tokens,
        new_tokens=synthesizer.new.tokens,
        new_samples=len(synthesizer.fresh),
        generator_seconds=synthesizer.new.generator_seconds,
        verifier_seconds=sum(part.new_seconds for part in (*searching, *ears)),
        pieces=pieces,
    )


def _parts(rule: str, measured: Measured, ledger: Ledger, *, is_noise: bool) -> dict[str, StandInVerifier]:
    specs = load_rule(rule).verifiers if rule else ()
    return {spec: StandInVerifier(spec, measured, ledger, is_noise=is_noise) for spec in specs}


def _judging(
    config: RunConfig, results: Sequence[SearchResult], specs: Sequence[str], measured: Measured, ledger: Ledger
) -> list[StandInVerifier]:
    """Verifiers that have heard what the run keeps: of whole pools every candidate, else what was chosen."""
    ears = [StandInVerifier(spec, measured, ledger, is_noise=False) for spec in dict.fromkeys(specs)]
    for one in ears:
        for result in results:
            for made in result.candidates if is_whole_pool(config) else [result.chosen]:
                if guides(config.strategy):
                    one.hear_anew(made.sampling, result.request, made.index)
                else:
                    one.hear(made.sampling, result.request, made.index)
    return ears


def _candidates(
    synthesizer: StandInSynthesizer, verifiers: Sequence[StandInVerifier], results: Sequence[SearchResult]
) -> tuple[Piece, ...]:
    """What has to be made and heard, candidate by candidate."""
    pieces = Pieces()
    for key, cost in synthesizer.fresh.items():
        pieces.make(key, cost.generator_seconds, cost.audio_seconds)
    _add_heard(pieces, verifiers, results)
    return pieces.done()


def _searches(seconds: float, judges: Sequence[StandInVerifier], results: Sequence[SearchResult]) -> tuple[Piece, ...]:
    """The searches of all requests, which take so long together, and who hears what they choose."""
    pieces = Pieces()
    total = sum(result.cost.generator_seconds for result in results)
    for result in results if seconds else []:
        share = result.cost.generator_seconds / total if total else 1.0 / len(results)
        pieces.make(_key(result, result.chosen), share * seconds, result.chosen.cost.audio_seconds)
    _add_heard(pieces, judges, results)
    return pieces.done()


def _add_heard(pieces: Pieces, verifiers: Sequence[StandInVerifier], results: Sequence[SearchResult]) -> None:
    audio = {_key(result, made): made.cost.audio_seconds for result in results for made in result.candidates}
    for verifier in verifiers:
        for key in verifier.fresh:
            pieces.hear(key, verifier.name, verifier.seconds, audio.get(key, 0.0))


def _key(result: SearchResult, made: Candidate) -> SampleKey:
    return made.sampling, result.request.id, made.index


def _assumptions(
    cells: Sequence[Cell], requests: Sequence[Request], judges: Sequence[str], measured: Measured
) -> list[str]:
    config = cells[0].config
    rate = tokens_per_second(config.synth)
    notes = []
    if not measured.samples:
        tokens = f"{rate:g} tokens a second" if rate else "no tokens (how many it samples is not known)"
        notes.append(
            f"No run of {config.synth} was found (--like RUN), so its time is not known. "
            f"Samples are taken to have {USUAL_SPEECH:g} characters and {tokens}."
        )
    elif missing := [request.id for request in requests if request.id not in measured.samples]:
        notes.append(
            f"{len(missing)} of {len(requests)} requests are not in {measured.source}: reckoned by their text."
        )
    specs = {spec for cell in cells for spec in load_rule(cell.config.verifier).verifiers}
    specs |= {spec for cell in cells if cell.config.then for spec in load_rule(cell.config.then).verifiers}
    if unknown := sorted((specs | set(judges)) - set(measured.verifier_seconds)):
        notes.append(f"Not measured, and counted as 0 seconds: {', '.join(unknown)}.")
    for cell in {cell.config.strategy: cell for cell in cells}.values():
        name, specs = cell.config.strategy, set(load_rule(cell.config.verifier).verifiers)
        stops_early = getattr(strategies.load(parse_spec(name).name), "needs_absolute", False) and not guides(name)
        known = {spec for samples in measured.samples.values() for spec in samples[0].scores}
        if stops_early and not specs <= known:
            notes.append(f"{name} stops by scores, of which none are known: counted as if it never stopped early.")
    if any(guides(cell.config.strategy) for cell in cells):
        notes.append("Guided searches are reckoned with noise for scores, and a whole clip's time for a part of it.")
    return notes
