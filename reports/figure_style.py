"""How every figure of the project looks, and how it is written: PDF, PNG and SVG with the data as CSV beside them.

Readable in black and white and by colour-blind readers: colours are those of Okabe and Ito, and lines differ in dash
and marker too. Type is 8 points at the width of a paper's page and embedded as TrueType, which journals ask for.
Nothing here touches matplotlib's global settings.

Source of the colours: M. Okabe and K. Ito, Color Universal Design (2008), jfly.uni-koeln.de/color.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from functools import partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec

from tts_eval.files import write_atomically, write_text_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure

P = ParamSpec("P")
FORMATS = ("pdf", "png", "svg")
INK, GRID, QUIET = "#1f2328", "#d8dee4", "#767676"
OKABE_ITO = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", QUIET)
MARKERS = "osD^vP*Xp<>h"
SOLID: Any = "-"
DASHED: Any = (0, (5, 2))
DOTTED: Any = (0, (1, 1.6))
PANEL_INCHES = (3.3, 2.5)
DOTS_PER_INCH = 200
STYLE: dict[Any, Any] = {
    "font.size": 8.0, "axes.titlesize": 8.5, "axes.labelsize": 8.0, "legend.fontsize": 8.0,
    "axes.spines.top": False, "axes.spines.right": False, "axes.linewidth": 0.7, "axes.edgecolor": INK,
    "axes.labelcolor": INK, "text.color": INK, "xtick.color": INK, "ytick.color": INK,
    "xtick.labelsize": 7.5, "ytick.labelsize": 7.5, "grid.color": GRID, "grid.linewidth": 0.6,
    "axes.axisbelow": True, "axes.formatter.useoffset": False, "legend.frameon": False,
    "pdf.fonttype": 42, "ps.fonttype": 42, "svg.fonttype": "path", "figure.constrained_layout.wspace": 0.06,
    "svg.hashsalt": "tts-eval",
}  # fmt: skip


def colour_of(place: int) -> str:
    """The colour of the line in that place; they repeat after eight."""
    return OKABE_ITO[place % len(OKABE_ITO)]


def marker_of(place: int) -> str:
    """The marker of the line in that place: with the colour it is unique up to 24 lines."""
    return MARKERS[place % len(MARKERS)]


def new_figure(rows: int = 1, columns: int = 1, inches: tuple[float, float] = PANEL_INCHES) -> Figure:
    """An empty figure for panels of `inches` each, without pyplot and its global state."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(inches[0] * columns, inches[1] * rows), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def in_style(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """`draw` with every text and line of its figure in `STYLE`."""

    @wraps(draw)
    def drawn(*arguments: P.args, **settings: P.kwargs) -> Figure:
        import matplotlib

        with matplotlib.rc_context(STYLE):
            return draw(*arguments, **settings)

    return drawn


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure, the same bytes each time; the format follows the suffix (.pdf, .png or .svg)."""
    import matplotlib

    dates: dict[str, Any] = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
    with matplotlib.rc_context(STYLE):
        figure.savefig(path, dpi=DOTS_PER_INCH, facecolor="white", metadata=dates.get(path.suffix, {}))


def write_figure(folder: Path, name: str, figure: Figure, data: str) -> None:
    """Write NAME.csv with the figure's data, and the figure in each of `FORMATS`.

    Raises:
        StoreError: the folder cannot be written.
    """
    import matplotlib

    write_text_atomically(folder / f"{name}.csv", data)
    with matplotlib.rc_context(STYLE):
        figure.draw_without_rendering()  # which finds the layout: once, as that takes as long as drawing
    figure.set_layout_engine("none")
    for suffix in FORMATS:
        write_atomically(folder / f"{name}.{suffix}", partial(save_figure, figure))


def csv_text(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Rows as CSV; what is undefined (None) is an empty cell."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([["" if cell is None else cell for cell in row] for row in rows])
    return buffer.getvalue()


WIDE = 20.0
"""A logarithmic axis that spans more than this factor is read by its decades."""


def plain_ticks(low: float, high: float) -> dict[float, str]:
    """Round numbers around a positive range, with labels that need no exponents: a few even where it spans little."""
    digits = (1, 2, 5) if high > WIDE * low else (1, 1.5, 2, 3, 5, 7)
    steps = [digit * 10.0**power for power in range(-3, 15) for digit in digits]
    found = [step for step in steps if low / 2.5 <= step <= high * 2.5]
    return {step: f"{step:g}" if step < 1000 else f"{step:,.0f}" for step in found}
