"""Runs the cells of a sweep, one after the other, into run folders that they share.

Models are loaded once. A cell that fails is recorded and the others go on; what was done is not done
again, so the same command finishes a sweep that was killed.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path

from benchmarks.checks import check_budget, check_config
from benchmarks.executors import open_models
from benchmarks.models import Models
from benchmarks.progress import Progress, Quiet
from benchmarks.runner import run
from tts_eval.errors import ConfigError, StoreError, TTSEvalError
from tts_eval.files import write_text_atomically
from tts_eval.sweep_folder import FILE, Cell, Outcome, read_sweep, write_sweep

logger = logging.getLogger(__name__)


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
            write_sweep(out, known)
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
