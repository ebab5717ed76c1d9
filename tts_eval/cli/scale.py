"""`tts-eval scale`: the recordings of a run through a codec, as the row that says what a codec lets through."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from benchmarks.scale import add_resyntheses
from reports.scale_table import scale_table
from reports.tables import to_rich
from tts_eval.cli.folders import worked_on
from tts_eval.cli.progress_lines import show
from tts_eval.cli.report import finish


def scale_command(
    run: Annotated[str, typer.Argument(help="Folder or URL of a run whose suite has recordings.")],
    codec: Annotated[
        str, typer.Option(help="Codec: llasa-nano, a folder, or a name on the hub (HKUSTAudio/xcodec2-hf).")
    ] = "llasa-nano",
    as_json: Annotated[bool, typer.Option("--json", help="End with one JSON object on standard output.")] = False,
) -> None:
    """Judge the run's recordings as a codec gives them back; made once, kept in the run, shown by every report."""
    with worked_on(run) as folder:
        with show() as bars:
            add_resyntheses(folder, codec, bars)
        summary = finish(folder, as_json=as_json)
    if table := scale_table(summary):
        console = Console(stderr=as_json)
        console.print()
        console.print(to_rich(table))
