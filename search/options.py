"""Options of a strategy, spelled KEY=VALUE,KEY=VALUE; what there is to set is read off its parameters."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable
from typing import Any

from tts_eval.errors import ConfigError

Value = int | float | str


def parse_options(argument: str, factory: Callable[..., Any], spec: str) -> dict[str, Any]:
    """Keyword arguments for `factory`: options are its parameters whose default is an int, a float or a str.

    Raises:
        ConfigError: unknown keys (with the close matches), keys given twice and wrong values, all of them.
    """
    known: dict[str, Value] = {
        name: parameter.default
        for name, parameter in inspect.signature(factory).parameters.items()
        if isinstance(parameter.default, Value) and name != "run_seed"
    }
    problems: list[str] = []
    options: dict[str, Any] = {}
    for part in filter(None, (part.strip() for part in argument.split(","))):
        key, equals, text = (piece.strip() for piece in part.partition("="))
        if not equals:
            problems.append(f"Strategy '{spec}': '{part}' is not KEY=VALUE.")
        elif key not in known:
            matches = difflib.get_close_matches(key, list(known), n=1)
            hint = f"Did you mean '{matches[0]}'?" if matches else f"It has: {', '.join(known) or 'none'}."
            problems.append(f"Strategy '{spec}' has no option '{key}'. {hint}")
        elif key in options:
            problems.append(f"Strategy '{spec}' sets '{key}' more than once; keep one of them.")
        else:
            options[key] = _convert(text, known[key], f"Strategy '{spec}': {key}", problems)
    if problems:
        raise ConfigError(problems)
    return options


def _convert(text: str, default: Value, label: str, problems: list[str]) -> Value:
    kind = type(default)
    try:
        return kind(text)
    except ValueError:
        problems.append(f"{label} is '{text}'; expected {'a whole number' if kind is int else 'a number'}.")
        return default
