"""`tts-eval plan`: what a sweep would cost, before anything is loaded."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from benchmarks.cluster_plan import Overhead, ScaledPlan, scaled_plans
from benchmarks.grid import parse_grid
from benchmarks.plan import CellPlan, Plan, plan_sweep
from reports.detectable import POWER
from reports.formatting import difference_text
from reports.outlook import Outlook, outlook_of
from reports.read_run import read_run
from tts_eval.cli.durations import duration_text
from tts_eval.cli.folders import local_path, read_folder
from tts_eval.cli.scaled_plans import show_scaled_plans
from tts_eval.cli.sweep import default_folder
from tts_eval.config import read_yaml
from tts_eval.errors import ConfigError


def plan_command(
    grid: Annotated[Path, typer.Argument(metavar="SWEEP.yaml", help="What 'tts-eval sweep' would be given.")],
    out: Annotated[
        Path | None, typer.Option(parser=local_path, help="Folder of the sweep; default runs/NAME of the file.")
    ] = None,
    like: Annotated[
        Path | None,
        typer.Option(
            show_default="what --out holds", parser=read_folder, help="Run whose costs are taken for those to come."
        ),
    ] = None,
    nodes: Annotated[
        str | None, typer.Option(metavar="N[,N...]", help="Also the wall time with so many devices, a worker on each.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="End with one JSON object on standard output.")] = False,
) -> None:
    """Predict samples, tokens, seconds and wall time of a sweep. No model is loaded, nothing is written."""
    plan = plan_sweep(parse_grid(read_yaml(grid)), out or default_folder(grid), like)
    outlook = outlook_of(read_run(Path(plan.like)), plan.clusters, plan.requests) if plan.like else []
    scaled = _scaled(plan, nodes) if nodes is not None else []
    console = Console(stderr=as_json)
    console.print(_table(plan))
    for line in [*_lines(plan), *_outlook_lines(plan, outlook)]:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    if scaled:
        show_scaled_plans(scaled, console, plan.loading_seconds)
    if as_json:
        detectable = {one.judged.key: one.detectable for one in outlook}
        record = plan.as_json() | {"detectable": detectable, "nodes": [one.as_json() for one in scaled]}
        typer.echo(json.dumps(record, allow_nan=False))


def _scaled(plan: Plan, nodes: str) -> list[ScaledPlan]:
    """What each number of devices in `nodes` comes to."""
    counts = [text.strip() for text in nodes.split(",")]
    if not all(text.isdecimal() for text in counts):
        raise ConfigError([f"nodes is '{nodes}'; expected whole numbers, e.g. --nodes 1,8,64."])
    if not plan.knows_synthesizer:
        basis = f" {plan.like} is of another synthesizer." if plan.like else ""
        raise ConfigError(
            [f"Nothing says how long a sample takes, so not how long many would: add --like RUN, one of it.{basis}"]
        )
    overhead = Overhead(loading=plan.loading_seconds or 0.0)
    return scaled_plans([run.pieces for run in plan.runs], [int(text) for text in counts], overhead)


def _table(plan: Plan) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("cell", overflow="fold")
    for title in ("tokens each", "samples", "tokens", "synthesizer", "verifiers"):
        table.add_column(title, justify="right")
    by_row: dict[str, list[CellPlan]] = {}
    for run in plan.runs:
        by_row.setdefault(run.row, []).append(run)
    for row, runs in by_row.items():
        spent = sum(run.tokens for run in runs) / len(runs) / plan.requests
        samples, tokens = (sum(getattr(run, name) for run in runs) for name in ("new_samples", "new_tokens"))
        making, judging = (
            sum(getattr(run, name) for run in runs) for name in ("generator_seconds", "verifier_seconds")
        )
        times = (_time(making if plan.knows_synthesizer else None, plan), _time(judging, plan))
        numbers = (f"{spent:,.0f}", f"{samples:,}", f"{tokens:,}")
        table.add_row(row, *numbers, *times)
    return table


def _lines(plan: Plan) -> list[str]:
    seeds = len({run.seed for run in plan.runs})
    runs = f"{plan.cells} cells x {seeds} seeds on {plan.requests} requests"
    made = f"{plan.total('new_samples'):,.0f} whole samples, {plan.total('new_tokens'):,.0f} tokens in all"
    wall = f"about {_time(plan.wall_seconds, plan)} of wall time, models not loaded"
    basis = f"measured on {plan.like}" if plan.like else "measured on nothing"
    columns = "Tokens each: of one request's search. The other columns: what is new in all, shared samples once."
    return [columns, f"{runs}: {made}; {wall}; {basis}.", *plan.assumptions]


def _outlook_lines(plan: Plan, outlook: Sequence[Outlook]) -> list[str]:
    if not outlook:
        return []
    least = ", ".join(
        f"{difference_text(one.detectable, one.judged.metric).removeprefix('+')} of {one.judged.metric.name} "
        f"by {one.judged.verifier_key}"
        for one in outlook
    )
    return [
        f"With {plan.clusters} independent draws a search is likely ({POWER:.0%}) to differ visibly from one sample "
        f"if it truly does by {least}; less may stay hidden."
    ]


def _time(seconds: float | None, plan: Plan) -> str:
    if not plan.like or seconds is None:
        return "n/a"
    return duration_text(seconds)
