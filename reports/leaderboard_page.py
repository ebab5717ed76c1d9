"""Everything that `tts-eval report RUN RUN...` writes: page, Markdown, LaTeX and CSV of the leaderboard.

The page carries its style and script and loads nothing. Tables are there without JavaScript; sorting needs it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from reports.leaderboard import Leaderboard
from reports.leaderboard_tables import (
    TITLE,
    leaderboard_csv,
    leaderboard_latex,
    leaderboard_markdown,
    leaderboard_tables,
    unreadable_table,
)
from reports.web_page import render_page
from tts_eval.files import write_text_atomically

FILES = ("leaderboard.html", "leaderboard.md", "leaderboard.tex", "leaderboard.csv")
STYLES = ("report.css", "leaderboard.css")


def write_leaderboard(board: Leaderboard, out: Path) -> None:
    """Write `FILES` into a folder.

    Raises:
        StoreError: it cannot be written.
    """
    write_text_atomically(out / "leaderboard.md", leaderboard_markdown(board))
    write_text_atomically(out / "leaderboard.tex", leaderboard_latex(board))
    write_text_atomically(out / "leaderboard.csv", leaderboard_csv(board))
    write_text_atomically(out / "leaderboard.html", render_leaderboard(board))


def render_leaderboard(board: Leaderboard, links: Mapping[str, str] | None = None) -> str:
    """The page; `links` are addresses of runs' own pages, by name."""
    return render_page(
        "leaderboard.html.j2",
        ("leaderboard.js",),
        styles=STYLES,
        plays=False,
        title=TITLE,
        groups=[
            {"table": entry.table, "keys": entry.keys, "group": group}
            for entry, group in zip(leaderboard_tables(board), board.groups, strict=True)
        ],
        unreadable=unreadable_table(board),
        runs=sum(len(group.rows) for group in board.groups),
        links=links or {},
    )
