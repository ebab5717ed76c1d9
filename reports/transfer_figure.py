"""The figure of a choice that may not transfer: gain promised beside gain arrived, for every N.

One panel for each held-out judge. Where the line of the judge that chose goes on rising and the other
does not, more candidates only please the judge that chooses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reports.figure_style import DASHED, DOTTED, csv_text
from reports.figures import COLOURS, Panel, axis_of_candidates, inline_panel, panels_figure, scaled
from reports.hacking import Comparison, Hacking

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PROMISE = "promise"
"""The figure's file name, without its suffix."""


def promise_figure(hacking: Hacking) -> Figure:
    """What was promised and what arrived, a panel for each judge.

    Raises:
        ValueError: there is nothing to compare.
    """
    if not hacking.comparisons:
        raise ValueError(f"Nothing was promised that could arrive: {hacking.missing}")
    return panels_figure([_panel(comparison) for comparison in hacking.comparisons])


def promise_svg(hacking: Hacking) -> list[str]:
    """One `<svg>` element per panel, as those of `reports.figures.panels_svg`."""
    return [
        inline_panel(_panel(comparison), _title(comparison), f"promise-{index}")
        for index, comparison in enumerate(hacking.comparisons)
    ]


def promise_csv(hacking: Hacking) -> str:
    """The figure's data: one line per held-out judge and N."""
    rows: list[list[Any]] = []
    for comparison in hacking.comparisons:
        unit = "deviations" if comparison.in_deviations else comparison.held_out.metric.unit
        for gap in comparison.gaps:
            arrived, between = gap.arrived_interval or (None, None), gap.gap_interval or (None, None)
            cells = [gap.promised, gap.arrived, gap.promised_gain, gap.arrived_gain, *arrived, gap.gap, *between]
            rows.append([comparison.selecting.key, comparison.held_out.key, unit, gap.n, *cells])
    header = ["selecting", "held_out", "unit", "n", "promised", "arrived", "gain_promised", "gain_arrived", "low",
              "high", "gap", "gap_low", "gap_high"]  # fmt: skip
    return csv_text(header, rows)


def _panel(comparison: Comparison) -> Panel:
    return lambda axes: _draw(axes, comparison)


def _draw(axes: Axes, comparison: Comparison) -> None:
    scale = 100.0 if comparison.held_out.metric.is_rate and not comparison.in_deviations else 1.0
    gaps = comparison.gaps
    points = [gap.n for gap in gaps]
    lows = scaled([gap.arrived_interval.low if gap.arrived_interval else None for gap in gaps], scale)
    highs = scaled([gap.arrived_interval.high if gap.arrived_interval else None for gap in gaps], scale)
    line: dict[str, Any] = {"markersize": 3.5, "clip_on": False}
    axes.fill_between(points, lows, highs, color=COLOURS["selected"], alpha=0.16, linewidth=0, label="95 % interval")
    axes.plot(
        points, scaled([gap.promised_gain for gap in gaps], scale), color=COLOURS["oracle"], linestyle=DASHED,
        marker="s", linewidth=1.5, label="promised by the judge that chose", **line,
    )  # fmt: skip
    axes.plot(
        points, scaled([gap.arrived_gain for gap in gaps], scale), color=COLOURS["selected"], linewidth=1.7, marker="o",
        label="arrived by the held-out judge", **line,
    )  # fmt: skip
    axes.axhline(0.0, color=COLOURS["random"], linestyle=DOTTED, linewidth=1.0)
    axis_of_candidates(axes, points[-1])
    unit = "deviations" if comparison.in_deviations else "points" if scale != 1.0 else comparison.held_out.metric.unit
    axes.set_ylabel(f"gain, {unit} (higher is better)")
    axes.set_title(_title(comparison), loc="left", fontsize=7.5)


def _title(comparison: Comparison) -> str:
    chose, judged = comparison.selecting, comparison.held_out
    return f"{chose.metric.name} {chose.verifier_key} → {judged.metric.name} {judged.verifier_key}"
