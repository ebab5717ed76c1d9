"""Which file an address may have: those inside the served folder, and none of the hidden ones.

A path is refused rather than repaired: anything that is not a plain name after a plain name (empty, `.`, `..`,
hidden, a backslash, a NUL) names no file, and a link that leads out of the folder leads nowhere.
"""

from __future__ import annotations

from pathlib import Path

MEDIA_TYPES = {
    ".csv": "text/csv; charset=utf-8", ".flac": "audio/flac", ".html": "text/html; charset=utf-8",
    ".json": "application/json", ".jsonl": "text/plain; charset=utf-8", ".md": "text/plain; charset=utf-8",
    ".ogg": "audio/ogg", ".opus": "audio/ogg", ".pdf": "application/pdf", ".png": "image/png",
    ".svg": "image/svg+xml", ".tex": "text/plain; charset=utf-8", ".wav": "audio/wav",
}  # fmt: skip
UNKNOWN = "application/octet-stream"


def file_at(root: Path, path: str) -> Path | None:
    """The file inside `root` that a decoded path names, links followed; None where there is none to be had."""
    found = _inside(root, path)
    return found if found is not None and found.is_file() else None


def folder_at(root: Path, path: str) -> Path | None:
    """The same for a folder; "" is `root` itself."""
    found = _inside(root, path) if path else root.resolve()
    return found if found is not None and found.is_dir() else None


def media_type(path: Path) -> str:
    """What a browser is told that a file is."""
    return MEDIA_TYPES.get(path.suffix.lower(), UNKNOWN)


def _inside(root: Path, path: str) -> Path | None:
    parts = path.split("/")
    if any(not part or part.startswith(".") or "\\" in part or "\0" in part for part in parts):
        return None
    top = root.resolve()
    try:
        found = top.joinpath(*parts).resolve(strict=True)
    except (OSError, RuntimeError, ValueError):  # not there, too long, a circle of links
        return None
    if not found.is_relative_to(top) or any(part.startswith(".") for part in found.relative_to(top).parts):
        return None
    return found
