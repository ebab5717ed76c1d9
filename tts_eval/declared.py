"""What a component can do, read off its factory's return type: known before a model is loaded."""

from __future__ import annotations

import typing
from collections.abc import Callable
from typing import Any


def declared(factory: Callable[..., Any], attribute: str) -> bool | None:
    """Whether what `factory` makes has `attribute`, and it is not False; None where the type does not say.

    It says so when the factory is annotated with a class that is no protocol, or is that class. An attribute that
    only instances have is not seen.
    """
    made = factory if isinstance(factory, type) else None
    if made is None:
        try:
            made = typing.get_type_hints(factory).get("return")
        except (NameError, TypeError):  # an annotation that only a type checker can read
            return None
    if not isinstance(made, type) or getattr(made, "_is_protocol", False):
        return None
    value = getattr(made, attribute, False)
    return value is not False if isinstance(value, bool) or callable(value) else None
