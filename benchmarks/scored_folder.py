"""What a folder of audio that was made elsewhere has of a suite.

`without_missing` is the denominator of Seed-TTS-Eval's own scripts: a request whose audio is missing does not exist.
Only there to reproduce published numbers. A system that fails on hard sentences looks better that way, so the
suite's name says how many were left out, in every report.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from benchmarks.suite import Suite
from tts_eval.audio import find_audio
from tts_eval.errors import DataError


def require_some(suite: Suite, folder: Path) -> None:
    """That `folder` has audio for one request at least.

    Raises:
        DataError: it has none; a folder below that has some is named.
    """
    if _has_some(suite, folder):
        return
    below = (path for path in sorted(folder.iterdir()) if path.is_dir())
    deeper = next((path for path in below if _has_some(suite, path)), None)
    hint = f" {deeper} has some: give that." if deeper else ""
    raise DataError(
        f"{folder} has no audio for any of {len(suite.requests)} requests; "
        f"expected {suite.requests[0].id}.wav ...{hint}"
    )


def without_missing(suite: Suite, folder: Path) -> Suite:
    """The suite without the requests that have no audio file in `folder`; see `require_some`."""
    kept = tuple(request for request in suite.requests if find_audio(folder, request.id) is not None)
    left_out = len(suite.requests) - len(kept)
    note = f"official skip: {left_out} of {len(suite.requests)} requests without audio left out"
    return replace(suite, requests=kept, subset=", ".join(filter(None, [suite.subset, note])))


def _has_some(suite: Suite, folder: Path) -> bool:
    return any(find_audio(folder, request.id) is not None for request in suite.requests)
