"""The gallery is whole and stays small."""

import re
from pathlib import Path

DOCS = Path(__file__).resolve().parents[1] / "docs"
MOST_BYTES = 600_000


def test_every_picture_is_shown_and_all_are_small():
    shown = re.findall(r"!\[[^\]]+\]\(gallery/([^)]+)\)", (DOCS / "gallery.md").read_text(encoding="utf-8"))
    files = {path.name: path.stat().st_size for path in (DOCS / "gallery").iterdir()}
    assert sorted(shown) == sorted(files) and len(files) >= 5
    assert {Path(name).suffix for name in files} == {".png"}
    assert sum(files.values()) < MOST_BYTES
