"""Files of a run folder that is kept in two places: which travel, in what order, and which are the same by now."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath


@dataclass(frozen=True, slots=True, kw_only=True)
class Same:
    """A file as it was here when both places had the same."""

    name: str
    size: int
    modified: int
    """Nanoseconds since 1970."""
    sha256: str
    """Of a file that may change; "" of one that never does."""


class Notes:
    """What is known to be the same in both places; a line a file, the later line counts."""

    def __init__(self, path: Path, folder: Path) -> None:
        """Know nothing yet.

        Args:
            path: where it is noted, outside of `folder`.
            folder: what it is noted of.
        """
        self._path, self._folder = path, folder
        self.known: dict[str, Same] = {}

    def read(self) -> None:
        """Know what is noted."""
        self.known = {}
        for line in self._path.read_text(encoding="utf-8").splitlines() if self._path.exists() else []:
            with contextlib.suppress(ValueError, TypeError):  # cut by a kill: then the files are compared
                same = Same(**json.loads(line))
                self.known[same.name] = same

    def add(self, same: Sequence[Same]) -> None:
        """Know these, and note them."""
        self.known.update((entry.name, entry) for entry in same)
        with self._path.open("a", encoding="utf-8") as lines:
            lines.write("".join(json.dumps(asdict(entry)) + "\n" for entry in same))

    def is_as_it_was(self, name: str) -> bool:
        """Whether the folder's file is still the one that was the same in both places."""
        same = self.known.get(name)
        if same is None:
            return False
        try:
            entry = (self._folder / name).stat()
        except FileNotFoundError:
            return False
        return (entry.st_size, entry.st_mtime_ns) == (same.size, same.modified)


def stamp(name: str, path: Path) -> Same:
    """The file `name` as it lies at `path`."""
    entry = path.stat()
    sha256 = "" if never_changes(name) else digest(path)
    return Same(name=name, size=entry.st_size, modified=entry.st_mtime_ns, sha256=sha256)


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def rank(name: str) -> int:
    """When it travels: what others refer to goes before them."""
    path = PurePosixPath(name)
    if path.suffix == ".parquet" and path.parent.name in ("candidates", "scores"):
        return 1 if path.parent.name == "candidates" else 2
    if path.parent.name == "audio":
        return 0
    return {"requests.jsonl": 3, "run.json": 4, "sweep.json": 6}.get(path.name, 5)


def never_changes(name: str) -> bool:
    """Whether the file, once written, stays as it is: audio and part files."""
    return rank(name) <= 2 and not is_derived(name)


def is_derived(name: str) -> bool:
    """Whether it is part of a report, which can be made again."""
    return "report" in PurePosixPath(name).parts[:-1]


def is_of_a_run(name: str) -> bool:
    """Whether a folder with this file holds a run or sweep."""
    path = PurePosixPath(name)
    return path.name in ("run.json", "sweep.json") or "candidates" in path.parts


def travels(name: str) -> bool:
    """Whether it is neither a lock, nor temporary, nor set aside."""
    return not name.endswith(".damaged") and not any(part.startswith(".") for part in name.split("/"))
