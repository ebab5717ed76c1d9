"""Components by name: loaded on first use, extended by other packages, helpful about typos.

A registry maps a name to a `module:attribute` target, so listing names imports nothing heavy.
Another package adds its own through entry points (`tts_eval.synthesizers`, `tts_eval.verifiers`,
`tts_eval.strategies`, `tts_eval.suites`). Users write `NAME` or `NAME:ARGUMENT`; what the argument
means is the component's business.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any, Generic, NamedTuple, TypeVar, cast

from tts_eval.errors import ConfigError, UnknownNameError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Entry:
    """One name of a registry."""

    name: str
    target: str
    """`module:attribute`."""
    summary: str


class Spec(NamedTuple):
    """`NAME` or `NAME:ARGUMENT`, as typed by a user."""

    name: str
    argument: str


def parse_spec(text: str) -> Spec:
    """Split at the first colon; the argument may hold more of them."""
    name, _, argument = text.strip().partition(":")
    return Spec(name.strip(), argument.strip())


def load_target(target: str) -> Any:
    """The object at `module:attribute`."""
    module, _, attribute = target.partition(":")
    loaded: Any = importlib.import_module(module)
    for part in attribute.split("."):
        loaded = getattr(loaded, part)
    return loaded


class Registry(Generic[T]):
    """Names of one kind of component."""

    def __init__(self, kind: str, plural: str, entry_point_group: str | None = None) -> None:
        self.kind = kind
        self.plural = plural
        self._group = entry_point_group
        self._entries: dict[str, Entry] = {}
        self._objects: dict[str, T] = {}
        self._discovered = entry_point_group is None

    def add(self, name: str, target: str | T, summary: str = "") -> None:
        """Register a `module:attribute` string, or the object itself.

        Raises:
            ConfigError: the name is taken by another target.
        """
        path = target if isinstance(target, str) else f"{getattr(target, '__module__', '?')}:{target!r}"
        known = self._entries.get(name)
        if known is not None and known.target != path:
            raise ConfigError([f"{self.kind} '{name}' is already registered as {known.target}; choose another name."])
        self._entries[name] = Entry(name, path, summary)
        if not isinstance(target, str):
            self._objects[name] = target

    def require(self, name: str) -> None:
        """Raise what `load` would raise for an unknown name, without importing anything."""
        if name not in self:
            raise UnknownNameError(self._unknown(name))

    def load(self, name: str) -> T:
        """The component called `name`, imported on first use.

        Raises:
            UnknownNameError: no such name; the message has the close matches and the listing command.
        """
        self.require(name)
        if name not in self._objects:
            self._objects[name] = cast(T, load_target(self._entries[name].target))
        return self._objects[name]

    def __contains__(self, name: object) -> bool:
        self._discover()
        return name in self._entries

    def __iter__(self) -> Iterator[Entry]:
        self._discover()
        return iter(sorted(self._entries.values(), key=lambda entry: entry.name))

    def _discover(self) -> None:
        if self._discovered or self._group is None:
            return
        self._discovered = True
        for point in entry_points(group=self._group):
            self.add(point.name, point.value, f"from {point.dist.name}" if point.dist else "")

    def _unknown(self, name: str) -> str:
        matches = difflib.get_close_matches(name, list(self._entries), n=3, cutoff=0.5)
        hint = f" Did you mean {' or '.join(repr(match) for match in matches)}?" if matches else ""
        return f"Unknown {self.kind} '{name}'.{hint} Run 'tts-eval ls {self.plural}' for all of them."
