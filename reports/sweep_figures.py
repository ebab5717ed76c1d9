"""A sweep's figures: what each metric costs, with the front that nothing beats, and the temperature trade-off.

Cells of one name are joined through their budgets. A cell is on the front when no other is at least as
good for at most as many tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from reports.figure_style import (
    DASHED,
    INK,
    colour_of,
    csv_text,
    in_style,
    marker_of,
    new_figure,
    plain_ticks,
)
from reports.results import JudgedMetric
from reports.sweep import CellMetric, CellSummary, SweepSummary
from reports.tables import HELD_OUT, SELECTED_ON

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INCHES = (5.6, 3.7)


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One cell in a Pareto figure."""

    cell: CellSummary
    metric: CellMetric
    cost: float
    value: float
    is_front: bool


def cost_axis(summary: SweepSummary) -> str:
    """What cost is in: tokens where they are counted, else seconds of synthesizer and verifiers."""
    return "tokens" if any(cell.cost and cell.cost.tokens for cell in summary.cells) else "seconds"


def pareto(summary: SweepSummary, judged: JudgedMetric) -> list[Point]:
    """The cells that have the metric, by cost, with who is on the front."""
    axis, sign = cost_axis(summary), 1.0 if judged.metric.higher_is_better else -1.0
    found: list[tuple[CellSummary, CellMetric, float, float]] = []
    for cell in summary.cells:
        metric = cell.metric(judged.key)
        if metric is None or metric.value.value is None or cell.cost is None:
            continue
        cost = cell.cost.tokens if axis == "tokens" else cell.cost.generator_seconds + cell.cost.verifier_seconds
        found.append((cell, metric, cost, metric.value.value))
    points, best = [], float("-inf")
    for cell, metric, cost, value in sorted(found, key=lambda entry: (entry[2], -sign * entry[3])):
        is_front = sign * value > best
        best = max(best, sign * value)
        points.append(Point(cell=cell, metric=metric, cost=cost, value=value, is_front=is_front))
    return points


def pareto_csv(summary: SweepSummary, judged: JudgedMetric) -> str:
    """The figure's data: one line per cell."""
    header = ["metric", "cell", "budget", "role", cost_axis(summary), "value", "low", "high", "front"]
    rows = []
    for point in pareto(summary, judged):
        low, high = point.metric.value.interval or ("", "")
        role = "selected-on" if point.metric.judged.selected_on else "held-out"
        named = [judged.key, point.cell.name, point.cell.config.budget, role]
        rows.append([*named, point.cost, point.value, low, high, int(point.is_front)])
    return csv_text(header, rows)


def pareto_figure(summary: SweepSummary, judged: JudgedMetric) -> Figure:
    """Cost against the metric, a line per search."""
    points, scale = pareto(summary, judged), _scale(judged)

    def draw(axes: Axes) -> None:
        for place, name in enumerate(dict.fromkeys(cell.name for cell in summary.cells)):
            own = [point for point in points if point.cell.name == name]
            _bars(axes, own, scale, colour=colour_of(place), marker=marker_of(place), label=name)  # fmt: skip
        front = [point for point in points if point.is_front]
        axes.plot([p.cost for p in front], [scale * p.value for p in front], drawstyle="steps-post", color=INK,
                  linewidth=0.9, linestyle=DASHED, zorder=1, label="front")  # fmt: skip
        axes.scatter([p.cost for p in front], [scale * p.value for p in front], s=70, facecolors="none",
                     edgecolors=INK, linewidths=0.9, zorder=4)  # fmt: skip
        if points and points[0].cost > 0:
            axes.set_xscale("log")
            _plain_ticks(axes, [point.cost for point in points])
        axes.set_xlabel(f"{cost_axis(summary)} a request")
        axes.set_ylabel(_axis_label(judged))
        roles = {point.metric.judged.selected_on for point in points}
        role = "role differs by cell" if len(roles) > 1 else SELECTED_ON if True in roles else HELD_OUT
        axes.set_title(f"{judged.metric.name} by {judged.verifier_key} ({role})", loc="left")

    return _figure(draw)


def tradeoff_axes(summary: SweepSummary) -> tuple[JudgedMetric, JudgedMetric] | None:
    """An error (x) and a likeness (y) to trade off; None where the judges have only one of them."""
    errors = [judged for judged in summary.shown if not judged.metric.higher_is_better]
    likenesses = [judged for judged in summary.shown if judged.metric.higher_is_better]
    return (errors[0], likenesses[0]) if errors and likenesses else None


def tradeoff_labels(lines: Sequence[Sequence[CellSummary]]) -> list[str]:
    """What each line is called: its search, its budget, and whatever else differs between the lines."""
    configs = [cells[0].config for cells in lines]
    others = ("verifier", "then", "top_k", "repetition_penalty", "max_seconds")
    varied = [name for name in others if len({getattr(config, name) for config in configs}) > 1]
    named = [
        [c.strategy, f"n={c.n}", c.budget, *(f"{name}={said}" for name in varied if (said := getattr(c, name)) != "")]
        for c in configs
    ]
    return [" ".join(filter(None, words)) for words in named]


def tradeoff_csv(summary: SweepSummary, error: JudgedMetric, likeness: JudgedMetric) -> str:
    """The trade-off's data: one line per cell."""
    columns = [f"{judged.key}{end}" for judged in (error, likeness) for end in ("", " low", " high")]
    rows = [
        [cell.name, cell.config.budget, cell.config.temperature, cell.config.top_p, *_numbers(cell, error, likeness)]
        for line in summary.tradeoffs
        for cell in line
    ]
    return csv_text(["cell", "budget", "temperature", "top_p", *columns], rows)


def tradeoff_figure(summary: SweepSummary, error: JudgedMetric, likeness: JudgedMetric) -> Figure:
    """Error against likeness, a line per search through its temperatures."""

    def draw(axes: Axes) -> None:
        lines = summary.tradeoffs
        for place, (cells, label) in enumerate(zip(lines, tradeoff_labels(lines), strict=True)):
            numbers = [(cell, _numbers(cell, error, likeness)) for cell in cells]
            known = [(cell, row) for cell, row in numbers if "" not in row]
            _tradeoff_line(axes, known, _scale(error), _scale(likeness), place, label)
        axes.set_xlabel(_axis_label(error))
        axes.set_ylabel(_axis_label(likeness))
        axes.set_title(f"{error.verifier_key} against {likeness.verifier_key}, by temperature", loc="left")

    return _figure(draw)


def _tradeoff_line(
    axes: Axes, rows: Sequence[tuple[CellSummary, list[Any]]], across: float, up: float, place: int, label: str
) -> None:
    colour, marker = colour_of(place), marker_of(place)
    for index, (cell, (x, x_low, x_high, y, y_low, y_high)) in enumerate(rows):
        axes.errorbar(
            [across * x], [up * y], xerr=_reach(across * x, across * x_low, across * x_high),
            yerr=_reach(up * y, up * y_low, up * y_high), color=colour, marker=marker, markersize=4, linewidth=0.7,
            label=label if index == 0 else None,
        )  # fmt: skip
        text = f"{cell.config.temperature:g}" + (f", p {cell.config.top_p:g}" if cell.config.top_p < 1 else "")
        axes.annotate(text, (across * x, up * y), xytext=(4, 4), textcoords="offset points", fontsize=7)
    axes.plot([across * row[0] for _, row in rows], [up * row[3] for _, row in rows], color=colour, linewidth=1.0)


def _numbers(cell: CellSummary, *judged: JudgedMetric) -> list[Any]:
    """Value, low and high of each metric; "" where undefined."""
    numbers: list[Any] = []
    for one in judged:
        metric = cell.metric(one.key)
        value = metric.value.value if metric else None
        interval = metric.value.interval if metric else None
        numbers += ["" if value is None else value, *(interval or (("", "") if value is None else (value, value)))]
    return numbers


def _bars(axes: Axes, points: Sequence[Point], scale: float, *, colour: str, marker: str, label: str) -> None:
    if not points:
        return
    values = np.array([point.value for point in points])
    low, high = np.array([point.metric.value.interval or (point.value, point.value) for point in points]).T
    axes.errorbar(
        [point.cost for point in points], scale * values, yerr=_reach(scale * values, scale * low, scale * high),
        color=colour, marker=marker, markersize=4.5, linewidth=1.1, elinewidth=0.6, capsize=0, label=label, zorder=3,
    )  # fmt: skip


def _reach(value: np.ndarray | float, low: np.ndarray | float, high: np.ndarray | float) -> np.ndarray:
    """How far an error bar goes below and above, [2, values]: an interval's last digits may leave its value outside."""
    reach: np.ndarray = np.maximum(np.reshape([value - low, high - value], (2, -1)), 0.0)
    return reach


def _plain_ticks(axes: Axes, costs: Sequence[float]) -> None:
    """Round numbers instead of powers of ten, of which a sweep's budgets may span none."""
    low, high = min(costs), max(costs)
    ticks = plain_ticks(low, high)
    axes.set_xticks(list(ticks), list(ticks.values()))
    axes.minorticks_off()
    axes.set_xlim(low / 1.25, high * 1.25)


@in_style
def _figure(draw: Callable[[Axes], None]) -> Figure:
    figure = new_figure(inches=INCHES)
    axes = figure.subplots()
    draw(axes)
    axes.grid(axis="y")
    figure.legend(loc="outside right upper")
    return figure


def _scale(judged: JudgedMetric) -> float:
    return 100.0 if judged.metric.is_rate else 1.0


def _axis_label(judged: JudgedMetric) -> str:
    unit = ", %" if judged.metric.is_rate else ""
    return f"{judged.metric.name}{unit} ({'higher' if judged.metric.higher_is_better else 'lower'} is better)"
