"""Fetching what may be fetched: whole or not at all, never outside its folder, and on from where it stopped.

A download lies in NAME.part until its SHA-256 is right. An archive is unpacked beside its place and put there by one
rename, so a folder that exists is complete.
"""

from __future__ import annotations

import gzip
import hashlib
import http.client
import shutil
import tarfile
import tempfile
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeAlias

from tts_eval.errors import DataError

Advance: TypeAlias = Callable[[int], None]
"""Hears how many bytes more are there."""
CHUNK = 1 << 20
TIMEOUT_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """A file, or a folder out of a tar archive, that belongs into the data folder."""

    url: str
    size: int
    """Bytes."""
    sha256: str
    target: str
    """Where it belongs, relative to the data folder."""
    member: str = ""
    """The folder of the archive that becomes `target`; "" for a plain file."""

    def is_there(self, data_dir: Path) -> bool:
        """Whether it need not be fetched."""
        # Whoever unpacked the archive by hand has the folder under its name in there.
        return any((data_dir / path).exists() for path in (self.target, self.member) if path)


def fetch(download: Download, data_dir: Path, advance: Advance) -> None:
    """Put `download` in its place.

    Raises:
        DataError: it cannot be fetched, is not what was published, or does not unpack; what was fetched is kept
            where it is sound, and the next call goes on from there.
    """
    target = data_dir / download.target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{data_dir} cannot be made: {error}. Give another folder as --data-dir.") from error
    part = data_dir / f"{PurePosixPath(download.url).name}.part"
    try:
        _receive(download, part, advance)
    except (OSError, http.client.HTTPException) as error:  # URLError is an OSError
        reason = getattr(error, "reason", None) or error
        raise DataError(
            f"{download.url} cannot be fetched ({reason}). Run the same command again to go on, "
            f"or download it yourself to {part.with_suffix('')} and rename that to {part.name}."
        ) from error
    _check(download, part)
    if not download.member:
        part.replace(target)
        return
    with tempfile.TemporaryDirectory(dir=data_dir, prefix=".unpacking-") as temporary:
        unpack(part, Path(temporary))
        unpacked = Path(temporary, *PurePosixPath(download.member).parts)
        if not unpacked.is_dir():
            raise DataError(f"{download.url} has no folder {download.member}; expected one, so its layout has changed.")
        unpacked.rename(target)
    part.unlink()


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a tar archive into `folder`, and nowhere else.

    Raises:
        DataError: it is no tar archive, is damaged, or has a member that would land outside (absolute paths, `..`,
            links that lead out, devices); the message names it. Or `folder` does not take it (a full disk).
    """
    if not hasattr(tarfile, "data_filter"):
        raise DataError("This Python unpacks archives without care for their paths; use 3.11.4 or newer.")
    try:
        with tarfile.open(archive) as opened:
            opened.extractall(folder, filter="data")
    except tarfile.FilterError as error:
        raise DataError(
            f"{archive} is not safe to unpack: {error}. Delete it; nothing of it was put in place."
        ) from error
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{archive} cannot be unpacked: {error}. Delete it and run the same command again.") from error
    except OSError as error:
        raise DataError(
            f"{archive} cannot be unpacked into {folder}: {error}. The archive is kept: "
            "see to that (disk space, rights) and run the same command again."
        ) from error


def sha256_of(path: Path) -> str:
    """The digest of a file's content."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _receive(download: Download, part: Path, advance: Advance) -> None:
    have = part.stat().st_size if part.exists() else 0
    if have >= download.size:
        advance(have)
        return
    request = urllib.request.Request(download.url, headers={"Range": f"bytes={have}-"} if have else {})
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:
        # A server that knows no ranges sends everything again.
        continues = have > 0 and response.status == 206
        advance(have if continues else 0)
        with part.open("ab" if continues else "wb") as stream:
            for chunk in iter(lambda: response.read(CHUNK), b""):
                stream.write(chunk)
                advance(len(chunk))
    if part.stat().st_size < download.size:
        raise OSError(f"the connection ended after {part.stat().st_size} of {download.size} bytes")


def _check(download: Download, part: Path) -> None:
    found = sha256_of(part)
    if found != download.sha256:
        damaged = part.with_suffix(".damaged")
        shutil.move(part, damaged)
        raise DataError(
            f"{download.url} is not what was published: SHA-256 {found}, expected {download.sha256}. "
            f"It lies in {damaged}; run the same command again to fetch it anew."
        )
