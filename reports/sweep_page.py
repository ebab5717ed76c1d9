"""Everything under `SWEEP/report`, made again from the sweep's folder at any time."""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path

from reports.figure_style import write_figure
from reports.results import JudgedMetric
from reports.sweep import SweepSummary, summarise_sweep
from reports.sweep_figures import pareto_csv, pareto_figure, tradeoff_axes, tradeoff_csv, tradeoff_figure
from reports.sweep_tables import render_sweep, sweep_frame, sweep_json
from tts_eval.files import write_atomically, write_text_atomically


def write_sweep_report(folder: Path) -> SweepSummary:
    """Write sweep.md, sweep.csv, sweep.parquet, summary.json and the figures with their data; returns the numbers.

    Raises:
        StoreError: there is no sweep in `folder`, or it cannot be written.
        DataError: no cell has results.
    """
    summary = summarise_sweep(folder)
    report = folder / "report"
    figures = [_pareto(summary, judged, report) for judged in summary.shown]
    if summary.tradeoffs and (axes := tradeoff_axes(summary)):
        write_figure(report, "tradeoff", tradeoff_figure(summary, *axes), tradeoff_csv(summary, *axes))
        figures.append(("Temperature trade-off", "tradeoff.png"))
    frame = sweep_frame(summary)
    write_atomically(report / "sweep.parquet", partial(frame.to_parquet, index=False))
    write_atomically(report / "sweep.csv", partial(frame.to_csv, index=False))
    page = report / "sweep.md"
    record = sweep_json(summary, str(page))
    write_text_atomically(report / "summary.json", json.dumps(record, indent=2, allow_nan=False) + "\n")
    write_text_atomically(page, render_sweep(summary, figures))
    return summary


def _pareto(summary: SweepSummary, judged: JudgedMetric, report: Path) -> tuple[str, str]:
    name = "pareto-" + re.sub(r"[^A-Za-z0-9._]+", "-", judged.key).strip("-")
    write_figure(report, name, pareto_figure(summary, judged), pareto_csv(summary, judged))
    return f"Cost and {judged.metric.name} by {judged.verifier_key}", f"{name}.png"
