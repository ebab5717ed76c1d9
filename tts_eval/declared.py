"""What a component can do, read off its factory's return type: known before a model is loaded."""

from __future__ import annotations

import itertools
import types
import typing
from collections.abc import Callable
from typing import Any


def declared(factory: Callable[..., Any], attribute: str) -> bool | None:
    """Whether what `factory` makes has `attribute`, and it is not False; None where the type does not say.

    It says so when the factory is annotated with a class that is no protocol, or is that class. An attribute that
    only instances have is not seen.
    """
    values = [getattr(kind, attribute, False) for kind in _made_by(factory)]
    said = {value is not False if isinstance(value, bool) or callable(value) else None for value in values}
    return said.pop() if len(said) == 1 else None


def declared_gifts(factory: Callable[..., Any]) -> frozenset[str] | None:
    """What the scores of the verifier that `factory` makes bring along: `transcript`, `embedding`.

    It says so by an attribute `gives`, a tuple, which it need not have; None where it does not.
    """
    gifts = [getattr(kind, "gives", None) for kind in _made_by(factory)]
    said = [gift for gift in gifts if isinstance(gift, tuple)]
    return frozenset(itertools.chain(*said)) if gifts and len(said) == len(gifts) else None


def _made_by(factory: Callable[..., Any]) -> tuple[type, ...]:
    """The classes of what `factory` makes; none where its type does not say."""
    if isinstance(factory, type):
        return (factory,)
    try:
        made = typing.get_type_hints(factory).get("return")
    except (NameError, TypeError):  # an annotation that only a type checker can read
        return ()
    kinds = typing.get_args(made) if isinstance(made, types.UnionType) else (made,)
    return kinds if all(isinstance(kind, type) and not getattr(kind, "_is_protocol", False) for kind in kinds) else ()
