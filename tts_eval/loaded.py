"""One copy of a model in memory, whoever asks for it.

    model = once(lambda: load(folder, device), load, folder, device)

Nothing is kept for its own sake: a model lives as long as somebody holds it, and is loaded again after that.
So two verifiers of one run share their checkpoint, and nothing of a run is left when it is over.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any, TypeVar, cast
from weakref import WeakValueDictionary

T = TypeVar("T")

_alive: WeakValueDictionary[tuple[Hashable, ...], Any] = WeakValueDictionary()
_loading = threading.RLock()
"""Reentrant, because what is loaded may be made of what is loaded once."""


def once(load: Callable[[], T], *key: Hashable) -> T:
    """What `load()` gives, and the same object again for the same key as long as somebody holds it.

    Args:
        load: Makes an object that can be referred to weakly; what it raises goes through, and nothing is remembered.
        key: All that decides what is made: the class or function that makes it, and its arguments. A path stands for
            the files that lie there now, so what was replaced is loaded anew.
    """
    full = tuple(_contents(part) if isinstance(part, Path) else part for part in key)
    with _loading:
        found = _alive.get(full)
        if found is None:
            found = _alive[full] = load()
        return cast(T, found)


def place_of(model: str) -> Path | str:
    """The path that a user's argument is, where there is something; else the name itself."""
    path = Path(model).expanduser()
    return path if model and path.exists() else model


def _contents(path: Path) -> tuple[Hashable, ...]:
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    return (path.resolve(), *((file.name, *_stamp(file)) for file in files))


def _stamp(file: Path) -> tuple[int, int]:
    stat = file.stat() if file.exists() else file.lstat()  # a link may lead nowhere
    return stat.st_mtime_ns, stat.st_size
