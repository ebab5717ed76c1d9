"""A run as whoever completes it is told of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.progress import Progress
from search.selection import Rule
from tts_eval.manifest import Manifest
from tts_eval.store import RunStore
from tts_eval.types import Request, Synthesizer, Verifier


@dataclass(frozen=True, slots=True, kw_only=True)
class Lacking:
    """A run that is to be completed."""

    store: RunStore
    manifest: Manifest
    requests: Sequence[Request]
    rule: Rule
    then: Rule | None
    synthesizer: Synthesizer
    verifiers: Mapping[str, Verifier]
    """By spec: the rules' and the judges'."""
    progress: Progress
