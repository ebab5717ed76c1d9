"""A sweep's tables: one for people (a row per cell and budget), one for machines (a row per metric as well)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from reports.formatting import UNDEFINED, difference_text, interval_text, number
from reports.results import JudgedMetric
from reports.statistics import Estimate
from reports.summary import FEWEST_CLUSTERS
from reports.sweep import SETTLED, CellCost, CellMetric, CellSummary, SweepSummary
from reports.sweep_baseline import is_best_of_n
from reports.tables import HELD_OUT, SELECTED_ON, Cell, Column, Table, escape_markdown, to_markdown
from tts_eval.types import Metric

if TYPE_CHECKING:
    import pandas

COSTS = ("tokens", "flops", "audio_seconds", "generator_seconds", "verifier_seconds", "verifier_calls")


def sweep_table(summary: SweepSummary) -> Table:
    """One row per cell and budget: every judge's first metric, and what a request cost."""
    columns = (
        Column("Cell", essential_detail=False), Column("Budget"),
        *(Column(f"{judged.metric.name} by {judged.verifier_key}", numeric=True) for judged in summary.shown),
        Column("Scored", numeric=True, essential=False), Column("Tokens", numeric=True),
        Column("GFLOPs", numeric=True, essential=False), Column("Audio", numeric=True, essential=False),
        Column("Synthesizer", numeric=True, essential=False), Column("Verifiers", numeric=True, essential=False),
        Column("Verifier calls", numeric=True, essential=False),
    )  # fmt: skip
    rows = tuple((Cell(cell.name, _search(cell)), Cell(cell.config.budget or "none"),
                  *(_metric_cell(cell, judged) for judged in summary.shown), *_cost_cells(cell, summary))
                 for cell in summary.cells)  # fmt: skip
    return Table("Sweep", columns, rows, tuple(_notes(summary)))


def tradeoff_table(summary: SweepSummary) -> Table | None:
    """Temperatures (and top-p) against every metric, as DiTAR's Table 6; None where none of them varies."""
    lines = summary.tradeoffs
    if not lines:
        return None
    columns = (
        Column("Cell"), Column("Budget"), Column("Temperature", numeric=True), Column("Top-p", numeric=True),
        *(Column(f"{judged.metric.name} by {judged.verifier_key}", numeric=True) for judged in summary.shown),
    )  # fmt: skip
    rows = tuple(
        (
            Cell(cell.name),
            Cell(cell.config.budget or "none"),
            Cell(f"{cell.config.temperature:g}"),
            Cell(f"{cell.config.top_p:g}"),
            *(_value_cell(cell.metric(judged.key)) for judged in summary.shown),
        )
        for line in lines
        for cell in line
    )
    return Table("Temperature trade-off", columns, rows)


def failures_table(summary: SweepSummary) -> Table | None:
    """Cells without results, and why; None where there are none."""
    rows = tuple(
        (Cell(cell.row), Cell(str(seed)), Cell(failure))
        for cell in summary.cells
        for seed, failure in cell.failures.items()
    )
    return Table("Failed cells", (Column("Cell"), Column("Seed"), Column("Why")), rows) if rows else None


def lacking_lines(summary: SweepSummary) -> list[str]:
    """What some seeds lack, and the commands that mend it."""
    return [
        f"{judge} has not judged seed {seed}, so what it said of other seeds is not shown. Have it judge all of them, "
        f"then sweep again: tts-eval score DIR/seed-{seed} --judge {judge}"
        for judge, seeds in summary.lacking.items()
        for seed in seeds
    ]


def render_sweep(summary: SweepSummary, figures: Iterable[tuple[str, str]]) -> str:
    """The report as Markdown; `figures` are titles and paths relative to it."""
    seeds = sorted({seed for cell in summary.cells for seed in (*cell.seeds, *cell.failures)})
    facts = f"Suite {summary.suite}; synthesizer {summary.synthesizer}; seeds {', '.join(map(str, seeds))}."
    tables = (failures_table(summary), sweep_table(summary), tradeoff_table(summary))
    parts = [
        f"# {escape_markdown(summary.name)}",
        escape_markdown(facts),
        *(to_markdown(table) for table in tables if table is not None),
        *(f"## {escape_markdown(title)}\n\n![{escape_markdown(title)}]({path})" for title, path in figures),
    ]
    return "\n\n".join(parts) + "\n"


def sweep_records(summary: SweepSummary) -> list[dict[str, Any]]:
    """One flat record per cell, budget and metric: numbers, None where undefined."""
    return [_record(cell, metric) for cell in summary.cells for metric in cell.metrics]


def sweep_frame(summary: SweepSummary) -> pandas.DataFrame:
    """The same as a table."""
    import pandas

    return pandas.DataFrame(sweep_records(summary))


def sweep_json(summary: SweepSummary, report: str) -> dict[str, Any]:
    """The machine-readable summary."""
    return {
        "sweep": summary.name,
        "suite": summary.suite,
        "synthesizer": summary.synthesizer,
        "clusters": summary.clusters,
        "cluster_unit": summary.cluster_unit,
        "rows": sweep_records(summary),
        "failures": [
            {"row": cell.row, "seed": seed, "failure": failure}
            for cell in summary.cells
            for seed, failure in cell.failures.items()
        ],
        "lacking": [{"judge": judge, "seed": seed} for judge, seeds in summary.lacking.items() for seed in seeds],
        "report": report,
    }


def _record(cell: CellSummary, metric: CellMetric) -> dict[str, Any]:
    config, judged = cell.config, metric.judged
    return {
        "cell": cell.name,
        "row": cell.row,
        "strategy": config.strategy,
        "budget": config.budget,
        "n": config.n,
        "temperature": config.temperature,
        "top_p": config.top_p,
        "verifier": config.verifier,
        "then": config.then,
        "seeds": len(cell.seeds),
        "seeds_expected": len(cell.seeds) + len(cell.failures),
        "metric": judged.key,
        "judge": judged.judge,
        "protocol": judged.metric.protocol,
        "selected_on": judged.selected_on,
        **_estimate_record(metric.value, ""),
        "scored": metric.value.n,
        "expected": metric.value.n_expected,
        "baseline": cell.baseline,
        **_estimate_record(metric.difference, "difference"),
        "p": metric.p,
        "p_holm": metric.p_corrected,
        "verdict": metric.verdict,
        **{name: getattr(cell.cost, name) if cell.cost else None for name in COSTS},
        "selection_score": cell.selection_score,
    }


def _estimate_record(estimate: Estimate | None, name: str) -> dict[str, float | None]:
    prefix = f"{name}_" if name else ""
    low, high = (estimate.interval if estimate else None) or (None, None)
    return {name or "value": estimate.value if estimate else None, f"{prefix}low": low, f"{prefix}high": high}


def _search(cell: CellSummary) -> str:
    """What was searched, and what it is compared with."""
    config = cell.config
    chosen = f"{config.verifier}, then {config.then}" if config.then else config.verifier
    compared = f"\nagainst {cell.baseline}" if cell.baseline else ""
    return f"{config.strategy}, n = {config.n}, by {chosen}{compared}"


def _metric_cell(cell: CellSummary, judged: JudgedMetric) -> Cell:
    """Value and interval; below it the difference to best-of-N, and whether this judge took part in the choice."""
    metric = cell.metric(judged.key)
    shown = _value_cell(metric)
    if metric is None:
        return shown
    details = [shown.detail, SELECTED_ON if metric.judged.selected_on else HELD_OUT]
    if metric.difference is not None:
        change = difference_text(metric.difference.value, judged.metric)
        details.insert(1, f"{change} {interval_text(metric.difference.interval, judged.metric)}, {metric.verdict}")
    return Cell(shown.text, "\n".join(filter(None, details)))


def _value_cell(metric: CellMetric | None) -> Cell:
    if metric is None:
        return Cell(UNDEFINED)
    definition: Metric = metric.judged.metric
    interval = interval_text(metric.value.interval, definition, signed=False)
    return Cell(number(metric.value.value, definition), "" if interval == UNDEFINED else interval)


def _cost_cells(cell: CellSummary, summary: SweepSummary) -> tuple[Cell, ...]:
    cost = cell.cost
    if cost is None:
        return tuple(Cell(UNDEFINED) for _ in range(7))
    metrics = [metric for judged in summary.shown if (metric := cell.metric(judged.key))]
    scored = min((metric.value.n for metric in metrics), default=0)
    expected = max((metric.value.n_expected for metric in metrics), default=0)
    return (Cell(f"{scored}/{expected}"), *(Cell(text) for text in _cost_texts(cost)))


def _cost_texts(cost: CellCost) -> tuple[str, ...]:
    return (
        f"{cost.tokens:,.0f}" if cost.tokens else UNDEFINED,
        UNDEFINED if cost.flops is None else f"{cost.flops / 1e9:,.1f}",
        f"{cost.audio_seconds:.1f} s",
        f"{cost.generator_seconds:.2f} s",
        f"{cost.verifier_seconds:.2f} s",
        f"{cost.verifier_calls:.1f}",
    )


def _notes(summary: SweepSummary) -> list[str]:
    notes = [
        f"First number: mean over requests and seeds. Brackets: 95 % bootstrap over {summary.clusters} "
        f"{summary.cluster_unit}s, each with its mean over the seeds. Below: paired difference to best-of-n at the "
        "same budget (without a budget: with the same n), in the row that stands below the cell's name; better or "
        "worse where its interval excludes 0 and its permutation p-value, after Holm among all differences of this "
        f"sweep, is at most {SETTLED}; alone: only its interval says so; too few: fewer than {FEWEST_CLUSTERS} to "
        "draw from. Costs are per request.",
        f"'{SELECTED_ON}': that judge took part in this cell's choice, so its number flatters the cell. "
        f"Believe what is {HELD_OUT}.",
    ]
    above = [cell for cell in summary.cells if cell.failures]
    if above:
        notes.append(f"Failed for some seed: {', '.join(cell.row for cell in above)}.")
    alone = [cell.row for cell in summary.cells if cell.cost and not cell.baseline and not is_best_of_n(cell.config)]
    if alone:
        notes.append(f"No best-of-n of the same sampling and budget (without a budget: n) for: {', '.join(alone)}.")
    return [*notes, *lacking_lines(summary)]
