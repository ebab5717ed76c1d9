"""`tts-eval transfer`: which verifier to choose by, from a small pilot run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from reports.read_run import read_run
from reports.tables import to_rich
from reports.transfer import transfer_of
from reports.transfer_tables import first_metric_pairs, transfer_tables
from tts_eval.cli.folders import read_folder
from tts_eval.errors import ConfigError

WIDE = 120
"""Columns of a terminal that has room for the whole table."""


def transfer_command(
    run: Annotated[
        Path, typer.Argument(parser=read_folder, help="Folder or URL of a run of best-of-n, e.g. a pilot with --n 4.")
    ],
    judge: Annotated[
        list[str] | None,
        typer.Option("--judge", help="Who judges, e.g. asr:base; repeatable. The run's held-out judges by default."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="End with one JSON object on standard output.")] = False,
) -> None:
    """Show how far each verifier of a run agrees with each judge, and what choosing by it would gain."""
    results = read_run(run)
    transfer = transfer_of(results, judges=judge or ())
    if not transfer.pairs:
        raise ConfigError([_nothing(run, results.n)])
    console = Console(stderr=as_json)
    for table in transfer_tables(transfer, first_metric_pairs(transfer)):
        console.print(to_rich(table, essential=console.width < WIDE))
        for note in table.notes:
            console.print(note, style="dim", markup=False, highlight=False)
        console.print()
    if as_json:
        typer.echo(json.dumps(transfer.as_json(), allow_nan=False))


def _nothing(run: Path, n: int) -> str:
    if n < 2:
        return (
            f"{run} has one candidate of each request, and agreement is measured among several. Make a pilot, e.g. "
            "tts-eval run --n 4 --verifier A --judge B --out pilot, and ask tts-eval transfer pilot."
        )
    return (
        f"{run} has no verifier and judge with different weights. Add a judge: tts-eval score {run} --judge NAME, "
        "or name one with --judge."
    )
