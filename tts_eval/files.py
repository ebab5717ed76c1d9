"""Writing files so that they are complete or absent, whatever happens meanwhile."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tts_eval.errors import StoreError

TEMPORARY_PREFIX = ".writing-"
MOST_SYNCED = 32
"""Files that are synced at a time; more do not make it faster."""


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Have `write` fill a temporary file beside `path`, then sync it and rename it into place.

    Raises:
        StoreError: the folder cannot be written, or the disk is full; `path` is as it was before.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # The suffix stays, because some writers choose their format by it.
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=TEMPORARY_PREFIX, suffix=path.suffix)
        os.close(handle)
        temporary = Path(name)
        write(temporary)
        temporary.chmod(0o644)
        _sync(temporary)
        temporary.replace(path)
        _sync(path.parent)
    except OSError as error:
        raise StoreError(_explain(path, error)) from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


def write_text_atomically(path: Path, text: str) -> None:
    """Write UTF-8 text; see `write_atomically`."""
    write_pieces_atomically(path, [text])


def write_pieces_atomically(path: Path, pieces: Iterable[str]) -> None:
    """Write UTF-8 text that is never in memory as a whole; see `write_atomically`."""

    def write(temporary: Path) -> None:
        with temporary.open("w", encoding="utf-8") as stream:
            stream.writelines(pieces)

    write_atomically(path, write)


def write_together(contents: Mapping[Path, bytes]) -> None:
    """Write several files of one folder like `write_atomically`, synced side by side: disks then sync them together.

    Raises:
        StoreError: the folder cannot be written, or the disk is full; some of the files may be there already.
    """
    if not contents:
        return
    folder = next(iter(contents)).parent
    temporary: dict[Path, Path] = {}
    open_files: list[int] = []
    path = folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, content in contents.items():
            handle, name = tempfile.mkstemp(dir=folder, prefix=TEMPORARY_PREFIX, suffix=path.suffix)
            open_files.append(handle)
            temporary[path] = Path(name)
            os.fchmod(handle, 0o644)
            _write_all(handle, content)
        with ThreadPoolExecutor(MOST_SYNCED) as threads:
            list(threads.map(os.fsync, open_files))
        for path in contents:
            temporary.pop(path).replace(path)
        _sync(folder)
    except OSError as error:
        raise StoreError(_explain(path, error)) from error
    finally:
        for handle in open_files:
            os.close(handle)
        for left in temporary.values():
            with contextlib.suppress(OSError):
                left.unlink(missing_ok=True)


def _write_all(handle: int, content: bytes) -> None:
    written = 0
    while written < len(content):  # a disk that is almost full takes a part
        written += os.write(handle, content[written:])


def next_number(folder: Path, pattern: str) -> int:
    """The number after the highest that the last digits in a name that matches `pattern` give; 0 where there is none.

    A count would name an existing file again once another one has been deleted.
    """
    digits = (re.findall(r"\d+", path.name) for path in folder.glob(pattern))
    return max((int(found[-1]) for found in digits if found), default=-1) + 1


def remove_leftovers(folder: Path) -> None:
    """Delete the temporary files that a killed process left in `folder`."""
    for path in folder.glob(f"{TEMPORARY_PREFIX}*"):
        with contextlib.suppress(OSError):
            path.unlink()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _explain(path: Path, error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return (
            f"No space left to write {path}. What was stored before is complete; "
            "free some space and run the same command again to go on."
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{path} cannot be written ({error.strerror}). Give a writable folder with --out."
    return f"{path} cannot be written: {error}."
