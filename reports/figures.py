"""The best@k figure: what each further candidate buys, by every judge.

One small panel per metric and judge; judges of the same metric stand side by side and share their
y axis, so that what the selecting judge promises can be compared with what the held-out one sees.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from reports.figure_style import (
    DASHED,
    DOTTED,
    GRID,
    INK,
    OKABE_ITO,
    QUIET,
    STYLE,
    csv_text,
    in_style,
    new_figure,
)
from reports.summary import MetricSummary, Summary
from reports.tables import HELD_OUT, SELECTED_ON, shown_points

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Panel: TypeAlias = "Callable[[Axes], None]"
"""Draws one panel."""
BEST_AT_K = "best_at_k"
"""The figure's file name, without its suffix."""
COLOURS: Mapping[str, str] = {"selected": OKABE_ITO[0], "oracle": OKABE_ITO[1], "random": QUIET}
INLINE = {**STYLE, "svg.fonttype": "none"}
"""In a page text stays text, which takes the page's font."""
SVG_METADATA: dict[str, Any] = {"Date": None, "Creator": None, "Format": None, "Type": None}


def best_at_k_figure(summary: Summary) -> Figure:
    """The best of k by every metric, a panel each.

    Raises:
        ValueError: the run has no metrics, so there is nothing to draw.
    """
    ordered = ordered_metrics(summary)
    if not ordered:
        raise ValueError(f"Run '{summary.run}' has no metrics; score it before drawing best@k.")
    return panels_figure([_panel(metric, ordered) for metric in ordered])


def panels_svg(summary: Summary) -> list[str]:
    """One `<svg>` element per panel, to be laid out by a page: text as text, colours as CSS variables.

    The variables are --ink, --rule, --selected, --oracle and --random.
    """
    ordered = ordered_metrics(summary)
    return [
        inline_panel(_panel(metric, ordered), _title(metric), f"panel-{index}") for index, metric in enumerate(ordered)
    ]


@in_style
def panels_figure(panels: Sequence[Panel]) -> Figure:
    """Panels side by side, under one legend."""
    columns = 2 if len(panels) in (2, 4) else min(len(panels), 3)
    rows = -(-len(panels) // columns)
    figure = new_figure(rows, columns)
    grid = figure.subplots(rows, columns, squeeze=False).flatten()
    for axes, draw in zip(grid, panels, strict=False):
        draw(axes)
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    handles, labels = grid[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=4 if columns > 1 else 1)
    return figure


def inline_panel(draw: Panel, title: str, salt: str) -> str:
    """One panel as an `<svg>` element for a page; `salt` keeps its ids apart from those of other panels."""
    import matplotlib

    with matplotlib.rc_context({**INLINE, "svg.hashsalt": salt}):
        figure = new_figure()
        draw(figure.subplots())
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata=SVG_METADATA)
    return _inline(buffer.getvalue(), title)


def axis_of_candidates(axes: Axes, n: int) -> None:
    """A logarithmic x axis from 1 to `n` candidates."""
    points = shown_points(n)
    axes.set_xscale("log", base=2)
    axes.set_xticks(points, [str(k) for k in points])
    axes.minorticks_off()
    axes.set_xlim(1, max(n, 1.01))
    axes.set_xlabel("candidates, k")
    axes.grid(axis="y")


def curve_csv(summary: Summary) -> str:
    """The figure's data: one line per metric and k."""
    rows: list[Sequence[Any]] = []
    for metric in summary.metrics:
        curves = metric.curves
        role = "selected-on" if metric.judged.selected_on else "held-out"
        for index, value in enumerate(curves.selected):
            low, high = curves.intervals[index] or (None, None)
            rows.append((metric.judged.key, role, index + 1, value, low, high, curves.oracle[index], curves.random))
    return csv_text(["metric", "role", "k", "selected", "low", "high", "oracle", "random"], rows)


def ordered_metrics(summary: Summary) -> list[MetricSummary]:
    """The metrics with judges of the same metric side by side, in order of first appearance."""
    names = list(dict.fromkeys(metric.judged.metric.name for metric in summary.metrics))
    return sorted(summary.metrics, key=lambda metric: names.index(metric.judged.metric.name))


def _panel(metric: MetricSummary, among: Sequence[MetricSummary]) -> Panel:
    limits = _limits(metric, among)
    return lambda axes: _draw(axes, metric, limits)


def _draw(axes: Axes, metric: MetricSummary, limits: tuple[float, float]) -> None:
    curves, scale = metric.curves, _scale(metric)
    points = range(1, len(curves.selected) + 1)
    selected, oracle = scaled(curves.selected, scale), scaled(curves.oracle, scale)
    lows = scaled([interval.low if interval else None for interval in curves.intervals], scale)
    highs = scaled([interval.high if interval else None for interval in curves.intervals], scale)
    random = scaled([curves.random] * len(points), scale)
    markers = [k - 1 for k in shown_points(len(points))]

    axes.fill_between(points, lows, highs, color=COLOURS["selected"], alpha=0.16, linewidth=0, label="95 % interval")
    axes.plot(
        points, selected, color=COLOURS["selected"], linewidth=1.7, marker="o", markersize=3.5, markevery=markers,
        clip_on=False, zorder=3, label="selected by the run",
    )  # fmt: skip
    # Above the other, because for the selecting judge the two coincide.
    dashed: dict[str, Any] = {"linewidth": 1.3, "zorder": 4}
    axes.plot(points, oracle, color=COLOURS["oracle"], linestyle=DASHED, label="oracle", **dashed)
    axes.plot(points, random, color=COLOURS["random"], linestyle=DOTTED, label="random", **dashed)

    axis_of_candidates(axes, len(points))
    axes.set_ylim(*limits)
    axes.set_ylabel(axis_label(metric))
    axes.set_title(_title(metric), loc="left", fontweight="bold" if not metric.judged.selected_on else "normal")


def _limits(metric: MetricSummary, among: Sequence[MetricSummary]) -> tuple[float, float]:
    """Range of y shared by all judges of the same metric."""
    values: list[float] = []
    for other in among:
        if other.judged.metric.name == metric.judged.metric.name:
            curves = other.curves
            bounds = [bound for interval in curves.intervals if interval for bound in interval]
            values += [
                value for value in (*curves.selected, *curves.oracle, curves.random, *bounds) if value is not None
            ]
    low, high = min(values, default=0.0) * _scale(metric), max(values, default=1.0) * _scale(metric)
    margin = 0.06 * (high - low) or 0.05 * abs(high) or 1.0
    # Errors are read against zero; similarities and opinion scores are not.
    is_error = metric.judged.metric.unit == "error-rate"
    return (0.0 if is_error else low - margin), high + margin


def _title(metric: MetricSummary) -> str:
    role = SELECTED_ON if metric.judged.selected_on else HELD_OUT
    return f"{metric.judged.metric.name} by {metric.judged.verifier_key} ({role})"


def axis_label(metric: MetricSummary) -> str:
    """A metric with its unit and which way is better."""
    definition = metric.judged.metric
    unit = ", %" if definition.is_rate else ", s" if definition.unit == "seconds" else ""
    return f"{definition.name}{unit} ({'higher' if definition.higher_is_better else 'lower'} is better)"


def _scale(metric: MetricSummary) -> float:
    return 100.0 if metric.judged.metric.is_rate else 1.0


def scaled(values: Sequence[float | None], scale: float) -> list[float]:
    """The values times `scale`, undefined ones as NaN."""
    return [float("nan") if value is None else scale * value for value in values]


def _inline(document: str, title: str) -> str:
    """The `<svg>` element of a matplotlib document, fit to stand in a page with others of its kind."""
    from markupsafe import escape

    svg = document[document.index("<svg") :]
    # Its style sheet addresses every element of the page, its ids repeat from figure to figure.
    svg = re.sub(r"<style[^>]*>.*?</style>", "", svg, flags=re.DOTALL)
    used = set(re.findall(r"url\(#([^)]+)\)", svg)) | set(re.findall(r'href="#([^"]+)"', svg))
    svg = re.sub(r' id="([^"]+)"', lambda found: found[0] if found[1] in used else "", svg)
    svg = re.sub(r"font: ([^;\"]*?)'[^\"]*?(?=[;\"])", r"font: \1system-ui, sans-serif", svg)
    variables = {**COLOURS, "ink": INK, "rule": GRID}
    for name, colour in variables.items():
        svg = svg.replace(colour, f"var(--{name}, {colour})")
    opening = f'<svg role="img" aria-label="{escape(title)}" class="panel"'
    return re.sub(r"<svg", lambda _: opening, svg, count=1).strip()
