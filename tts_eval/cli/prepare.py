"""`tts-eval prepare`: where a suite's data come from, what is there, and what can be fetched."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from benchmarks.prepare import check, fetch_missing
from benchmarks.sources import Source, source_of
from tts_eval.cli.progress_lines import show
from tts_eval.errors import ConfigError


def prepare_command(
    suite: Annotated[str, typer.Argument(help="NAME or NAME:ARGUMENT, as for run.")],
    data_dir: Annotated[
        Path | None, typer.Option(help="Folder for the data; without it, only say what there is.")
    ] = None,
    only_check: Annotated[bool, typer.Option("--check", help="Fetch nothing, only check what is there.")] = False,
) -> None:
    """Get the data of a suite: fetch what may be fetched, check the rest. Exit code 1 unless all of it is there."""
    source = source_of(suite)
    _print_card(source)
    if data_dir is None:
        if only_check:
            raise ConfigError(["What is to be checked? Give --data-dir DIR."])
        return
    if not only_check:
        with show() as bars:
            fetch_missing(source, data_dir, bars)
    findings = check(suite, source, data_dir)
    table = Table("", Column("check", overflow="fold"), Column("finding", overflow="fold"))
    for finding in findings:
        table.add_row("ok" if finding.is_right else "WRONG", escape(finding.what), escape(finding.found))
    Console().print(table)
    raise typer.Exit(int(not all(finding.is_right for finding in findings)))


def _print_card(source: Source) -> None:
    console = Console()
    lines = {
        "from": source.home,
        "size": source.size,
        "licence": source.licence,
        "how": source.how,
        "fetched": ", ".join(download.url for download in source.downloads) or "nothing",
        "judges of papers": "; ".join(source.official_judges),
    }
    console.print(source.title, markup=False, highlight=False, soft_wrap=True)
    for name, value in lines.items():
        console.print(f"{name}: {value}", markup=False, highlight=False, soft_wrap=True)
    console.print()
