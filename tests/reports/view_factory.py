"""`tts-eval view` as a process of its own, and plain requests to it."""

from __future__ import annotations

import contextlib
import http.client
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.runner import run
from tts_eval.config import RunConfig


@dataclass(frozen=True, slots=True)
class Served:
    """A running server."""

    process: subprocess.Popen[str]
    host: str
    port: int

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}/"

    def ask(
        self, path: str, method: str = "GET", headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers in small letters, and body; the path is sent as it is."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=60)
        with contextlib.closing(connection):
            connection.request(method, path, headers=headers or {})
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()

    def megabytes(self, what: str = "VmHWM") -> float:
        """Memory of the process: the most it ever had, or what it has (VmRSS)."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"{what}:\s+(\d+) kB", status)[1]) / 1024


@contextlib.contextmanager
def serving(folder: Path, *options: str) -> Iterator[Served]:
    """The server on a free port, once it says where it is."""
    command = [sys.executable, "-m", "tts_eval.cli", "view", str(folder), "--port", "0", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        found = re.fullmatch(r"http://(.+):(\d+)/\n", process.stdout.readline())
        assert found, process.stderr.read()
        yield Served(process, found[1], int(found[2]))
    finally:
        process.terminate()
        process.communicate(timeout=20)


def make_run(out: Path, *, n: int = 2, limit: int = 3, synth: str = "fake", **settings: object) -> Path:
    """A small run with made-up synthesizer and judges."""
    config = RunConfig(
        suite="mini", synth=synth, n=n, limit=limit, verifier="fake", judge=("fake:2",), **settings
    )  # fmt: skip
    run(config, out)
    return out
