"""`tts-eval run`: a suite through search, judges and report."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks.runner import run
from tts_eval.cli.folders import worked_on
from tts_eval.cli.progress_lines import ProgressKind, show
from tts_eval.cli.report import exit_code, finish
from tts_eval.config import RunConfig, is_whole_pool, parse_config, read_yaml

LONGEST_NAME = 200
"""Characters of a run folder's name: file systems take 255 bytes, and the specs of servers and tables are long."""


def _default(setting: str) -> str:
    return str(getattr(RunConfig(), setting))


def run_command(
    config_file: Annotated[Path | None, typer.Argument(metavar="[CONFIG.yaml]", help="Settings; flags win.")] = None,
    suite: Annotated[
        str | None, typer.Option(show_default=_default("suite"), help="What to say: NAME or NAME:ARGUMENT.")
    ] = None,
    data_dir: Annotated[str | None, typer.Option(help="Folder with the suite's data.")] = None,
    limit: Annotated[int | None, typer.Option(help="Only the first requests of the suite.")] = None,
    sample: Annotated[
        int | None, typer.Option(help="Only so many requests, spread over the suite's groups and speakers.")
    ] = None,
    synth: Annotated[
        str | None, typer.Option(show_default=_default("synth"), help="Who says it: NAME or NAME:ARGUMENT.")
    ] = None,
    strategy: Annotated[
        str | None, typer.Option(show_default=_default("strategy"), help="How it is spent: NAME or NAME:KEY=VALUE,...")
    ] = None,
    then: Annotated[
        str | None, typer.Option(show_default="the same", help="Rule that chooses among what a guided search leaves.")
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(show_default="no limit", help="Most to spend on a request: 4e5-tokens, 2e13-flops, 30-seconds."),
    ] = None,
    n: Annotated[int | None, typer.Option("--n", show_default=_default("n"), help="Candidates per request.")] = None,
    temperature: Annotated[
        float | None,
        typer.Option(show_default=_default("temperature"), help="Sampling temperature; 1 is the model's own."),
    ] = None,
    top_p: Annotated[
        float | None,
        typer.Option(show_default=_default("top_p"), help="Draw from the likeliest tokens with this probability."),
    ] = None,
    top_k: Annotated[
        int | None, typer.Option(show_default=_default("top_k"), help="Draw from so many likeliest tokens; 0 is all.")
    ] = None,
    repetition_penalty: Annotated[
        float | None,
        typer.Option(show_default=_default("repetition_penalty"), help="Above 1, said tokens become less likely."),
    ] = None,
    max_seconds: Annotated[
        float | None, typer.Option(show_default=_default("max_seconds"), help="Longest candidate.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(show_default=_default("seed"), help="Run seed; all randomness follows from it.")
    ] = None,
    verifier: Annotated[
        str | None,
        typer.Option(show_default=_default("verifier"), help="Selection rule, e.g. 'asr:tiny.en#wer + 0.5*quality'."),
    ] = None,
    judge: Annotated[list[str] | None, typer.Option(help="Verifier that reports; repeat for several.")] = None,
    fail_on: Annotated[
        float | None,
        typer.Option(show_default=_default("fail_on"), help="Share of unscored requests that is still a success."),
    ] = None,
    executor: Annotated[
        str | None, typer.Option(show_default=_default("executor"), help="Who works: serial, or ray for many at once.")
    ] = None,
    address: Annotated[
        str | None, typer.Option(show_default="this machine", help="Ray cluster: HEAD:6379, ray://HEAD:10001 or auto.")
    ] = None,
    resources: Annotated[
        str | None, typer.Option(show_default="worked out", help="YAML file with the workers of each stage.")
    ] = None,
    out: Annotated[
        str | None, typer.Option(help="Run folder, or a URL of one (s3://...); default runs/SUITE-SYNTH-nN.")
    ] = None,
    progress: Annotated[
        ProgressKind, typer.Option(help="Bars in a terminal, or JSON lines on standard error.")
    ] = ProgressKind.BARS,
    as_json: Annotated[bool, typer.Option("--json", help="End with one JSON object on standard output.")] = False,
) -> None:
    """Run a benchmark, or go on with one that was stopped."""
    flags = {
        "suite": suite,
        "data_dir": data_dir,
        "limit": limit,
        "sample": sample,
        "synth": synth,
        "strategy": strategy,
        "then": then,
        "budget": budget,
        "n": n,
        "temperature": temperature,
        "top_p": top_p,
        "top_k": top_k,
        "repetition_penalty": repetition_penalty,
        "max_seconds": max_seconds,
        "seed": seed,
        "verifier": verifier,
        "judge": judge,
        "fail_on": fail_on,
        "executor": executor,
        "address": address,
        "resources": resources,
    }
    settings = read_yaml(config_file) if config_file else {}
    config = parse_config(settings | {name: value for name, value in flags.items() if value is not None})
    with worked_on(out or default_folder(config), is_new=True) as folder:
        with show(progress) as bars:
            run(config, folder, bars)
        Console(stderr=True).print()
        summary = finish(folder, as_json=as_json)
    raise typer.Exit(exit_code(summary, config.fail_on))


def default_folder(config: RunConfig) -> Path:
    """runs/SUITE-SYNTH-nN, or -STRATEGY-nN-then-RULE-BUDGET where that is not all, in characters of any file system.

    N is part of every name: which strategies use it is their own business. A name that is too long ends in a digest.
    """
    spent = [f"n{config.n}"]
    if not is_whole_pool(config):
        spent = [config.strategy, *spent, *([f"then-{config.then}"] if config.then else []), config.budget]
    name = "-".join(filter(None, [config.suite, config.synth, *spent]))
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", name)
    if len(plain) > LONGEST_NAME:
        plain = f"{plain[:LONGEST_NAME]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    return Path("runs") / plain
