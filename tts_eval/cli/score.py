"""`tts-eval score`: more judges for a run, or judges for a folder of anybody's audio."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmarks.rescore import add_judges
from benchmarks.runner import run
from benchmarks.suite import load_suite
from tts_eval.cli.progress import Bars
from tts_eval.cli.report import exit_code, finish
from tts_eval.config import RunConfig, parse_config
from tts_eval.errors import ConfigError


def score_command(
    target: Annotated[Path, typer.Argument(help="Folder of a run, or a folder of audio files ID.wav.")],
    requests: Annotated[
        str | None, typer.Option("--list", help="For a folder of audio: meta.lst with what each file should say.")
    ] = None,
    judge: Annotated[list[str] | None, typer.Option(help="Verifier that reports; repeat for several.")] = None,
    fail_on: Annotated[float, typer.Option(help="Share of unscored requests that is still a success.")] = 0.1,
    out: Annotated[Path | None, typer.Option(help="For a folder of audio: the run folder; default runs/NAME.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="End with one JSON object on standard output.")] = False,
) -> None:
    """Judge a run again, or judge audio that exists already. No audio is made."""
    if (target / "run.json").is_file():
        if requests or out:
            raise ConfigError([f"{target} is a run: it knows its requests and its folder; drop --list and --out."])
        if not judge:
            raise ConfigError(["Which judge? For example: --judge asr:base. Run 'tts-eval ls verifiers' for all."])
        folder = target
        with Bars() as bars:
            add_judges(folder, judge, bars)
    else:
        config = _folder_config(target, requests, judge, fail_on)
        folder = out or Path("runs") / target.resolve().name
        with Bars() as bars:
            run(config, folder, bars)
    summary = finish(folder, as_json=as_json)
    raise typer.Exit(exit_code(summary, fail_on))


def _folder_config(target: Path, requests: str | None, judge: list[str] | None, fail_on: float) -> RunConfig:
    if not target.is_dir():
        raise ConfigError([f"No folder at {target}. Give a run, or a folder of audio files with --list meta.lst."])
    if requests is None:
        raise ConfigError([f"{target} is not a run. To judge a folder of audio, say what it says: --list meta.lst."])
    judges = judge or list(load_suite(f"list:{requests}").judges)
    # With one candidate nothing is selected; the rule only has to name a verifier that is loaded anyway.
    return parse_config(
        {
            "suite": f"list:{requests}",
            "synth": f"wavs:{target}",
            "n": 1,
            "verifier": judges[0],
            "judge": judges,
            "fail_on": fail_on,
        }
    )
