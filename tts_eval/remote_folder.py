"""A folder of runs at a URL (s3://, gs://, file:// ...): worked on in a copy on this machine, pushed as it grows.

    HOME/runs/NAME-DIGEST/NAME/         the copy
    HOME/runs/NAME-DIGEST/same.jsonl    which of its files are known to be the same at the URL
    URL/.writer.json                    who may write there now: see `tts_eval.lease`

Part files and audio never change; all others are replaced whole. Audio goes first, then candidates, then scores, then
what refers to them, so that what is at the URL can be read at any time. Nothing is deleted on either side. A file
that both sides changed is an error, unless it is part of a report: those can be made again. Locks and temporary files
(names with a leading dot) and parts that were set aside as damaged do not travel.
"""

from __future__ import annotations

import contextlib
import difflib
import fcntl
import hashlib
import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Any

from tts_eval.errors import ConfigError, MissingDependencyError, RunLockedError, StoreError, TTSEvalError
from tts_eval.execution import batched
from tts_eval.lease import Lease
from tts_eval.remote_files import Notes, digest, is_derived, is_of_a_run, never_changes, rank, stamp, travels
from tts_eval.weights import home

TOGETHER = 64
"""Files that travel at a time, between looks at the claim."""
MOST_NAMED = 5


def is_url(text: str | Path) -> bool:
    """Whether it is a URL rather than a path."""
    return "://" in str(text)


class RemoteFolder:
    """The folder at `url`, and its copy in `folder`, which may not exist yet.

    Raises:
        ConfigError: no file system goes by that URL.
        MissingDependencyError: the package for it is not installed.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._files, self._root = _file_system(url)
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", self._root.rpartition("/")[2]).lstrip(".") or "run"
        whole = str(self._files.unstrip_protocol(self._root))
        self._place = home() / "runs" / f"{name}-{hashlib.sha256(whole.encode()).hexdigest()[:12]}"
        self.folder = self._place / name
        self._notes = Notes(self._place / "same.jsonl", self.folder)
        self._lease: Lease | None = None

    @contextlib.contextmanager
    def writing(self, *, may_be_empty: bool = True) -> Iterator[None]:
        """Claim the URL and this machine's copy, and bring the copy up to date.

        Raises:
            RunLockedError: somebody else works there.
            StoreError: it cannot be reached or written, both sides changed the same file, or there is nothing.
        """
        with self._locked(fcntl.LOCK_EX) as is_ours:
            if not is_ours:
                raise RunLockedError(f"Another process on this machine works on {self.url}. Wait for it.")
            lease = Lease(self._files, self._root, owner=self._owner(), label=self.url)
            with self._explained("written"):
                lease.take()
            self._lease = lease
            try:
                with self._explained("read"):
                    self._pull(may_be_empty=may_be_empty)
                yield
            finally:
                self._lease = None
                with contextlib.suppress(Exception):  # then it lapses
                    lease.release()

    def read(self) -> None:
        """Bring the copy up to date; if a process of this machine writes there, it is ahead of the URL already.

        Raises:
            StoreError: there is nothing, it cannot be reached, or both sides changed the same file.
        """
        with self._locked(fcntl.LOCK_SH) as is_ours:
            if is_ours:
                with self._explained("read"):
                    self._pull(may_be_empty=False)

    def push_reports(self) -> None:
        """Push what lies in report/ folders, claim or not: it can always be made again.

        Raises:
            StoreError: it cannot be written there.
        """
        with self._locked(fcntl.LOCK_SH) as is_ours, self._explained("written"):
            if is_ours:  # otherwise the process that writes pushes them too
                self._push(is_derived)

    def push(self) -> None:
        """Push what is new here; between `writing` begins and ends.

        Raises:
            RunLockedError: somebody else has taken over.
            StoreError: it could not be pushed, not all of it; or a file changed that never does.
        """
        with self._explained("written"):
            self._push(lambda name: True)

    def _pull(self, *, may_be_empty: bool) -> None:
        theirs = self._listing()
        if not theirs and not may_be_empty:
            raise StoreError(f"There is no run at {self.url}. Give the URL that 'tts-eval run --out' was given.")
        if theirs and not any(is_of_a_run(name) for name in theirs):
            raise StoreError(f"{self.url} is not empty, and holds no run. Give another URL.")
        conflicts: list[str] = []
        todo = [name for name, size in theirs.items() if self._has_to_be_looked_at(name, size)]
        for batch in batched(todo, TOGETHER):
            self._keep_claim()
            with self._outside(batch) as arrived:
                self._files.get([f"{self._root}/{name}" for name in batch], [str(path) for path in arrived])
                for name, path in zip(batch, arrived, strict=True):
                    if not self._reconcile(name, path):
                        conflicts.append(name)
        self._refuse(conflicts)

    def _has_to_be_looked_at(self, name: str, size: int) -> bool:
        known = self._notes.known.get(name)
        return not (never_changes(name) and known and known.size == size and self._notes.is_as_it_was(name))

    def _reconcile(self, name: str, theirs: Path) -> bool:
        """Take `theirs`, or keep ours; False where that would lose something."""
        ours = self.folder / name
        if ours.is_file():
            known, their_digest = self._notes.known.get(name), digest(theirs)
            if digest(ours) != their_digest:
                if never_changes(name):
                    return ours.read_bytes().startswith(theirs.read_bytes())  # a kill cut it, pushed again it is whole
                if not (is_derived(name) or self._notes.is_as_it_was(name)):
                    return known is not None and known.sha256 == their_digest
        ours.parent.mkdir(parents=True, exist_ok=True)
        theirs.replace(ours)
        self._notes.add([stamp(name, ours)])
        return True

    def _push(self, wanted: Callable[[str], bool]) -> None:
        changed = [name for name in self._names_here() if wanted(name) and not self._notes.is_as_it_was(name)]
        rewritten = [name for name in changed if never_changes(name) and name in self._notes.known]
        conflicts = [name for name in rewritten if self._differs(name)]
        todo = sorted(set(changed) - set(conflicts), key=lambda name: (rank(name), name))
        self._keep_claim()
        for _, names in groupby(todo, key=rank):  # within one rank they may arrive in any order
            for batch in batched(list(names), TOGETHER):
                self._keep_claim()
                with self._outside(batch) as copies:
                    leaving = [self._held_still(name, copy) for name, copy in zip(batch, copies, strict=True)]
                    stamps = [stamp(name, path) for name, path in zip(batch, leaving, strict=True)]
                    self._files.put([str(path) for path in leaving], [f"{self._root}/{name}" for name in batch])
                self._notes.add(stamps)
        self._refuse(conflicts)

    def _held_still(self, name: str, copy: Path) -> Path:
        """The file, or a copy of one that may be replaced while it is pushed."""
        path = self.folder / name
        if never_changes(name):
            return path
        with path.open("rb") as file:
            modified = os.fstat(file.fileno()).st_mtime_ns
            copy.write_bytes(file.read())
        os.utime(copy, ns=(modified, modified))
        return copy

    def _differs(self, name: str) -> bool:
        """Whether a file that never changes is another one here; what the URL has may be its cut beginning."""
        theirs: bytes = self._files.cat_file(f"{self._root}/{name}")
        return not (self.folder / name).read_bytes().startswith(theirs)

    def _refuse(self, conflicts: Sequence[str]) -> None:
        if conflicts:
            more = f" and {len(conflicts) - MOST_NAMED} more" if len(conflicts) > MOST_NAMED else ""
            raise StoreError(
                f"{', '.join(sorted(conflicts)[:MOST_NAMED])}{more}: not the same at {self.url} and in {self.folder}, "
                "where somebody else went on meanwhile or the file was changed. To go on with what the URL has, move "
                "that folder away; to keep what it has, give another --out."
            )

    def _listing(self) -> dict[str, int]:
        """Names and sizes of what is at the URL and travels, in the order of travel.

        Raises:
            StoreError: a name leads out of the folder.
        """
        self._files.invalidate_cache()
        found: dict[str, dict[str, Any]] = self._files.find(self._root, detail=True)
        sizes = {}
        for path, info in found.items():
            name = path.removeprefix(f"{self._root}/")
            if info.get("type") != "file" or path.endswith("/"):
                continue  # object stores may have objects that stand for folders
            if name == path or any(part in ("", ".", "..") for part in name.split("/")) or not name.isprintable():
                raise StoreError(f"{self.url} lists {path!r}, which does not lie in it. Nothing was read.")
            if travels(name):
                sizes[name] = int(info["size"])
        return dict(sorted(sizes.items(), key=lambda entry: (rank(entry[0]), entry[0])))

    def _names_here(self) -> Iterator[str]:
        """Files of the copy that travel: what refers to others is listed before them, so that none is without them."""
        for folder, folders, files in os.walk(self.folder):
            folders.sort(reverse=True)  # scores, candidates, candidates/audio
            for file in files:
                name = (Path(folder) / file).relative_to(self.folder).as_posix()
                if travels(name):
                    yield name

    def _keep_claim(self) -> None:
        if self._lease is not None:
            self._lease.keep()

    def _owner(self) -> str:
        """This machine's copy: whoever holds its lock knows that what claimed the URL for it before is dead."""
        path = self._place / "owner"
        if not path.exists():
            path.write_text(uuid.uuid4().hex, encoding="ascii")
        return path.read_text(encoding="ascii")

    @contextlib.contextmanager
    def _locked(self, kind: int) -> Iterator[bool]:
        """Hold the copy's lock, shared or not; gives False where another process is in the way."""
        self._place.mkdir(parents=True, exist_ok=True)
        is_ours = True
        with (self._place / ".lock").open("w") as lock:
            try:
                fcntl.flock(lock, kind | fcntl.LOCK_NB)
                self._notes.read()
            except BlockingIOError:
                is_ours = False
            yield is_ours

    @contextlib.contextmanager
    def _outside(self, names: Sequence[str]) -> Iterator[list[Path]]:
        """Paths for these files outside of the copy, gone afterwards."""
        folder = self._place / f"moving-{uuid.uuid4().hex}"
        folder.mkdir()
        try:
            yield [folder / f"{number}-{PurePosixPath(name).name}" for number, name in enumerate(names)]
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @contextlib.contextmanager
    def _explained(self, doing: str) -> Iterator[None]:
        try:
            yield
        except TTSEvalError:
            raise
        except Exception as error:  # file systems raise whatever they like
            said = f"{type(error).__name__}: {error}".removesuffix(": ")
            raise StoreError(f"{self.url} cannot be {doing} ({said}). {_advice(error)}") from error


def _file_system(url: str) -> tuple[Any, str]:
    from fsspec.core import url_to_fs
    from fsspec.registry import available_protocols

    scheme = url.partition(":")[0].lower()
    # Elsewhere there are no folders to be made, or writing makes them.
    options = {"auto_mkdir": True} if scheme in ("file", "local") else {}
    try:
        files, root = url_to_fs(url, use_listings_cache=False, **options)
    except ImportError as error:
        if scheme in ("s3", "s3a"):
            raise MissingDependencyError("s3fs", url, "tts-eval-harness[s3]") from error
        raise ConfigError([f"{url} cannot be used: {error}."]) from error
    except Exception as error:  # file systems raise whatever they like
        close = difflib.get_close_matches(scheme, available_protocols(), n=1)
        hint = f"Did you mean {close[0]}://?" if close else "Give a path, or a URL that fsspec knows."
        raise ConfigError([f"{url} cannot be used: {error}. {hint}"]) from error
    root = str(root).rstrip("/")
    if not root:
        raise ConfigError([f"{url} names no folder. Give one, e.g. s3://bucket/runs/x."])
    return files, root


def _advice(error: Exception) -> str:
    if isinstance(error, (FileExistsError, NotADirectoryError)):
        return "A file lies where the folder should be; give another URL."
    if isinstance(error, FileNotFoundError):
        return "See that the bucket (or drive) is there: it is not made for you."
    if isinstance(error, PermissionError) or "credential" in f"{type(error).__name__} {error}".lower():
        return (
            "See that this machine has the right to (s3://: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile)."
        )
    return "See that it can be reached from here, and run the same command again."
