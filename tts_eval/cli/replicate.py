"""`tts-eval replicate`: published numbers beside those of runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reports.read_run import read_run
from reports.replication import load_published, replication_page
from reports.summary import summarise
from tts_eval.cli.folders import local_path, read_folder
from tts_eval.files import write_text_atomically


def replicate_command(
    runs: Annotated[
        list[Path] | None,
        typer.Argument(parser=read_folder, help="Folders (or URLs) of runs; none: published numbers."),
    ] = None,
    out: Annotated[Path, typer.Option(parser=local_path, help="Page to write.")] = Path("replication.md"),
) -> None:
    """Write what papers report beside what runs measured: same requests, protocol and judge in one table."""
    summaries = [summarise(read_run(run)) for run in runs or []]
    write_text_atomically(out, replication_page(load_published(), summaries))
    typer.echo(out)
