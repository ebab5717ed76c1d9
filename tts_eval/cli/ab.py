"""`tts-eval ab`: a page for blind listening, and what the results of it say."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from reports.blind_test import first_against_chosen, is_same_test, render_blind_test, run_against_run, told_apart
from reports.formatting import percent
from reports.page import FOLDER
from reports.preference import preference
from reports.read_run import read_run
from reports.shelf import Shelf
from tts_eval.cli.folders import local_path, reported_on
from tts_eval.errors import ConfigError
from tts_eval.files import write_text_atomically

EXPECTED = (
    "the folder of a run (N = 1 against what it chose), two such folders (what each chose), or the JSON files that "
    "the page of a blind test saves ('Save results')"
)
FEWEST = 6
"""Requests below which no answer can be told from chance: six of six is p = 0.03."""


def ab_command(
    what: Annotated[list[str], typer.Argument(help="A run, two runs (or their URLs), or results that the page saved.")],
    pairs: Annotated[int, typer.Option(min=1, help="Pairs that are drawn.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="Decides which pairs, and which clip comes first.")] = 0,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", parser=local_path, help="Page to write; default RUN/report/ab.html.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="End with one JSON object on standard output.")] = False,
) -> None:
    """Blind listening: one run is N = 1 against the chosen clip, two are their choices; results become a win rate."""
    with reported_on(what) as paths:
        if all(path.is_file() for path in paths):
            _say(paths, as_json=as_json)
        else:
            _write_page(paths, pairs, seed, out, as_json=as_json)


def _write_page(what: list[Path], pairs: int, seed: int, out: Path | None, *, as_json: bool) -> None:
    strange = [path for path in what if not path.is_dir()]
    if strange:
        raise ConfigError([f"{path} is {_what(path)}; expected {EXPECTED}." for path in strange])
    if len(what) > 2:
        raise ConfigError([f"{len(what)} runs are given; expected {EXPECTED}."])
    runs = [read_run(path) for path in what]
    audible = run_against_run(runs[0], runs[1]) if len(runs) == 2 else first_against_chosen(runs[0])
    found = told_apart(audible, (what[0], what[-1]))
    names = (runs[0].name, runs[1].name) if len(runs) == 2 else (f"{runs[0].name}, N = 1", f"{runs[0].name}, chosen")
    first = (out if out.suffix else out.with_suffix(".html")) if out else what[0] / FOLDER / "ab.html"
    shelves = (Shelf(what[0], "embed", first.parent), Shelf(what[-1], "embed", first.parent))
    text = render_blind_test(found, names, shelves, most=pairs, seed=seed)
    page = _free(first, text)
    write_text_atomically(page, text)
    console = Console(stderr=as_json)
    drawn = min(pairs, len(found))
    lines = [f"{drawn} of {len(found)} pairs that differ: {names[0]} against {names[1]}", f"page     {page}"]
    if page != first:
        lines.append(f"kept     {first}, which asks about other pairs")
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    if as_json:
        typer.echo(
            json.dumps({"page": str(page), "pairs": drawn, "eligible": len(found), "a": names[0], "b": names[1]})
        )


def _what(path: Path) -> str:
    return "a file among folders" if path.is_file() else "not there"


def _free(page: Path, text: str) -> Path:
    """Where the page goes: never over a page that asks about other pairs, whose answers somebody may be giving."""
    for number in itertools.count(2):
        place = page if number == 2 else page.with_stem(f"{page.stem}-{number - 1}")
        if not place.exists() or is_same_test(place, text):
            return place
    raise AssertionError("there is no end of numbers")


def _say(files: list[Path], *, as_json: bool) -> None:
    said = preference(files)
    interval = f"[{percent(said.interval.low)}, {percent(said.interval.high)}]"
    console = Console(stderr=as_json)
    lines = [
        f"A is {said.a}; B is {said.b}.",
        f"B wins {percent(said.rate)} {interval} of {said.requests} requests, ties as halves; "
        f"sign test p = {said.p:.3f}.",
        f"Answers of {said.listeners} {'file' if said.listeners == 1 else 'files'}: "
        f"B better {said.wins}, no difference {said.ties}, A better {said.losses}.",
    ]
    if said.requests < FEWEST:
        lines.append(f"Fewer than {FEWEST} requests: nothing they say could be told from chance.")
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    if as_json:
        record = {
            "a": said.a, "b": said.b, "rate": said.rate, "ci": [said.interval.low, said.interval.high], "p": said.p,
            "wins": said.wins, "ties": said.ties, "losses": said.losses, "requests": said.requests,
            "files": said.listeners,
        }  # fmt: skip
        typer.echo(json.dumps(record))
