"""The folder of a sweep: one run per seed, which all its cells share, and the record of the cells.

DIR/seed-0/                 one run store per seed: what one cell made, every other finds again
DIR/seed-0/cells/ROW.json   run.json as that cell wrote it, from which its results are read
DIR/sweep.json              the cells, and which of them failed
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tts_eval.config import RunConfig, as_dict, parse_config
from tts_eval.errors import ConfigError, StoreError
from tts_eval.files import write_text_atomically

FILE = "sweep.json"
FORMAT = "tts-eval sweep 1"
LONGEST_NAME = 120
"""Characters of a file name; a rule may be longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One run of a sweep."""

    name: str
    """What the user calls it, with the axes that vary within it, but for budget and seed."""
    config: RunConfig

    @property
    def row(self) -> str:
        """Which row of the report it belongs to, as a file name: name and budget."""
        text = "-".join(filter(None, [self.name, self.config.budget]))
        slug = re.sub(r"[^A-Za-z0-9._=-]+", "-", text).strip("-.") or "cell"
        digest = hashlib.sha256(text.encode()).hexdigest()[:10]
        return slug if len(slug) <= LONGEST_NAME else f"{slug[:LONGEST_NAME]}-{digest}"

    @property
    def folder(self) -> str:
        """Folder of the run store that it shares with all cells of its seed."""
        return f"seed-{self.config.seed}"


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


def write_sweep(folder: Path, outcomes: Sequence[Outcome]) -> None:
    """Put what is known of the cells into the folder's record, at once or not at all.

    Raises:
        StoreError: the folder cannot be written.
    """
    record = {
        "format": FORMAT,
        "cells": [
            {"name": outcome.cell.name, "failure": outcome.failure, "config": as_dict(outcome.cell.config)}
            for outcome in outcomes
        ],
    }
    write_text_atomically(folder / FILE, json.dumps(record, indent=2, ensure_ascii=False) + "\n")
