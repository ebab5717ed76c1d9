"""Options of a strategy, spelled KEY=VALUE,KEY=VALUE; what there is to set is read off its parameters."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from tts_eval.key_values import parse_key_values

Value = int | float | str


def options_of(factory: Callable[..., Any]) -> dict[str, Value]:
    """The options of a strategy and what they are unless said otherwise."""
    return {
        name: parameter.default
        for name, parameter in inspect.signature(factory).parameters.items()
        if isinstance(parameter.default, Value) and name != "run_seed"
    }


def parse_options(argument: str, factory: Callable[..., Any], spec: str) -> dict[str, Any]:
    """Keyword arguments for `factory`: options are its parameters whose default is an int, a float or a str.

    Raises:
        ConfigError: unknown keys (with the close matches), keys given twice and wrong values, all of them.
    """
    kinds = {name: type(default) for name, default in options_of(factory).items()}

    def problem_of(key: str, value: str) -> str:
        try:
            kinds[key](value)
        except ValueError:
            return f"expected {'a whole number' if kinds[key] is int else 'a number'}"
        return ""

    values = parse_key_values(argument.split(","), list(kinds), spec, problem_of)
    return {key: kinds[key](value) for key, value in values.items()}
