"""KEY=VALUE settings, as they stand in the arguments of synthesizers, verifiers and strategies."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence

from tts_eval.errors import ConfigError


def parse_key_values(
    settings: Iterable[str], known: Sequence[str], where: str, problem_of: Callable[[str, str], str]
) -> dict[str, str]:
    """The values by key.

    Args:
        settings: KEY=VALUE each; empty ones are passed over.
        known: Keys that there are.
        where: The whole spec, for messages.
        problem_of: What is wrong with a known key's value, as "expected ..." or the like; "" for nothing.

    Raises:
        ConfigError: no KEY=VALUE, unknown keys (with the close match), keys given twice, wrong values: all of them.
    """
    values: dict[str, str] = {}
    problems = []
    for setting in filter(None, map(str.strip, settings)):
        key, equals, value = (part.strip() for part in setting.partition("="))
        if not equals:
            problems.append(f"'{setting}' in '{where}' is not KEY=VALUE.")
        elif key not in known:
            close = difflib.get_close_matches(key, known, n=1)
            hint = f"Did you mean '{close[0]}'?" if close else f"Expected one of: {', '.join(known) or 'none'}."
            problems.append(f"Unknown option '{key}' in '{where}'. {hint}")
        elif key in values:
            problems.append(f"'{where}' sets '{key}' more than once; keep one of them.")
        elif problem := problem_of(key, value):
            problems.append(f"{key} is '{value}' in '{where}'; {problem}.")
        values.setdefault(key, value)
    if problems:
        raise ConfigError(problems)
    return values
