"""The scaling figure: each metric over N and over what N really costs, the judges of one metric in one plot.

A row per metric. The held-out judge's line is solid with a band, the selecting one's dashed with thin edges (95 %), so
that what the search promises and what arrives are seen together. Cost is seconds of the synthesizer and of the
verifiers that chose, not of those that only report. Where the suite has published rows by the same protocol and judge,
the recordings ("Human") and the best system are lines; all others are ticks on the right edge and rows of the data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from reports.figure_style import (
    DASHED,
    DOTTED,
    INK,
    QUIET,
    SOLID,
    colour_of,
    csv_text,
    in_style,
    marker_of,
    new_figure,
    plain_ticks,
)
from reports.figures import axis_label, axis_of_candidates, inline_panel, scaled
from reports.replication import Published
from reports.search_cost import CostOfK
from reports.summary import MetricSummary, Summary
from reports.tables import HELD_OUT, SELECTED_ON, shown_points

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SCALING = "scaling"
"""The figure's file name, without its suffix."""
HUMAN = "Human"
HELD_OUT_PLACES, SELECTED_PLACES = (0, 2, 5, 3), (1, 4, 6)
"""Colours and markers of the lines, so that the roles keep theirs from panel to panel."""
RIGHT_EDGE = 0.985
"""Where on the x axis (of 1) the ticks of published systems begin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """One published number."""

    system: str
    source: str
    value: float
    """In the metric's own unit: rates as fractions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One metric by all of its judges."""

    metrics: tuple[MetricSummary, ...]
    """Held out before selected on."""
    references: tuple[Reference, ...]

    @property
    def named(self) -> tuple[Reference, ...]:
        """Those that get a line: the recordings and the best system."""
        sign = 1.0 if self.metrics[0].judged.metric.higher_is_better else -1.0
        humans = tuple(reference for reference in self.references if reference.system == HUMAN)
        systems = [reference for reference in self.references if reference.system != HUMAN]
        best = max(systems, key=lambda reference: sign * reference.value, default=None)
        return (*humans[:1], *([best] if best else []))


def scaling_rows(summary: Summary, published: Sequence[Published]) -> list[Row]:
    """The first metric of every judge, those of one name together; empty for a run without a choice to scale."""
    if summary.n < 2:
        return []
    first: dict[str, MetricSummary] = {}
    for metric in summary.metrics:
        first.setdefault(metric.judged.verifier_key, metric)
    names = dict.fromkeys(metric.judged.metric.name for metric in first.values())
    rows = []
    for name in names:
        same = [metric for metric in first.values() if metric.judged.metric.name == name]
        same.sort(key=lambda metric: metric.judged.selected_on)
        rows.append(Row(metrics=tuple(same), references=_references(summary.suite, same, published)))
    return rows


def _references(suite: str, metrics: Sequence[MetricSummary], published: Sequence[Published]) -> tuple[Reference, ...]:
    found = []
    for table in (table for table in published if table.suite == suite):
        for place, column in enumerate(table.metrics):
            fitting = next((metric for metric in metrics if column.fits(metric.judged)), None)
            if fitting is None:
                continue
            scale = 100.0 if fitting.judged.metric.is_rate else 1.0
            found += [
                Reference(system=row.system, source=row.source, value=float(row.values[place]) / scale)
                for row in table.rows
                if row.values[place]
            ]
    return tuple(found)


def scaling_csv(rows: Sequence[Row], cost: CostOfK) -> str:
    """The figure's data: a line per metric, judge and k, then one per published number (without k)."""
    lines: list[list[Any]] = []
    for row in rows:
        for metric in row.metrics:
            role = "selected-on" if metric.judged.selected_on else "held-out"
            for k, value in enumerate(metric.curves.selected, start=1):
                low, high = metric.curves.intervals[k - 1] or (None, None)
                tokens = k * cost.tokens or None
                lines.append([metric.judged.key, role, k, cost.seconds(k), tokens, value, low, high])
        name = row.metrics[0].judged.metric.name
        lines += [
            [f"{name}: {one.system} ({one.source})", "published", None, None, None, one.value, None, None]
            for one in row.references
        ]
    return csv_text(["line", "role", "k", "seconds_a_request", "tokens_a_request", "value", "low", "high"], lines)


@in_style
def scaling_figure(rows: Sequence[Row], cost: CostOfK) -> Figure:
    """Each metric over N and over cost, a row of two panels each.

    Raises:
        ValueError: there is nothing to draw.
    """
    if not rows:
        raise ValueError("A run without a choice, or without a judge, has no scaling to draw.")
    figure = new_figure(len(rows), 2)
    grid = figure.subplots(len(rows), 2, squeeze=False, sharey="row")
    for (over_n, over_cost), row in zip(grid, rows, strict=True):
        for axes, is_cost in ((over_n, False), (over_cost, True)):
            _draw(axes, row, cost, is_cost=is_cost)
        _bounds(over_n, row)
        over_n.set_ylabel(axis_label(row.metrics[0]))
        _legends(over_n, over_cost)
    return figure


def scaling_svg(rows: Sequence[Row], cost: CostOfK) -> list[str]:
    """One `<svg>` element per metric, over cost, as those of `reports.figures.panels_svg`; each with its own legend."""
    named = ((row, row.metrics[0].judged.metric.name) for row in rows)
    return [
        inline_panel(partial(_cost_panel, row, cost), f"{name} over seconds a request", f"{SCALING}-{name}")
        for row, name in named
    ]


def _cost_panel(row: Row, cost: CostOfK, axes: Axes) -> None:
    _draw(axes, row, cost, is_cost=True)
    _bounds(axes, row)
    axes.set_ylabel(axis_label(row.metrics[0]))
    axes.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), handlelength=2.6)


def _draw(axes: Axes, row: Row, cost: CostOfK, *, is_cost: bool) -> None:
    places = {False: iter(HELD_OUT_PLACES * 9), True: iter(SELECTED_PLACES * 9)}
    for metric in row.metrics:
        n, scale = len(metric.curves.selected), _scale(metric)
        across = [cost.seconds(k) if is_cost else float(k) for k in range(1, n + 1)]
        is_selecting = metric.judged.selected_on
        place = next(places[is_selecting])
        lows = scaled([one.low if one else None for one in metric.curves.intervals], scale)
        highs = scaled([one.high if one else None for one in metric.curves.intervals], scale)
        if is_selecting:  # several bands on top of each other are mud
            for edge in (lows, highs):
                axes.plot(across, edge, color=colour_of(place), linestyle=DOTTED, linewidth=0.8)
        else:
            axes.fill_between(across, lows, highs, color=colour_of(place), alpha=0.14, linewidth=0)
        axes.plot(
            across, scaled(metric.curves.selected, scale), color=colour_of(place), marker=marker_of(place),
            linestyle=DASHED if is_selecting else SOLID, linewidth=1.5, markersize=3.5,
            markevery=[k - 1 for k in shown_points(n)], zorder=3, clip_on=False,
            label=f"{metric.judged.verifier_key} ({SELECTED_ON if is_selecting else HELD_OUT})",
        )  # fmt: skip
    _draw_references(axes, row)
    n = len(row.metrics[0].curves.selected)
    if is_cost and cost.seconds(1) > 0:
        axes.set_xscale("log")
        ticks = plain_ticks(cost.seconds(1), cost.seconds(n))
        axes.set_xticks(list(ticks), list(ticks.values()))
        axes.minorticks_off()
        axes.set_xlim(cost.seconds(1) / 1.08, cost.seconds(n) * 1.08)
        axes.grid(axis="y")
    elif not is_cost:
        axis_of_candidates(axes, n)
    if is_cost:
        axes.set_xlabel("cost of a request (synthesis, choice), s")


def _draw_references(axes: Axes, row: Row) -> None:
    scale = _scale(row.metrics[0])
    for reference in row.references:
        axes.axhline(scale * reference.value, xmin=RIGHT_EDGE, color=QUIET, linewidth=0.8, zorder=2)
    for reference in row.named:
        axes.axhline(scale * reference.value, color=INK, linestyle=DOTTED, linewidth=0.9, zorder=2)
        is_left = reference.system == HUMAN  # the two may be too close to stand above each other
        axes.annotate(
            reference.system, (0.02 if is_left else RIGHT_EDGE - 0.01, scale * reference.value),
            xycoords=("axes fraction", "data"), xytext=(0, 1.5), textcoords="offset points",
            horizontalalignment="left" if is_left else "right", fontsize=6.5, color=INK,
        )  # fmt: skip


def _legends(*panels: Axes) -> None:
    """One legend above a row's panels, shared out among them: names of judges are long."""
    lines, labels = panels[0].get_legend_handles_labels()
    share = -(-len(lines) // len(panels))
    for place, axes in enumerate(panels):
        part = slice(place * share, (place + 1) * share)
        axes.legend(lines[part], labels[part], loc="lower left", bbox_to_anchor=(0.0, 1.0), handlelength=2.6)


def _bounds(axes: Axes, row: Row) -> None:
    """Errors are read against zero, and whatever has a line is inside."""
    values = [_scale(row.metrics[0]) * reference.value for reference in row.named]
    low, high = axes.get_ylim()
    low, high = min([low, *values]), max([high, *values])
    margin = 0.05 * (high - low) if values else 0.0
    is_error = row.metrics[0].judged.metric.unit == "error-rate"
    axes.set_ylim(0.0 if is_error else low - margin, high + margin)


def _scale(metric: MetricSummary) -> float:
    return 100.0 if metric.judged.metric.is_rate else 1.0
