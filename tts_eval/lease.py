"""Who may write at a URL: a small object there that says who does, and until when that holds without being renewed.

    URL/.writer.json    {"owner": ..., "host": ..., "pid": ..., "since": ..., "lapses": ...}

A claim is renewed while work goes on, so a crash leaves none behind for longer than `SECONDS`. Times are those of the
machines' own clocks, which have to agree to within a minute or so. Where the file system can create an object only if
there is none (S3 can), two that come first at once cannot both win; whoever takes over a lapsed claim looks again
after a while, because there the later writer wins.
"""

from __future__ import annotations

import json
import os
import socket
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from tts_eval.errors import RunLockedError

NAME = ".writer.json"
SECONDS, RENEWED_AFTER = 180.0, 30.0
SETTLING_SECONDS = 2.0
"""How long two that take over the same lapsed claim may be apart; also how long writing a claim may take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What the object says; times are seconds since 1970."""

    owner: str
    host: str
    pid: int
    since: float
    lapses: float

    def __str__(self) -> str:
        when = datetime.fromtimestamp(self.lapses, UTC).strftime("%H:%M:%S")
        left = max(self.lapses - time.time(), 0.0)
        return f"process {self.pid} on {self.host}, whose claim lapses at {when} UTC (in {left:.0f} s) if it is dead"


class Lease:
    """The right to write below `root` of an fsspec file system, for as long as it is kept.

    What the file system raises goes through.
    """

    def __init__(self, files: Any, root: str, *, owner: str, label: str) -> None:
        """Claim nothing yet.

        Args:
            files: fsspec file system.
            root: path of the folder in it.
            owner: who asks; whoever has the same name goes on with its own claim.
            label: what errors call the folder.
        """
        self._files, self._path, self._owner, self._label = files, f"{root}/{NAME}", owner, label
        self._since = self._renewed = 0.0

    def take(self) -> None:
        """Claim it.

        Raises:
            RunLockedError: somebody else holds it.
        """
        self._since = time.time()
        before = self._read()
        if before is None and self._created():
            return
        before = before or self._read()
        if before is None or before.owner == self._owner or before.lapses < time.time():
            self._write()
            if before is None or before.owner != self._owner:
                time.sleep(SETTLING_SECONDS)
            before = self._read()
        if before is None or before.owner != self._owner:
            holder = before or "nobody knows whom"
            raise RunLockedError(f"{self._label} is being written by {holder}. Wait for it, or give another --out.")

    def _created(self) -> bool:
        """Whether there was none, and now it is ours; not every store can tell, and what they raise differs."""
        try:
            self._write(mode="create")
        except (OSError, NotImplementedError):
            return False
        return True

    def keep(self) -> None:
        """Renew the claim if it is old enough.

        Raises:
            RunLockedError: it had lapsed, and somebody else has taken over.
        """
        if time.time() - self._renewed < RENEWED_AFTER:
            return
        now = self._read()
        if now is not None and now.owner != self._owner:
            raise RunLockedError(f"{self._label} has been taken over by {now}; nothing more is pushed there.")
        self._write()

    def release(self) -> None:
        """Let it go, if it is still ours."""
        now = self._read()
        if now is not None and now.owner == self._owner:
            self._files.rm(self._path)

    def _write(self, mode: str = "overwrite") -> None:
        now = time.time()
        claim = Claim(
            owner=self._owner, host=socket.gethostname(), pid=os.getpid(), since=self._since, lapses=now + SECONDS
        )
        self._files.pipe_file(self._path, json.dumps(asdict(claim)).encode(), mode=mode)
        self._renewed = now

    def _read(self) -> Claim | None:
        """What is claimed now; one that stays unreadable has lapsed."""
        for seconds in (SETTLING_SECONDS, 0.0):
            try:
                content = self._files.cat_file(self._path)
            except FileNotFoundError:
                return None
            if claim := _parsed(content):
                return claim
            time.sleep(seconds)  # perhaps it is being written, where that takes several steps
        return Claim(owner="", host="", pid=0, since=0.0, lapses=0.0)


def _parsed(content: bytes) -> Claim | None:
    try:
        found = json.loads(content)
        return Claim(
            owner=str(found["owner"]),
            host="".join(filter(str.isprintable, str(found["host"])))[:64],
            pid=int(found["pid"]),
            since=float(found["since"]),
            lapses=datetime.fromtimestamp(found["lapses"], UTC).timestamp(),  # one that can be said
        )
    except (ValueError, TypeError, KeyError, OverflowError, OSError):
        return None
