"""`tts-eval score`: more judges for a run, or judges for a folder of anybody's audio."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.rescore import add_judges
from benchmarks.runner import run
from benchmarks.suite import load_suite
from tts_eval.cli.folders import worked_on
from tts_eval.cli.progress_lines import show
from tts_eval.cli.report import exit_code, finish
from tts_eval.config import RunConfig, parse_config
from tts_eval.errors import ConfigError
from tts_eval.remote_folder import is_url


def score_command(
    target: Annotated[str, typer.Argument(help="Folder or URL of a run, or a folder of audio files ID.wav.")],
    requests: Annotated[
        str | None, typer.Option("--list", help="For a folder of audio: meta.lst with what each file should say.")
    ] = None,
    suite: Annotated[
        str | None, typer.Option(help="For a folder of audio: the suite that it says, instead of --list.")
    ] = None,
    data_dir: Annotated[str | None, typer.Option(help="Folder with the suite's data.")] = None,
    limit: Annotated[int | None, typer.Option(help="Only the first requests of the suite.")] = None,
    sample: Annotated[
        int | None, typer.Option(help="Only so many requests, spread over the suite's groups and speakers.")
    ] = None,
    official_skip: Annotated[
        bool,
        typer.Option("--official-skip", help="Leave requests without audio out, as Seed-TTS-Eval's scripts do."),
    ] = False,
    judge: Annotated[list[str] | None, typer.Option(help="Verifier that reports; repeat for several.")] = None,
    fail_on: Annotated[float, typer.Option(help="Share of unscored requests that is still a success.")] = 0.1,
    out: Annotated[
        str | None, typer.Option(help="For a folder of audio: the run folder, or its URL; default runs/NAME.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="End with one JSON object on standard output.")] = False,
) -> None:
    """Judge a run again, or judge audio that exists already. No audio is made."""
    if is_url(target) or (Path(target) / "run.json").is_file():
        if requests or suite or data_dir or limit or sample or official_skip or out:
            raise ConfigError(
                [f"{target} is a run: it knows its requests and its folder; name judges only (drop --list, --out ...)."]
            )
        if not judge:
            raise ConfigError(["Which judge? For example: --judge asr:base. Run 'tts-eval ls verifiers' for all."])
        with worked_on(target) as folder:
            with show() as bars:
                add_judges(folder, judge, bars)
            summary = finish(folder, as_json=as_json)
    else:
        clips = Path(target)
        if not clips.is_dir():
            raise ConfigError(
                [f"No folder at {target}. Give a run, or a folder of audio files with --list meta.lst or --suite."]
            )
        config = _folder_config(
            clips,
            _spec(clips, requests, suite),
            {
                "data_dir": data_dir,
                "limit": limit,
                "sample": sample,
                "official_skip": official_skip,
                "judge": judge,
                "fail_on": fail_on,
            },
        )
        with worked_on(out or Path("runs") / clips.resolve().name, is_new=True) as folder:
            with show() as bars:
                run(config, folder, bars)
            summary = finish(folder, as_json=as_json)
    raise typer.Exit(exit_code(summary, fail_on))


def _spec(target: Path, requests: str | None, suite: str | None) -> str:
    if requests is not None and suite is not None:
        raise ConfigError(["Give --list or --suite, not both: either says what the files should say."])
    if requests is not None:
        return f"list:{requests}"
    if suite is not None:
        return suite
    raise ConfigError(
        [f"{target} is not a run. To judge a folder of audio, say what it says: --list meta.lst, or --suite NAME."]
    )


def _folder_config(target: Path, suite: str, settings: Mapping[str, object]) -> RunConfig:
    config = parse_config(
        {
            "suite": suite,
            "synth": f"wavs:{target}",
            "n": 1,
            **{name: value for name, value in settings.items() if value is not None},
        }
    )
    judges = config.judge or load_suite(suite, data_dir=Path(config.data_dir) if config.data_dir else None).judges
    # With one candidate nothing is selected; the rule only has to name a verifier that is loaded anyway.
    return replace(config, judge=judges, verifier=judges[0])
