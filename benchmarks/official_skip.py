"""The denominator of Seed-TTS-Eval's own scripts: a request whose audio is missing does not exist.

Only there to reproduce published numbers. A system that fails on hard sentences looks better that way, so the
suite's name says how many were left out, in every report.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from benchmarks.suite import Suite
from tts_eval.audio import find_audio
from tts_eval.errors import DataError


def without_missing(suite: Suite, folder: Path) -> Suite:
    """The suite without the requests that have no audio file in `folder`.

    Raises:
        DataError: none has any.
    """
    kept = tuple(request for request in suite.requests if find_audio(folder, request.id) is not None)
    if not kept:
        example = suite.requests[0].id
        below = [path for path in sorted(folder.iterdir()) if path.is_dir()]
        deeper = next((path for path in below if any(find_audio(path, r.id) is not None for r in suite.requests)), None)
        hint = f" {deeper} has some: give that." if deeper else ""
        raise DataError(
            f"{folder} has no audio for any of {len(suite.requests)} requests; expected {example}.wav ...{hint}"
        )
    left_out = len(suite.requests) - len(kept)
    note = f"official skip: {left_out} of {len(suite.requests)} requests without audio left out"
    return replace(suite, requests=kept, subset=", ".join(filter(None, [suite.subset, note])))
