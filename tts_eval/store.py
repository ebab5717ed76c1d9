"""The run directory: what was generated and what was said about it, append-only and resumable.

    run.json          resolved config, versions, checksums, host
    requests.jsonl    what was asked
    candidates/*.parquet + audio/*.flac
    scores/*.parquet
    report/           derived; can be deleted

Rows have keys that say what they are, not where they came from: a candidate's key is a hash of
(synthesizer + revision, request, sampling, seed, index), a score's of (audio, request, verifier +
version, judge). So a larger N, another verifier or another judge reuses everything that is there.
A part file is complete or absent; of two rows with one key the later wins. One process writes at a
time (a lock says so); any number may read.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

from tts_eval.errors import RunLockedError, StoreError
from tts_eval.files import remove_leftovers, write_atomically, write_text_atomically

if TYPE_CHECKING:
    import pyarrow

logger = logging.getLogger(__name__)

Row = dict[str, Any]


class Part(NamedTuple):
    """What one part file holds."""

    path: Path
    rows: pyarrow.Table | None
    """None of a damaged one."""


@dataclass(frozen=True, slots=True)
class Table:
    """One append-only table of the run directory."""

    folder: Path

    def append(self, rows: Sequence[Row]) -> None:
        """Write one part file with `rows`."""
        import pyarrow
        import pyarrow.parquet

        if not rows:
            return
        columns = dict.fromkeys(name for row in rows for name in row)  # from_pylist asks the first row alone
        table = pyarrow.table({name: [row.get(name) for row in rows] for name in columns})
        write_atomically(self._next_part(), lambda path: pyarrow.parquet.write_table(table, path))

    def read(self, *, set_aside_damaged: bool) -> dict[str, Row]:
        """All rows by key. A damaged part is skipped; with `set_aside_damaged` it is also renamed."""
        rows: dict[str, Row] = {}
        for part in self.scan():
            if part.rows is not None:
                rows.update((row["key"], row) for row in part.rows.to_pylist())
            elif set_aside_damaged:
                part.path.rename(part.path.with_suffix(".parquet.damaged"))
        return rows

    def scan(self, columns: Sequence[str] | None = None) -> Iterator[Part]:
        """The parts one after another, as they were written.

        Args:
            columns: those that are wanted, as far as a part has them; all when None.
        """
        import pyarrow

        for path in sorted(self.folder.glob("part-*.parquet")):
            try:
                rows = read_part(path, columns)
            except (pyarrow.ArrowException, OSError) as error:
                logger.warning(
                    "%s is damaged and was skipped (%s); its rows are made again by the next run", path, error
                )
                yield Part(path, None)
            else:
                yield Part(path, rows)

    def _next_part(self) -> Path:
        taken = [int(path.name.split(".")[0].removeprefix("part-")) for path in self.folder.glob("part-*")]
        return self.folder / f"part-{max(taken, default=0) + 1:06d}.parquet"


def read_part(path: Path, columns: Sequence[str] | None = None) -> pyarrow.Table:
    """The rows of one part file.

    Args:
        path: the file.
        columns: those that are wanted, as far as it has them; all when None.

    Raises:
        pyarrow.ArrowException: it is damaged.
        OSError: it cannot be read.
    """
    import pyarrow.parquet

    # A sixth of the time of read_table, which looks for a data set; a small file needs no threads.
    with pyarrow.parquet.ParquetFile(path, pre_buffer=False) as file:
        there = None if columns is None else [name for name in columns if name in file.schema_arrow.names]
        return file.read(columns=there, use_threads=False)


class RunFolder:
    """A run directory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def existing(cls, folder: Path) -> RunFolder:
        """The run directory `folder`.

        Raises:
            StoreError: there is no run in it.
        """
        if not (folder / "run.json").is_file():
            what = (
                "it has no run.json" if folder.is_dir() else "it is a file" if folder.exists() else "it does not exist"
            )
            inside = [path.parent.name for path in sorted(folder.glob("*/run.json"))[:3]] if folder.is_dir() else []
            advice = f" Runs inside it: {', '.join(inside)}." if inside else ""
            raise StoreError(f"{folder} is not a run: {what}. Give the --out folder of 'tts-eval run'.{advice}")
        return RunFolder(folder)

    def read_json(self, name: str) -> dict[str, Any]:
        """A JSON file of the run.

        Raises:
            StoreError: it is missing or damaged.
        """
        path = self.folder / name
        try:
            value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise StoreError(f"{path} cannot be read ({error}). Run 'tts-eval run' on this folder again.") from error
        return value


class Memory(RunFolder):
    """Rows of one run directory, as far as this process knows them; audio lies in the directory itself."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.candidates: dict[str, Row] = {}
        self.scores: dict[str, Row] = {}
        self.fresh: set[str] = set()
        """Keys of what was added since: it is not tried again now, whatever became of it."""

    def add_candidates(self, rows: Sequence[Row]) -> None:
        """Know candidate rows; their audio must be in place already."""
        self.candidates.update((row["key"], row) for row in rows)
        self.fresh.update(row["key"] for row in rows)

    def add_scores(self, rows: Sequence[Row]) -> None:
        """Know score rows."""
        self.scores.update((row["key"], row) for row in rows)
        self.fresh.update(row["key"] for row in rows)


class RunStore(Memory):
    """One run directory. Use `RunStore.create` to write, `RunStore.read` to look."""

    def __init__(self, folder: Path, *, writable: bool) -> None:
        super().__init__(folder)
        self._candidates = Table(folder / "candidates")
        self._scores = Table(folder / "scores")
        self.candidates = self._candidates.read(set_aside_damaged=writable)
        self.scores = self._scores.read(set_aside_damaged=writable)
        self._lock: int | None = None
        self._made_folder = False

    @classmethod
    def create(cls, folder: Path) -> RunStore:
        """Open `folder` for writing, making it if needed; use as a context manager to let it go.

        Raises:
            RunLockedError: another process is writing to it.
            StoreError: it cannot be made or written, or is full of something else.
        """
        _refuse_strange_folder(folder)
        is_new = not folder.exists()
        lock = _acquire(folder)
        try:
            for name in ("", "candidates", "candidates/audio", "scores", "report"):
                remove_leftovers(folder / name)
            store = cls(folder, writable=True)
        except BaseException:
            os.close(lock)
            raise
        store._lock, store._made_folder = lock, is_new
        return store

    @classmethod
    def read(cls, folder: Path) -> RunStore:
        """Open an existing run for reading; `tts_eval.columns` reads less of it.

        Raises:
            StoreError: there is no run in `folder`.
        """
        return cls(RunFolder.existing(folder).folder, writable=False)

    def __enter__(self) -> RunStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._lock is not None:
            self._leave_nothing_behind()
            os.close(self._lock)
            self._lock = None

    def _leave_nothing_behind(self) -> None:
        """Of a run that was refused before anything of it was written."""
        with contextlib.suppress(OSError):  # somebody else tidied up, or put something there meanwhile
            if [path.name for path in self.folder.iterdir()] == [".lock"]:
                (self.folder / ".lock").unlink()
                if self._made_folder:
                    self.folder.rmdir()

    def add_candidates(self, rows: Sequence[Row]) -> None:
        """Store candidate rows; their audio must be in place already."""
        self._candidates.append(rows)
        super().add_candidates(rows)

    def add_scores(self, rows: Sequence[Row]) -> None:
        """Store score rows."""
        self._scores.append(rows)
        super().add_scores(rows)

    def write_json(self, name: str, value: Mapping[str, Any]) -> None:
        """Write a JSON file of the run."""
        write_text_atomically(self.folder / name, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def _refuse_strange_folder(folder: Path) -> None:
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    if names and not names & {".lock", "run.json", "candidates"}:
        raise StoreError(f"{folder} is not empty, and not a run. Give a new folder with --out.")


def _acquire(folder: Path) -> int:
    import fcntl

    path = folder / ".lock"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise StoreError(
            f"{folder} cannot be written ({error.strerror}). Give a writable folder with --out."
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = os.pread(descriptor, 32, 0).decode().strip() or "unknown"
        os.close(descriptor)
        raise RunLockedError(
            f"Another process (pid {holder}) is writing to {folder}. Wait for it, or give another --out."
        ) from error
    if not _lies_at(path, descriptor):
        os.close(descriptor)  # whoever held it has removed it: what was locked is no longer the folder's lock
        return _acquire(folder)
    os.truncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor


def _lies_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
