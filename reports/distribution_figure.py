"""The distribution behind the means: for every value, the share of clips that reach it or less.

A mean of 12 % may be twelve words in a hundred everywhere, or one clip in eight lost altogether. One panel for
the first held-out metric and one for the first that chose; single samples (every candidate), chosen
clips and the oracle's are lines. A clip without a score has the metric's worst value, as in every mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from reports.best_at_k import oracle_ranks
from reports.figure_style import DASHED, DOTTED, SOLID, csv_text
from reports.figures import COLOURS, Panel, inline_panel, panels_figure
from reports.pools import pool_of, ranks_of
from reports.results import JudgedMetric, RunResults
from reports.summary import headline_metrics
from reports.tables import HELD_OUT, SELECTED_ON

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DISTRIBUTION = "distribution"
"""The figure's file name, without its suffix."""
LINES: dict[str, tuple[str, Any]] = {
    "single sample": (COLOURS["random"], DOTTED), "chosen": (COLOURS["selected"], SOLID),
    "oracle": (COLOURS["oracle"], DASHED),
}  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Distribution:
    """One metric: sorted values of the clips, by which clips they are."""

    judged: JudgedMetric
    values: dict[str, np.ndarray]


def distributions(results: RunResults) -> list[Distribution]:
    """Of the headline metrics; clips that a cascade spared the judge are left out.

    Raises:
        DataError: there are no requests, or their pools differ in size.
    """
    ranks = ranks_of(results)
    found = []
    for judged in headline_metrics(results.metrics):
        pool = pool_of(results, judged)
        values = -pool.badness if judged.metric.higher_is_better else pool.badness
        chosen = {"chosen": ranks == 0}
        if ranks.shape[1] > 1:
            chosen = {
                "single sample": np.ones_like(ranks, dtype=bool), **chosen,
                "oracle": oracle_ranks(pool.badness, ranks) == 0,
            }  # fmt: skip
        sorted_values = {name: np.sort(values[mask & np.isfinite(values)]) for name, mask in chosen.items()}
        if all(len(some) for some in sorted_values.values()):
            found.append(Distribution(judged, sorted_values))
    return found


def distribution_figure(shown: Sequence[Distribution]) -> Figure:
    """All distributions, a panel each.

    Raises:
        ValueError: there is nothing to draw.
    """
    if not shown:
        raise ValueError("A run without a judge has no distribution to draw.")
    return panels_figure([_panel(one) for one in shown])


def distributions_svg(shown: Sequence[Distribution]) -> list[str]:
    """One `<svg>` element per panel, as those of `reports.figures.panels_svg`."""
    return [inline_panel(_panel(one), _title(one), f"{DISTRIBUTION}-{place}") for place, one in enumerate(shown)]


def distribution_csv(shown: Sequence[Distribution]) -> str:
    """The figure's data: where each line rises, and to what share."""
    rows: list[list[Any]] = []
    for one in shown:
        for name, values in one.values.items():
            rows += [[one.judged.key, name, value, share] for value, share in zip(*_steps(values), strict=True)]
    return csv_text(["metric", "clips", "value", "share_up_to"], rows)


def _steps(values: np.ndarray) -> tuple[list[float], list[float]]:
    """Where the share of values up to x rises, and to what."""
    places, counts = np.unique(values, return_counts=True)
    return places.tolist(), (np.cumsum(counts) / len(values)).tolist()


def _panel(one: Distribution) -> Panel:
    return lambda axes: _draw(axes, one)


def _draw(axes: Axes, one: Distribution) -> None:
    metric = one.judged.metric
    scale = 100.0 if metric.is_rate else 1.0
    everything = np.concatenate(list(one.values.values())) * scale
    low, high = float(everything.min()), float(everything.max())
    margin = 0.03 * (high - low) or 0.5
    for name, values in one.values.items():
        places, shares = _steps(values * scale)
        colour, dash = LINES[name]
        axes.step(
            [low - margin, *places, high + margin], [0.0, *(100 * share for share in shares), 100.0], where="post",
            color=colour, linestyle=dash, linewidth=1.5, label=name,
        )  # fmt: skip
    axes.set_xlim(low - margin, high + margin)
    axes.set_ylim(0, 101)
    unit = ", %" if metric.is_rate else ", s" if metric.unit == "seconds" else ""
    axes.set_xlabel(f"{metric.name}{unit} ({'higher' if metric.higher_is_better else 'lower'} is better)")
    axes.set_ylabel("clips with this or less, %")
    axes.grid(axis="both")
    axes.set_title(_title(one), loc="left", fontweight="normal" if one.judged.selected_on else "bold")


def _title(one: Distribution) -> str:
    role = SELECTED_ON if one.judged.selected_on else HELD_OUT
    return f"{one.judged.metric.name} by {one.judged.verifier_key} ({role})"
