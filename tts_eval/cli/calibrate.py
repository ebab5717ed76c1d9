"""`tts-eval calibrate`: the scales of a run, for z-scores that do not depend on the pool."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from reports.calibration import calibrate
from tts_eval.cli.folders import local_path, read_folder


def calibrate_command(
    folder: Annotated[Path, typer.Argument(parser=read_folder, help="Folder or URL of a run.")],
    out: Annotated[Path, typer.Option("--out", "-o", parser=local_path, help="File to write, JSON.")] = Path(
        "scales.json"
    ),
) -> None:
    """Measure mean and deviation of every metric of a run, for --verifier "z(... + ..., scales.json)"."""
    table = Table("metric", "mean", "deviation", "clips")
    for key, scale in calibrate(folder, out).items():
        table.add_row(key, f"{scale.mean:.4g}", f"{scale.deviation:.4g}", str(scale.n))
    console = Console()
    console.print(table)
    console.print(f"wrote {out}", markup=False, highlight=False, soft_wrap=True)
