"""What `tts-eval prepare` does: fetch what is missing and may be fetched, then check what is there."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from benchmarks.download import fetch, sha256_of
from benchmarks.progress import Progress, Quiet
from benchmarks.sources import Source
from benchmarks.suite import load_suite
from tts_eval.audio import Excerpt
from tts_eval.errors import TTSEvalError
from tts_eval.types import Request

ANOTHER = "another SHA-256: not as published. Delete it and run 'tts-eval prepare' again, without --check"


class Finding(NamedTuple):
    """One line of what was found."""

    what: str
    is_right: bool
    found: str


def fetch_missing(source: Source, data_dir: Path, progress: Progress | None = None) -> None:
    """Fetch what `source` offers and `data_dir` lacks.

    Raises:
        DataError: something cannot be fetched or unpacked; what was fetched is kept.
    """
    progress = progress or Quiet()
    for download in source.downloads:
        if not download.is_there(data_dir):
            label = f"fetch {download.target} (kB)"
            progress.start(label, download.size // 1000)
            counted = 0

            def advance(size: int, label: str = label) -> None:
                nonlocal counted
                before, counted = counted // 1000, counted + size
                progress.advance(label, counted // 1000 - before)

            fetch(download, data_dir, advance)


def check(spec: str, source: Source, data_dir: Path) -> list[Finding]:
    """What is there: checksums of lists, whether the suite loads, how much of it there is."""
    findings = []
    for download in source.downloads:
        path = data_dir / download.target
        if not download.member and path.is_file():
            is_right = sha256_of(path) == download.sha256
            findings.append(Finding(download.target, is_right, "as published" if is_right else ANOTHER))
    try:
        suite = load_suite(spec, data_dir=data_dir)
    except TTSEvalError as error:
        return [*findings, Finding("layout", False, str(error))]
    requests = suite.requests
    is_whole = "-part-" not in suite.name
    counts = [
        f"{len(requests):,} requests",
        f"{len({request.speaker for request in requests}):,} speakers",
        f"{len({_prompt(request) for request in requests} - {''}):,} prompts",
        f"{sum(request.ground_truth is not None for request in requests):,} recordings",
    ]
    whole = "all of it" if is_whole else "a part: its numbers are not the suite's"
    return [
        *findings,
        Finding("layout", True, "as expected"),
        Finding(suite.name, is_whole, f"{whole}; {', '.join(counts)}"),
    ]


def _prompt(request: Request) -> str:
    audio = request.prompt.audio if request.prompt else None
    return str(audio.path if isinstance(audio, Excerpt) else audio or "")
