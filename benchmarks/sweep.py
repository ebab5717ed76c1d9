"""Runs the cells of a sweep, one after the other, into run folders that they share.

    DIR/seed-0/                 one run store per seed: what one cell made, every other finds again
    DIR/seed-0/cells/ROW.json   run.json as that cell wrote it, from which its results are read
    DIR/sweep.json              the cells, and which of them failed

Models are loaded once. A cell that fails is recorded and the others go on; what was done is not done
again, so the same command finishes a sweep that was killed.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.checks import check_budget, check_config
from benchmarks.executors import open_models
from benchmarks.grid import Cell
from benchmarks.models import Models
from benchmarks.progress import Progress, Quiet
from benchmarks.runner import run
from tts_eval.config import as_dict, parse_config
from tts_eval.errors import ConfigError, StoreError, TTSEvalError
from tts_eval.files import write_text_atomically

logger = logging.getLogger(__name__)

FILE = "sweep.json"
FORMAT = "tts-eval sweep 1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a cell."""

    cell: Cell
    failure: str = ""
    """Why it has no results; "" where it has them."""

    @property
    def manifest(self) -> str:
        """Where its run.json lies, relative to its run's folder."""
        return f"cells/{self.cell.row}.json"


def run_sweep(cells: Sequence[Cell], out: Path, progress: Progress | None = None) -> list[Outcome]:
    """Run all cells, or finish what was begun in the folder `out`.

    Raises:
        ConfigError: a cell cannot work as it is set; all problems at once, before a model is loaded.
        DataError: the suite's data are not as expected.
        StoreError: `out` cannot be written, or holds something else.
    """
    progress = progress or Quiet()
    check_cells(cells, Models())
    if out.is_dir() and any(out.iterdir()) and not any((out / name).exists() for name in (FILE, *_folders(cells))):
        raise StoreError(f"{out} is not empty, and no sweep. Give a new folder with --out.")
    progress.start("cells", len(cells))
    outcomes: list[Outcome] = []
    before = _earlier(out)
    with open_models([cell.config for cell in cells]) as models:
        for number, cell in enumerate(cells, start=1):
            outcomes.append(_run_cell(cell, out, progress, models))
            known = [*outcomes, *(before[later] for later in cells[number:] if later in before)]
            write_text_atomically(out / FILE, json.dumps(_record(known), indent=2, ensure_ascii=False) + "\n")
            progress.advance("cells", 1)
    return outcomes


def check_cells(cells: Sequence[Cell], models: Models) -> None:
    """That every cell can work as it is set; no model is loaded, only the suite is read.

    Raises:
        ConfigError: all that speaks against it, with the cell's name.
    """
    problems: dict[str, None] = {}
    for cell in cells:
        try:
            check_config(cell.config)
            check_budget(cell.config, models.suite(cell.config).requests)
        except ConfigError as error:
            problems |= dict.fromkeys(f"{cell.row}: {problem}" for problem in error.problems)
    if problems:
        raise ConfigError(list(problems))


def read_sweep(folder: Path) -> list[Outcome]:
    """The cells of the sweep in `folder`, as far as it has come.

    Raises:
        StoreError: there is none, or its record is damaged.
    """
    path = folder / FILE
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if record["format"] != FORMAT:
            raise ValueError(f"its format is {record['format']!r}")
        return [
            Outcome(cell=Cell(name=entry["name"], config=parse_config(entry["config"])), failure=entry["failure"])
            for entry in record["cells"]
        ]
    except (OSError, KeyError, TypeError, ValueError, ConfigError) as error:
        raise StoreError(f"{path} is no record of a sweep ({error}). Run 'tts-eval sweep' on the folder.") from error


def _run_cell(cell: Cell, out: Path, progress: Progress, models: Models) -> Outcome:
    outcome = Outcome(cell=cell)
    folder = out / cell.folder
    try:
        manifest = run(cell.config, folder, progress, models)
        text = json.dumps(manifest.as_json(), indent=2, ensure_ascii=False) + "\n"
        write_text_atomically(folder / outcome.manifest, text)
    except StoreError:  # a full disk, or another process that writes here, is no fault of the cell's
        raise
    except Exception as error:  # models raise whatever they like; the other cells must not pay for it
        failure = str(error) if isinstance(error, TTSEvalError) else f"{type(error).__name__}: {error}"
        logger.warning("cell '%s' of seed %d failed: %s", cell.row, cell.config.seed, failure)
        return Outcome(cell=cell, failure=failure or type(error).__name__)
    return outcome


def _earlier(out: Path) -> dict[Cell, Outcome]:
    """What the folder says of cells already; nothing where its record is damaged, as it is about to be written anew."""
    try:
        return {outcome.cell: outcome for outcome in read_sweep(out)}
    except StoreError as error:
        if (out / FILE).exists():
            logger.warning("%s", error)
        return {}


def _folders(cells: Sequence[Cell]) -> list[str]:
    return list(dict.fromkeys(cell.folder for cell in cells))


def _record(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "cells": [
            {"name": outcome.cell.name, "failure": outcome.failure, "config": as_dict(outcome.cell.config)}
            for outcome in outcomes
        ],
    }
