"""`tts-eval sweep`: a grid of searches, one table, one figure per metric."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks.grid import parse_grid
from benchmarks.sweep import run_sweep
from reports.sweep import SweepSummary
from reports.sweep_page import write_sweep_report
from reports.sweep_tables import failures_table, lacking_lines, sweep_json, sweep_table, tradeoff_table
from reports.tables import to_rich
from tts_eval.cli.folders import worked_on
from tts_eval.cli.progress_lines import ProgressKind, show
from tts_eval.config import read_yaml


def sweep_command(
    grid: Annotated[Path, typer.Argument(metavar="SWEEP.yaml", help="Settings of runs; lists are axes.")],
    out: Annotated[
        str | None, typer.Option(help="Folder of the sweep, or a URL (s3://...); default runs/NAME of the file.")
    ] = None,
    executor: Annotated[
        str | None, typer.Option(show_default="the file's", help="Who works: serial, or ray for many at once.")
    ] = None,
    address: Annotated[
        str | None, typer.Option(show_default="this machine", help="Ray cluster: HEAD:6379, ray://HEAD:10001 or auto.")
    ] = None,
    resources: Annotated[
        str | None, typer.Option(show_default="worked out", help="YAML file with the workers of each stage.")
    ] = None,
    progress: Annotated[
        ProgressKind, typer.Option(help="Bars in a terminal, or JSON lines on standard error.")
    ] = ProgressKind.BARS,
    as_json: Annotated[bool, typer.Option("--json", help="End with one JSON object on standard output.")] = False,
) -> None:
    """Run a grid of strategies, budgets, temperatures and seeds, or go on with one that was stopped."""
    flags = {"executor": executor, "address": address, "resources": resources}
    cells = parse_grid(read_yaml(grid) | {name: value for name, value in flags.items() if value is not None})
    with worked_on(out or default_folder(grid), is_new=True) as folder:
        with show(progress) as bars:
            run_sweep(cells, folder, bars)
        Console(stderr=True).print()
        summary = finish_sweep(folder, as_json=as_json)
    raise typer.Exit(exit_code(summary, max(cell.config.fail_on for cell in cells)))


def finish_sweep(folder: Path, *, as_json: bool = False) -> SweepSummary:
    """Write everything derived, print the tables, and return the numbers."""
    summary = write_sweep_report(folder)
    console = Console(stderr=as_json)
    for table in (failures_table(summary), sweep_table(summary), tradeoff_table(summary)):
        if table is not None:
            console.print(to_rich(table))
            console.print()
    for line in lacking_lines(summary):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    page = folder / "report" / "sweep.md"
    console.print(f"report   {page}", markup=False, highlight=False, soft_wrap=True)
    console.print(f"results  {page.with_suffix('.parquet')}", markup=False, highlight=False, soft_wrap=True)
    if as_json:
        typer.echo(json.dumps(sweep_json(summary, str(page)), allow_nan=False))
    return summary


def default_folder(grid: Path) -> Path:
    """runs/NAME, as the file is called."""
    return Path("runs") / grid.stem


def exit_code(summary: SweepSummary, fail_on: float) -> int:
    """1 when a cell failed, or a judge could not score more than the share `fail_on` of a cell's requests; else 0."""
    unscored = [
        1 - metric.value.n / metric.value.n_expected
        for cell in summary.cells
        for metric in cell.metrics
        if metric.value.n_expected
    ]
    return int(summary.has_failures or max(unscored, default=0.0) > fail_on + 1e-9)
