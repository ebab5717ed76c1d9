"""Which code a process runs. A worker whose code is not the driver's would make, under the same keys, other results.

The version alone does not tell two checkouts apart, so the sources are compared as well, as they are on disk when a
process first asks. Models, data and other packages are not: candidates are keyed by their synthesizer's revision.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from tts_eval.version import __version__

PACKAGES = ("tts_eval", "verifiers", "search", "benchmarks", "reports")
"""All of the distribution, found by name and not imported."""


class Identity(NamedTuple):
    """Who a process is, as far as its results depend on it, and where it is."""

    version: str
    sources: str
    """Digest of every source file."""
    folder: str
    """That it imports tts_eval from."""
    host: str


@cache
def identity() -> Identity:
    """This process's."""
    folders = [Path(spec.origin).parent for name in PACKAGES if (spec := find_spec(name)) and spec.origin]
    return Identity(__version__, sources_digest(folders), str(Path(__file__).resolve().parents[1]), platform.node())


def sources_digest(folders: Iterable[Path]) -> str:
    """A digest of the names and contents of all Python files below some packages' folders, wherever those lie."""
    digest = hashlib.sha256()
    for folder in folders:
        for path in sorted(folder.rglob("*.py")):
            content = path.read_bytes()
            digest.update(f"{folder.name}/{path.relative_to(folder).as_posix()} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def difference(here: Identity, there: Identity) -> str:
    """What is wrong with a process elsewhere, and what to do; "" when it runs the same code."""
    where = f"{there.host} ({there.folder})"
    if there.version != here.version:
        return (
            f"On {where} is tts-eval {there.version}, this is {here.version} ({here.folder}). Install the same there."
        )
    if there.sources != here.sources:
        return (
            f"On {where} is tts-eval {there.version} as well, but its sources differ from those here ({here.folder}): "
            "another checkout, or it was edited since this run began. Install the same wheel or commit on every node."
        )
    return ""
