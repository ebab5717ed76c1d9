"""The scale of a run: what the same judges say of the recordings, of what a codec leaves of them, and of the pool.

A row per scale, a column per metric. No number means much without the others: a similarity above that of the
codec's own resynthesis of the truth, say, is more than the model can have gained.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from reports.formatting import UNDEFINED, interval_text, number
from reports.statistics import Estimate
from reports.summary import MetricSummary, Summary, headline_metrics
from reports.tables import HELD_OUT, SELECTED_ON, Cell, Column, Table, direction_text


class ScaleRow(NamedTuple):
    """One row of the scale."""

    label: str
    detail: str
    estimates: Sequence[Estimate | None]
    """One per metric."""
    is_made: bool = True
    """Whether the run's synthesizer made it."""


def scale_table(summary: Summary) -> Table | None:
    """Every metric for every row that gives the scale, with interval and n scored / n expected; None without judges."""
    if not summary.metrics:
        return None
    heads = headline_metrics([metric.judged for metric in summary.metrics])
    columns = (
        Column("What is judged"),
        *(Column(_title(metric), numeric=True, essential=metric.judged in heads) for metric in summary.metrics),
    )
    rows = []
    for row in scale_rows(summary, summary.metrics):
        pairs = zip(row.estimates, summary.metrics, strict=True)
        rows.append((Cell(row.label, row.detail), *(_cell(estimate, metric) for estimate, metric in pairs)))
    return Table("Scale", columns, tuple(rows), tuple(_notes(summary)))


def scale_rows(summary: Summary, metrics: Sequence[MetricSummary]) -> list[ScaleRow]:
    """The rows that there are, with an estimate for each of `metrics`."""
    n = summary.n
    truths = [metric.ground_truth for metric in metrics]
    resyntheses = [metric.resynthesis for metric in metrics]
    rows = []
    if any(truths):
        rows.append(ScaleRow("Ground truth", "", truths, is_made=False))
    if any(resyntheses):
        rows.append(ScaleRow("Codec resynthesis", summary.codec, resyntheses, is_made=False))
    chosen = [metric.chosen for metric in metrics]
    if n < 2:
        return [*rows, ScaleRow("Chosen", summary.strategy, chosen)]
    return [
        *rows,
        ScaleRow("One sample", "the first", [metric.first for metric in metrics]),
        ScaleRow(f"Random of {n}", "", [metric.baseline for metric in metrics]),
        ScaleRow(f"Chosen of {n}", "", chosen),
        ScaleRow(f"Oracle of {n}", "by each metric itself", [metric.oracle for metric in metrics]),
    ]


def _title(metric: MetricSummary) -> str:
    judged = metric.judged
    role = SELECTED_ON if judged.selected_on else HELD_OUT
    return f"{judged.metric.name} by {judged.verifier_key}, {role}, {direction_text(judged.metric)}"


def _cell(estimate: Estimate | None, metric: MetricSummary) -> Cell:
    if estimate is None:
        return Cell(UNDEFINED)
    scored = f"{estimate.n}/{estimate.n_expected}"
    if not estimate.n:
        return Cell(UNDEFINED, scored)
    interval = interval_text(estimate.interval, metric.judged.metric, signed=False)
    return Cell(
        number(estimate.value, metric.judged.metric), scored if interval == UNDEFINED else f"{interval}\n{scored}"
    )


def _notes(summary: Summary) -> list[str]:
    notes = ["Below each value: 95 % interval, scored/expected."]
    if summary.n > 1:
        notes.append(
            "One sample: the run with N = 1. Random: the expected value of a candidate drawn from the pool. "
            "Oracle: the best of the pool by that metric, another clip for each metric."
        )
    truths = [metric for metric in summary.metrics if metric.ground_truth]
    if not truths:
        notes.append("The suite has no recordings, so there is neither ground truth nor codec resynthesis.")
    elif not summary.codec:
        notes.append("'tts-eval scale RUN' adds the recordings as a codec gives them back.")
    elif unheard := [m.judged.verifier_key for m in truths if m.resynthesis is None or not m.resynthesis.n]:
        specs = ", ".join(dict.fromkeys(unheard))
        notes.append(f"{specs} has judged no resynthesis yet: run 'tts-eval scale' on the run again.")
    return notes
