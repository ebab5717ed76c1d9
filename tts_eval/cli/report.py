"""`tts-eval report`, and the summary that `run` and `score` end with."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from reports.frame import write_frame
from reports.leaderboard import read_leaderboard
from reports.leaderboard_page import FILES, write_leaderboard
from reports.leaderboard_tables import leaderboard_json, leaderboard_tables
from reports.page import write_report
from reports.read_run import read_run
from reports.summary import Summary
from reports.tables import coverage_table, groups_overview, headline, metrics_table, to_rich
from tts_eval.cli.folders import local_path, reported_on
from tts_eval.cli.sweep import finish_sweep
from tts_eval.sweep_folder import FILE as SWEEP


def report_command(
    runs: Annotated[list[str], typer.Argument(metavar="RUN...", help="Folder or URL of a run or sweep; or of runs.")],
    audio: Annotated[
        str, typer.Option(help="Clips inside the page (embed), played from the run (link), or none.")
    ] = "embed",
    audio_dir: Annotated[
        str, typer.Option(help="Folder beside the page that gets every clip as Ogg Opus, instead of the page.")
    ] = "",
    out: Annotated[
        Path | None, typer.Option(parser=local_path, help="Folder of a leaderboard; default runs/leaderboard.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="End with one JSON object on standard output.")] = False,
) -> None:
    """Write the report of a run or a sweep again: HTML page (of a run), Markdown, LaTeX, figures, tables.

    Of several runs it writes a leaderboard instead: those that can be compared ranked together.
    """
    with reported_on(runs) as folders:
        _report(folders, audio, audio_dir, out, as_json=as_json)


def _report(runs: list[Path], audio: str, audio_dir: str, out: Path | None, *, as_json: bool) -> None:
    is_sweep = len(runs) == 1 and (runs[0] / SWEEP).is_file()
    if (len(runs) > 1 or is_sweep) and (audio != "embed" or audio_dir):
        raise typer.BadParameter(
            "goes with one run; neither a leaderboard nor a sweep has clips", param_hint="--audio-dir or --audio"
        )
    if len(runs) > 1:
        rank(runs, out or Path("runs") / "leaderboard", as_json=as_json)
        return
    if out is not None:
        raise typer.BadParameter("goes with several runs; the report of one is in RUN/report.", param_hint="--out")
    if audio_dir and audio != "embed":
        raise typer.BadParameter(
            "puts every clip beside the page, --audio says otherwise; give one of them", param_hint="--audio-dir"
        )
    (run,) = runs
    if is_sweep:
        finish_sweep(run, as_json=as_json)
        return
    finish(run, audio=audio_mode(audio), audio_dir=audio_folder(audio_dir), as_json=as_json)


def rank(runs: list[Path], out: Path, *, as_json: bool = False) -> None:
    """Write the leaderboard of several runs, and print it."""
    board = read_leaderboard(runs)
    write_leaderboard(board, out)
    console = Console(stderr=as_json)
    for entry in leaderboard_tables(board):
        console.print(to_rich(entry.table))
        for note in entry.table.notes:
            console.print(note, markup=False, highlight=False)
        console.print()
    for name, problem in board.unreadable:
        console.print(f"not readable: {name}: {problem}", markup=False, highlight=False)
    for name in FILES:
        console.print(f"{name:<17} {out / name}", markup=False, highlight=False, soft_wrap=True)
    if as_json:
        typer.echo(json.dumps(leaderboard_json(board, str(out / FILES[0])), allow_nan=False))


def audio_mode(text: str) -> Literal["embed", "link", "none"]:
    """The value of --audio."""
    if text not in ("embed", "link", "none"):
        raise typer.BadParameter(f"{text!r} is not one of: embed, link, none", param_hint="--audio")
    return text  # type: ignore[return-value]


def audio_folder(text: str) -> str:
    """The value of --audio-dir: a folder that moves with the page."""
    path = Path(text)
    if text and (path.is_absolute() or ".." in path.parts or not path.name):
        raise typer.BadParameter(
            f"{text!r} is not inside the report's folder; expected a name", param_hint="--audio-dir"
        )
    return text


def finish(
    run: Path, *, audio: Literal["embed", "link", "none"] = "embed", audio_dir: str = "", as_json: bool = False
) -> Summary:
    """Write everything derived, print the summary, and return it."""
    try:
        results = read_run(run)
        write_frame(results, run / "report" / "results.parquet")
        summary = write_report(results, run, audio=audio, audio_dir=audio_dir)
    except KeyboardInterrupt as error:
        typer.echo(f"interrupted while the report was written; the run is stored: tts-eval report {run}", err=True)
        raise typer.Exit(130) from error
    # With --json the tables go to standard error, so that standard output ends with the object.
    console = Console(stderr=as_json)
    console.print(f"{summary.suite}; {summary.synthesizer}", markup=False, highlight=False, soft_wrap=True)
    for table in (coverage_table(summary), metrics_table(summary), groups_overview(summary)):
        if table is not None:
            console.print(to_rich(table))
            console.print()
    console.print(headline(summary), markup=False, highlight=False)
    for limit in summary.limits:
        console.print(limit, markup=False, highlight=False)
    console.print()
    console.print(f"report   {summary.report}", markup=False, highlight=False, soft_wrap=True)
    console.print(f"results  {run / 'report' / 'results.parquet'}", markup=False, highlight=False, soft_wrap=True)
    if as_json:
        typer.echo(json.dumps(summary.as_json(), allow_nan=False))
    return summary


def exit_code(summary: Summary, fail_on: float) -> int:
    """1, and why, when a larger share of requests than `fail_on` went unscored, else 0."""
    coverage = summary.coverage
    missing = coverage.requests - coverage.scored
    if missing <= fail_on * coverage.requests + 1e-9:
        return 0
    lacking = {metric.judged.verifier_key for metric in summary.metrics if metric.chosen.n < metric.chosen.n_expected}
    typer.echo(
        f"error: {missing} of {coverage.requests} requests lack a score by {' or '.join(sorted(lacking)) or 'a judge'} "
        f"and --fail-on {fail_on:g} allows no more than {math.floor(fail_on * coverage.requests + 1e-9)}. "
        "What failed, and how often, stands above.",
        err=True,
    )
    return 1
