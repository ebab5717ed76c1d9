"""The figure of a comparison: how much every side differs from the first, by each judge, with its interval.

One panel per judge's first metric, one row per side. A full marker is a settled difference (interval and corrected
test agree), an open one is not. The shaded half of a panel is the better one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from reports.comparison import Comparison, Difference
from reports.figure_style import GRID, INK, OKABE_ITO, QUIET, csv_text, in_style, new_figure
from reports.formatting import number
from reports.tables import HELD_OUT, SELECTED_ON

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DIFFERENCES = "differences"
"""The figure's file name, without its suffix."""
LONGEST_NAME = 28
ROW_INCHES, FRAME_INCHES = 0.28, 1.0


def differences_csv(comparison: Comparison) -> str:
    """The figure's data, and that of all other metrics: one line per side and metric."""
    rows: list[list[Any]] = []
    for pairing in comparison.pairings:
        for one in pairing.differences:
            low, high = one.estimate.interval or (None, None)
            settled = None if one.is_settled is None else int(one.is_settled)
            names = [one.metric.key, pairing.first.name, pairing.side.name, ", ".join(one.flattered)]
            rows.append([*names, one.estimate.value, low, high, one.p_corrected, settled])
    header = ["metric", "first", "side", "selected_in", "difference", "low", "high", "p_holm", "settled"]
    return csv_text(header, rows)


@in_style
def differences_figure(comparison: Comparison) -> Figure:
    """The paired differences of each judge's first metric, a panel each."""
    shown = _shown(comparison)
    names = [pairing.side.name for pairing in comparison.pairings]
    columns = min(len(shown), 2)
    height = FRAME_INCHES + ROW_INCHES * len(names)
    figure = new_figure(-(-len(shown) // columns), columns, (3.3, height))
    grid = figure.subplots(-(-len(shown) // columns), columns, squeeze=False, sharey=True).flatten()
    for axes, place in zip(grid, shown, strict=False):
        _draw(axes, [pairing.differences[place] for pairing in comparison.pairings])
        axes.set_yticks(range(len(names)), [_short(name) for name in names])
    for axes in grid[len(shown) :]:
        axes.set_axis_off()
    grid[0].set_ylim(len(names) - 0.5, -0.5)
    figure.suptitle(f"against {comparison.pairings[0].first.name}", fontsize=8.5, x=0.01, horizontalalignment="left")
    return figure


def _shown(comparison: Comparison) -> list[int]:
    """Places of the first metric of every judge."""
    first: dict[str, int] = {}
    for place, metric in enumerate(comparison.aligned.metrics):
        first.setdefault(metric.judged[0].verifier_key, place)
    return list(first.values())


def _draw(axes: Axes, differences: Sequence[Difference]) -> None:
    metric = differences[0].metric
    definition, judged = metric.metric, metric.judged[0]
    scale = 100.0 if definition.is_rate else 1.0
    for row, one in enumerate(differences):
        if one.estimate.value is None:
            axes.annotate(number(None, definition), (0.0, row), fontsize=7, verticalalignment="center")
            continue
        low, high = one.estimate.interval or (one.estimate.value, one.estimate.value)
        colour = OKABE_ITO[1] if one.flattered else OKABE_ITO[0]
        axes.plot([scale * low, scale * high], [row, row], color=colour, linewidth=1.3, zorder=2)
        axes.plot(
            [scale * one.estimate.value], [row], color=colour, marker="s" if one.flattered else "o", markersize=5,
            markerfacecolor=colour if one.is_settled else "white", zorder=3,
        )  # fmt: skip
    axes.axvline(0.0, color=INK, linewidth=0.8, zorder=1)
    axes.margins(x=0.12)
    reach = max(abs(bound) for bound in axes.get_xlim())
    axes.set_xlim(-reach, reach)
    axes.axvspan(*((0.0, reach) if definition.higher_is_better else (-reach, 0.0)), color=GRID, alpha=0.35, linewidth=0)
    axes.annotate("better", (0.98 if definition.higher_is_better else 0.02, 0.96), xycoords="axes fraction", fontsize=7,
                  horizontalalignment="right" if definition.higher_is_better else "left", verticalalignment="top",
                  color=QUIET)  # fmt: skip
    axes.locator_params(axis="x", nbins=5)
    unit = ", percentage points" if definition.is_rate else ", s" if definition.unit == "seconds" else ""
    role = SELECTED_ON if any(one.flattered for one in differences) else HELD_OUT
    axes.set_xlabel(f"difference of {definition.name}{unit}")
    axes.set_title(f"{definition.name} by {judged.verifier_key} ({role})", loc="left")


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"
