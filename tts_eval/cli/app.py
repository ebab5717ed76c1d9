"""The commands in one place; each lives in a module of its own."""

from __future__ import annotations

import logging
from typing import Annotated

import typer
from rich.console import Console
from rich.logging import RichHandler

from tts_eval.cli import (
    ab,
    again,
    calibrate,
    compare,
    inspect,
    plan,
    prepare,
    replicate,
    report,
    run,
    scale,
    score,
    sweep,
    synth,
    transfer,
    view,
)
from tts_eval.version import __version__

app = typer.Typer(
    name="tts-eval",
    help="Makes text-to-speech models better at inference time, and measures by how much.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("run")(run.run_command)
app.command("prepare")(prepare.prepare_command)
app.command("plan")(plan.plan_command)
app.command("sweep")(sweep.sweep_command)
app.command("synth")(synth.synth_command)
app.command("score")(score.score_command)
app.command("scale")(scale.scale_command)
app.command("calibrate")(calibrate.calibrate_command)
app.command("compare")(compare.compare_command)
app.command("replicate")(replicate.replicate_command)
app.command("ab")(ab.ab_command)
app.command("again")(again.again_command)
app.command("report")(report.report_command)
app.command("transfer")(transfer.transfer_command)
app.command("view")(view.view_command)
app.command("ls")(inspect.ls_command)
app.command("fetch")(inspect.fetch_command)
app.command("doctor")(inspect.doctor_command)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show what the library logs.")] = False,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    handler = RichHandler(console=Console(stderr=True), show_path=False, show_time=False)
    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING, format="%(message)s", handlers=[handler])
