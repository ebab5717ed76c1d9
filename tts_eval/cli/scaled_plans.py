"""A plan's time on clusters of several sizes, as a table."""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from benchmarks.cluster_plan import DRIVER, Prediction, ScaledPlan
from tts_eval.cli.durations import duration_text
from tts_eval.workers.resources import REST

NOTE = (
    "Alike: every worker does everything, as without --resources. Divided: workers for each stage, for models that do "
    "not fit together."
)


def show_scaled_plans(plans: Sequence[ScaledPlan], console: Console, loading: float | None) -> None:
    """Print one row per number of devices, and what was measured of loading models: seconds of a worker."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for title in ("devices", "alike", "efficiency", "workers busy", "driver busy", "divided"):
        table.add_column(title, justify="right")
    table.add_column("--resources, and how busy they are", overflow="fold")
    for one in plans:
        alike, divided = one.alike, one.divided
        shares = (f"{share:.0%}" for share in (one.efficiency, alike.busy[REST], alike.busy[DRIVER]))
        is_same = REST in divided.workers
        table.add_row(
            f"{one.devices:,}",
            duration_text(alike.wall_seconds),
            *shares,
            "" if is_same else duration_text(divided.wall_seconds),
            "" if is_same else _division(divided),
        )
    console.print(table)
    loaded = (
        f"With {duration_text(loading)} of a worker's getting ready, as measured; Ray's own start is not counted."
        if loading is not None
        else "Loading models is not counted: a run with workers (--executor ray) would have measured it."
    )
    for line in (NOTE, loaded):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _division(prediction: Prediction) -> str:
    parts = [f"{name} {count:,} ({prediction.busy[name]:.0%})" for name, count in prediction.workers.items()]
    return f"{', '.join(parts)}; most: {prediction.bottleneck}"
