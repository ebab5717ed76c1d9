"""How far the runs in a folder are, read from their parts as they appear, without disturbing who writes them.

Part files are complete or absent and never change, so each is read once, and only its keys. Nothing is locked: that a
process is at work is seen in the kernel's list of locks (without one: in whether the process that locked last lives).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from tts_eval.errors import TTSEvalError
from tts_eval.manifest import read_manifest, read_requests
from tts_eval.store import RunFolder

DEEPEST = 3
"""Folders below the served one in which runs are looked for."""
KERNEL_LOCKS = Path("/proc/locks")


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """One run."""

    name: str
    """Path inside the served folder; its own name for that folder itself."""
    path: str
    """The same, "" for that folder itself."""
    is_going: bool
    """Whether a process is writing to it."""
    candidates: int = 0
    candidates_expected: int = 0
    scores: int = 0
    scores_expected: int = 0
    """At most: what failed has no audio to judge, and a cascade spares later verifiers clips."""
    problem: str = ""
    """Why nothing is known."""

    def as_json(self) -> dict[str, Any]:
        """For the page's script."""
        return asdict(self)


def runs_below(root: Path) -> list[Path]:
    """Folders with a run.json, `root` included, in order; links are not followed and hidden folders not entered."""
    return sorted(_runs(root, 0))


def _runs(folder: Path, depth: int) -> Iterator[Path]:
    if (folder / "run.json").is_file():
        yield folder
        return
    if depth >= DEEPEST:
        return
    try:
        entries = [Path(entry) for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return
    for entry in entries:
        if not entry.name.startswith("."):
            yield from _runs(entry, depth + 1)


@dataclass(slots=True)
class _Keys:
    """Keys of one table's rows, as far as its parts have been read."""

    column: str = ""
    parts: set[str] = field(default_factory=set)
    keys: set[str] = field(default_factory=set)
    silent: set[str] = field(default_factory=set)
    """Keys of rows without audio."""

    def read(self, folder: Path) -> None:
        """Take in the parts that are new."""
        import pyarrow
        import pyarrow.parquet

        names = {path.name for path in folder.glob("part-*.parquet")}
        if self.parts - names:  # one was set aside as damaged
            self.parts, self.keys, self.silent = set(), set(), set()
        for name in sorted(names - self.parts):
            columns = ["key", *([self.column] if self.column else [])]
            try:
                table = pyarrow.parquet.read_table(folder / name, columns=columns)
            except (pyarrow.ArrowException, OSError, KeyError):
                continue
            keys = table.column("key").to_pylist()
            self.keys.update(keys)
            if self.column:
                values = table.column(self.column).to_pylist()
                self.silent.update(key for key, value in zip(keys, values, strict=True) if not value)
                self.silent.difference_update(key for key, value in zip(keys, values, strict=True) if value)
            self.parts.add(name)


@dataclass(frozen=True, slots=True)
class _Plan:
    """What a run is to have."""

    times: tuple[int, ...]
    """Of the files that say it."""
    keys: frozenset[str]
    """Of its candidates: of earlier settings, and on a search's way, others are stored beside them."""
    recordings: int
    judges: int


class Watch:
    """The runs below a folder; remembers which parts it has read."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()
        self._tables: dict[Path, tuple[_Keys, _Keys]] = {}
        self._plans: dict[Path, _Plan] = {}

    def look(self) -> list[Progress]:
        """How far every run is now."""
        locks = _kernel_locks()
        return [self._progress(folder, locks) for folder in runs_below(self._root)]

    def _progress(self, folder: Path, locks: list[_Lock] | None) -> Progress:
        path = "" if folder == self._root else folder.relative_to(self._root).as_posix()
        name, is_going = path or self._root.name, _is_written(folder, locks)
        try:
            plan = self._plan(folder)
        except (OSError, TTSEvalError) as error:
            return Progress(name=name, path=path, is_going=is_going, problem=f"{type(error).__name__}: {error}")
        made, judged = self._tables.setdefault(folder, (_Keys("audio_sha256"), _Keys()))
        made.read(folder / "candidates")
        judged.read(folder / "scores")
        expected, candidates = len(plan.keys), len(made.keys & plan.keys)
        heard = plan.recordings - len(made.silent & plan.keys)
        scores_expected, scores_so_far = ((count + heard) * plan.judges for count in (expected, candidates))
        return Progress(
            name=name,
            path=path,
            is_going=is_going,
            candidates=candidates,
            candidates_expected=expected,
            scores=min(len(judged.keys), scores_so_far),
            scores_expected=scores_expected,
        )

    def _plan(self, folder: Path) -> _Plan:
        files = [folder / name for name in ("run.json", "requests.jsonl")]
        times = tuple(path.stat().st_mtime_ns for path in files)
        plan = self._plans.get(folder)
        if plan is None or plan.times != times:
            run = RunFolder(folder)
            manifest, records = read_manifest(run), read_requests(run)
            plan = self._plans[folder] = _Plan(
                times,
                keys=frozenset(key for record in records for key in manifest.candidate_keys(record)),
                recordings=sum(record.request.ground_truth is not None for record in records),
                judges=len(manifest.verifiers),
            )
        return plan


def is_going(folder: Path) -> bool:
    """Whether a process is writing to the run in a folder."""
    return _is_written(folder, _kernel_locks())


class _Lock(NamedTuple):
    pid: int
    device: tuple[int, int]
    inode: int


def _kernel_locks() -> list[_Lock] | None:
    """Every lock on a file; None where the kernel has no such list."""
    try:
        lines = KERNEL_LOCKS.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    found = []
    for words in (line.split() for line in lines):
        if len(words) > 5 and words[1] in ("FLOCK", "POSIX"):  # NFS turns the one into the other
            major, minor, inode = words[5].split(":")
            found.append(_Lock(int(words[4]), (int(major, 16), int(minor, 16)), int(inode)))
    return found


def _is_written(folder: Path, locks: list[_Lock] | None) -> bool:
    path = folder / ".lock"
    try:
        entry, written = path.stat(), path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return False
    holder = int(written) if written.isdecimal() else None
    if locks is not None:
        device = os.major(entry.st_dev), os.minor(entry.st_dev)
        # Of some file systems (btrfs) the list has another device than the file; its holder's number tells as well.
        return any(lock.inode == entry.st_ino and (lock.device == device or lock.pid == holder) for lock in locks)
    if holder is None:
        return False
    try:
        os.kill(holder, 0)
    except OSError as error:
        return isinstance(error, PermissionError)  # it lives, and is another user's
    return True
