"""`tts-eval compare`: is the difference between runs real?"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, cast

import typer
from rich.console import Console

from reports.alignment import read_runs
from reports.comparison import Comparison, compare
from reports.comparison_page import FILES, write_comparison
from reports.comparison_tables import (
    changes_table,
    coverage_table,
    difference_table,
    headline,
    seeds_table,
    settings_table,
)
from reports.interval_methods import METHODS, Method
from reports.shelf import AudioMode
from reports.tables import to_rich
from tts_eval.cli.folders import local_path, read_folder

LONGEST_NAME = 120


def compare_command(
    runs: Annotated[
        list[Path],
        typer.Argument(parser=read_folder, help="Folders (or URLs) of a suite's runs, all against the first."),
    ],
    out: Annotated[Path | None, typer.Option(parser=local_path, help="Folder to write; default runs/B-vs-A.")] = None,
    interval: Annotated[str, typer.Option(help="How intervals are made: expanded, percentile or bca.")] = "expanded",
    audio: Annotated[str, typer.Option(help="Clips inside the page (embed), or none.")] = "embed",
    fail_on: Annotated[float, typer.Option(help="Share of unscored requests that is still a success.")] = 0.1,
    as_json: Annotated[bool, typer.Option("--json", help="End with one JSON object on standard output.")] = False,
) -> None:
    """Compare runs request by request: paired differences, intervals, p-values, and what changed most.

    Runs that differ in nothing but their seed are one side, with their mean; if all do, each is compared.
    """
    for option, value, known in (("--interval", interval, METHODS), ("--audio", audio, ("embed", "none"))):
        if value not in known:
            raise typer.BadParameter(f"{value!r} is not one of: {', '.join(known)}", param_hint=option)
    results = read_runs(runs)
    comparison = compare(results, method=cast(Method, interval))
    folders = {run.name: folder for run, folder in zip(results, runs, strict=True)}
    folder = out or default_folder(list(folders))
    record = write_comparison(comparison, folders, folder, audio=cast(AudioMode, audio))
    _print(comparison, {name: str(path) for name, path in folders.items()}, folder, is_aside=as_json)
    if as_json:
        typer.echo(json.dumps(record, allow_nan=False))
    raise typer.Exit(exit_code(comparison, fail_on))


def default_folder(names: list[str]) -> Path:
    """runs/B-vs-A, in characters of any file system."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", f"{'-'.join(names[1:])}-vs-{names[0]}").strip("-")
    return Path("runs") / name[:LONGEST_NAME]


def exit_code(comparison: Comparison, fail_on: float) -> int:
    """1 when a larger share of requests than `fail_on` is unscored in any of the runs, else 0."""
    expected = len(comparison.aligned.runs[0].requests)
    return int(max(map(len, comparison.unscored.values())) > fail_on * expected + 1e-9)


def _print(comparison: Comparison, folders: dict[str, str], folder: Path, *, is_aside: bool) -> None:
    # With --json the tables go to standard error, so that standard output ends with the object.
    console = Console(stderr=is_aside)
    tables = [coverage_table(comparison), settings_table(comparison)]
    for pairing in comparison.pairings:
        tables += [difference_table(pairing, comparison), changes_table(pairing, comparison, folders)]
    said: set[str] = set()
    for table in (*tables, seeds_table(comparison)):
        if table is None:
            continue
        console.print(to_rich(table))
        for note in table.notes:
            if note not in said:  # those of the differences are the same for every pair
                console.print(note, style="dim", markup=False, highlight=False)
        said.update(table.notes)
        console.print()
    console.print(headline(comparison), markup=False, highlight=False)
    console.print()
    for name in FILES:
        console.print(f"{name:<16} {folder / name}", markup=False, highlight=False, soft_wrap=True)
