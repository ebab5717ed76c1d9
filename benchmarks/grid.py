"""A sweep file: the settings of a run, of which some are lists, and what that comes to.

    suite: mini
    synth: llasa-nano
    verifier: asr:tiny.en
    seed: [0, 1, 2]                     an axis: every value, with every value of the other axes
    budget: [500-tokens, 2000-tokens]
    cells:                              optional; without it the axes above are the whole grid
      - {name: best-of-n, n: 64}
      - {name: beam, budget: 500-tokens, strategy: "beam:expand=2,keep=2"}
      - {name: beam, budget: 2000-tokens, strategy: "beam:expand=4,keep=4"}

The entries of `cells` say what differs from the settings above, which they overrule; lists in them are axes
too. A cell is one row of the report, so every combination of a name and its axes exists once; runs that differ
in their seed alone are the same cell.
"""

from __future__ import annotations

import difflib
import itertools
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from search.budget import parse_budget
from tts_eval.config import RunConfig, as_dict, parse_config
from tts_eval.errors import ConfigError
from tts_eval.sweep_folder import Cell

AXES = ("strategy", "n", "temperature", "top_p", "budget", "verifier", "then", "seed")
"""Settings that may be lists."""
WHOLE_SWEEP = (
    "suite", "data_dir", "limit", "sample", "official_skip",
    "synth", "judge", "fail_on", "executor", "address", "resources",
)  # fmt: skip
"""Settings that cannot differ between cells, which share one list of requests and one store."""
MOST_RUNS = 1000
"""Cells times seeds; a larger grid is a mistake more often than a plan."""

_SETTINGS = tuple(as_dict(RunConfig()))


def parse_grid(values: Mapping[str, Any]) -> tuple[Cell, ...]:
    """The runs of a sweep file, those of one seed together, in the file's order.

    Raises:
        ConfigError: unknown keys (with the close matches), wrong values, empty axes, too many or equal cells: all
            problems at once.
    """
    base = {key: value for key, value in values.items() if key != "cells"}
    entries, problems = _entries(values)
    problems += _unknown(base, "")
    grids = []
    for place, entry in entries:
        where = f"cells[{place}] ({entry['name']}): " if "cells" in values else ""
        own = {key: value for key, value in entry.items() if key != "name"}
        if where:
            problems += _unknown(own, where)
            if "seed" in own:
                problems.append(f"{where}seed belongs above the cells: all of them are averaged over the same seeds.")
        settings = base | own
        problems += _empty(settings, where)
        # What is wrong already is left out, so that the rest is looked at as well.
        known = {key: value for key, value in settings.items() if key in _SETTINGS and not _is_misplaced(key, value)}
        grids.append((where, str(entry["name"]), known))
    runs = sum(math.prod(len(values) for values in _axes(settings).values()) for _, _, settings in grids)
    if runs > MOST_RUNS:
        problems.append(f"The grid has {runs:,} runs, and {MOST_RUNS:,} are the most. Shorten or drop an axis.")
        raise ConfigError(list(dict.fromkeys(problems)))
    cells = [cell for grid in grids for cell in _expanded(*grid, problems)]
    # Without what is wrong, cells that differ in nothing else would look alike.
    if problems := problems or _repeated(cells):
        raise ConfigError(list(dict.fromkeys(problems)))
    seeds = list(dict.fromkeys(cell.config.seed for cell in cells))
    return tuple(cell for seed in seeds for cell in cells if cell.config.seed == seed)


def _entries(values: Mapping[str, Any]) -> tuple[list[tuple[int, dict[str, Any]]], list[str]]:
    """The entries with their places, and what is wrong with others."""
    if "cells" not in values:
        return [(0, {"name": ""})], []
    listed = values["cells"]
    if not isinstance(listed, list) or not listed:
        return [], [f"cells is {listed!r}; expected a list of entries, e.g. - {{name: beam, strategy: beam}}."]
    entries, problems = [], []
    for place, entry in enumerate(listed):
        name = entry.get("name") if isinstance(entry, dict) else None
        if not isinstance(name, str) or not name.strip():
            problems.append(f"cells[{place}] is {entry!r}; expected settings with a name, e.g. {{name: beam, n: 8}}.")
        else:
            entries.append((place, entry))
    return entries, problems


def _unknown(settings: Mapping[str, Any], where: str) -> list[str]:
    """Keys that are no settings, or no cell's."""
    known = [key for key in _SETTINGS if not where or key not in (*WHOLE_SWEEP, "seed")]
    problems = []
    for key in settings:
        if where and key in WHOLE_SWEEP:
            problems.append(f"{where}{key} belongs above the cells: all of them have the same.")
        elif key not in known and not (where and key == "seed"):
            close = difflib.get_close_matches(str(key), [*known, *([] if where else ["cells"])], n=1)
            hint = f"Did you mean '{close[0]}'?" if close else f"Expected some of: {', '.join(known)}."
            problems.append(f"{where}Unknown setting '{key}'. {hint}")
    return problems


def _empty(settings: Mapping[str, Any], where: str) -> list[str]:
    """Lists that are no axis."""
    return [
        f"{where}{key} is an empty list, which makes no cell. Give it a value or drop it."
        if key in AXES
        else f"{where}{key} is a list, and no axis. The axes are: {', '.join(AXES)}."
        for key, value in settings.items()
        if key in _SETTINGS and _is_misplaced(key, value)
    ]


def _is_misplaced(key: str, value: Any) -> bool:
    return isinstance(value, list) and (not value if key in AXES else key != "judge")


def _axes(settings: Mapping[str, Any]) -> dict[str, list[Any]]:
    return {key: value for key, value in settings.items() if key in AXES and isinstance(value, list)}


def _expanded(where: str, name: str, settings: Mapping[str, Any], problems: list[str]) -> list[Cell]:
    """Every combination of the axes as a cell; what is wrong with one is added to `problems`."""
    axes = _axes(settings)
    for key, values in axes.items():
        twice = [value for value, count in Counter(map(repr, values)).items() if count > 1]
        problems += [f"{where}{key} has {value} more than once; keep one of them." for value in twice]
    named = [key for key, values in axes.items() if len(values) > 1 and key not in ("budget", "seed")]
    cells = []
    for combination in itertools.product(*axes.values()):
        chosen = dict(zip(axes, combination, strict=True))
        try:
            config = parse_config({**settings, **chosen})
        except ConfigError as error:
            problems += [f"{where}{problem}" for problem in error.problems]
            continue
        varied = [_label(key, chosen[key]) for key in named]
        cells.append(Cell(name=" ".join(filter(None, [name.strip(), *varied])) or config.strategy, config=config))
    return cells


def _label(key: str, value: Any) -> str:
    return str(value) if key == "strategy" else f"{key}={value}"


def _repeated(cells: list[Cell]) -> list[str]:
    """Cells that cannot be told apart, or that are one and the same."""
    names: dict[tuple[str, int], list[str]] = {}
    same: dict[tuple[RunConfig, object], list[str]] = {}
    for cell in cells:
        names.setdefault((cell.row, cell.config.seed), []).append(cell.name)
        same.setdefault((replace(cell.config, seed=0, budget=""), _amount(cell.config.budget)), []).append(cell.row)
    problems = []
    for (row, _), own in names.items():
        if len(set(own)) > 1:
            problems.append(f"The cells {_listed(own)} would both be filed as '{row}'. Give one of them another name.")
        elif len(own) > 1:
            problems.append(f"There is more than one cell '{row}'. Give them other names, or other values of an axis.")
    for rows in same.values():
        if len(set(rows)) > 1:
            problems.append(f"The cells {_listed(rows)} are the same search; keep one of them.")
    return problems


def _amount(budget: str) -> object:
    """What the budget is, however it is written; the text, where it is none, which is refused later."""
    try:
        return parse_budget(budget, 1)
    except ConfigError:
        return budget


def _listed(names: list[str]) -> str:
    return ", ".join(map(repr, dict.fromkeys(names)))
