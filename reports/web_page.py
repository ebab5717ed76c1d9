"""A page as one file: a template with its style and scripts inside it, and a policy that lets nothing else in."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from reports.figures import COLOURS

TEMPLATES = Path(__file__).parent / "templates"
REPORT_SCRIPTS = ("sound.js", "tree.js", "requests.js")
OWN_SCRIPTS = (REPORT_SCRIPTS, ("sound.js", "blind_test.js"), ("compare.js",), ("leaderboard.js",))
"""Of the pages that are files."""


def render_page(
    template: str, scripts: Sequence[str], *, styles: Sequence[str] = ("report.css",), plays: bool = True,
    connects: bool = False, **values: object,
) -> str:  # fmt: skip
    """The page as text; see `page_pieces`."""
    return "".join(page_pieces(template, scripts, styles=styles, plays=plays, connects=connects, **values))


def page_pieces(
    template: str, scripts: Sequence[str], *, styles: Sequence[str] = ("report.css",), plays: bool = True,
    connects: bool = False, **values: object,
) -> Iterator[str]:  # fmt: skip
    """The page as text, piece by piece; every value but `Markup` is escaped.

    Args:
        template: its file.
        scripts: files of its script.
        styles: files of its style.
        plays: whether it plays sound, of its own or of the run that it lies in.
        connects: whether it may talk to the server that it came from.
        values: for the template.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, finalize=_unbroken,
    )  # fmt: skip
    colours = "".join(f"--{name}:{colour};" for name, colour in COLOURS.items())
    return environment.get_template(template).generate(
        policy=policy_of(scripts, plays=plays, connects=connects),
        style=Markup(f":root{{{colours}}}\n" + "".join(map(_text, styles))),
        script=Markup(_code(scripts)),
        **values,
    )


def _unbroken(value: object) -> object:
    """No line ends between a number and its per cent sign; markup, which holds what others wrote, is left alone."""
    return re.sub(r"(?<=\d) %", "\N{NO-BREAK SPACE}%", value) if type(value) is str else value


def policy_of(scripts: Sequence[str], *, plays: bool, connects: bool) -> str:
    """A content security policy that runs these very scripts and loads nothing from elsewhere."""
    media = "media-src data: blob: 'self' file:; " if plays else ""
    connect = "connect-src 'self'; " if connects else ""
    return (
        f"default-src 'none'; script-src {script_source(scripts)}; style-src 'unsafe-inline'; {connect}"
        f"img-src data:; {media}base-uri 'none'; form-action 'none'"
    )


def script_source(scripts: Sequence[str]) -> str:
    """How a policy names a page's script, so that no other runs."""
    digest = base64.b64encode(hashlib.sha256(_code(scripts).encode("utf-8")).digest()).decode("ascii")
    return f"'sha256-{digest}'"


def _code(scripts: Sequence[str]) -> str:
    return "\n".join(map(_text, scripts))


def _text(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")
