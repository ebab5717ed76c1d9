"""Everything that `tts-eval report RUN RUN...` writes: page, Markdown, LaTeX and CSV of the leaderboard.

The page carries its style and script and loads nothing. Tables are there without JavaScript; sorting needs it.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from reports.figures import COLOURS
from reports.leaderboard import Leaderboard
from reports.leaderboard_tables import (
    TITLE,
    leaderboard_csv,
    leaderboard_latex,
    leaderboard_markdown,
    leaderboard_tables,
    unreadable_table,
)
from tts_eval.files import write_text_atomically

FILES = ("leaderboard.html", "leaderboard.md", "leaderboard.tex", "leaderboard.csv")
TEMPLATES = Path(__file__).parent / "templates"


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
    return render(
        "leaderboard.html.j2",
        ("leaderboard.js",),
        title=TITLE,
        groups=[
            {"table": entry.table, "keys": entry.keys, "group": group}
            for entry, group in zip(leaderboard_tables(board), board.groups, strict=True)
        ],
        unreadable=unreadable_table(board),
        runs=sum(len(group.rows) for group in board.groups),
        links=links or {},
    )


def render(template: str, scripts: Sequence[str], *, connects: bool = False, **values: object) -> str:
    """A page with the package's style and its scripts inside it; everything but these is escaped.

    Args:
        template: its file.
        scripts: files of its script.
        connects: whether it may talk to the page's own server.
        values: for the template.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    code = _code(scripts)
    style = "".join((TEMPLATES / name).read_text(encoding="utf-8") for name in ("report.css", "leaderboard.css"))
    colours = "".join(f"--{name}:{colour};" for name, colour in COLOURS.items())
    return environment.get_template(template).render(
        policy=scripts_policy(scripts, connects=connects),
        style=Markup(f":root{{{colours}}}\n{style}"),
        script=Markup(code),
        **values,
    )


def scripts_policy(scripts: Sequence[str], *, connects: bool) -> str:
    """A content security policy that runs these very scripts and loads nothing from outside."""
    digest = base64.b64encode(hashlib.sha256(_code(scripts).encode("utf-8")).digest()).decode("ascii")
    connect = "connect-src 'self'; " if connects else ""
    return (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; {connect}"
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _code(scripts: Sequence[str]) -> str:
    return "\n".join((TEMPLATES / name).read_text(encoding="utf-8") for name in scripts)
