"""What papers report, beside what runs here measured: the page benchmarks/replication.md.

A number of ours stands in a table with published ones where requests, metric, text protocol and judge are those of
the table; a cell for which that cannot be said is empty. Everything else that was measured has a table of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from reports.formatting import UNDEFINED, interval_text, number
from reports.results import JudgedMetric
from reports.scale_table import ScaleRow, scale_rows
from reports.statistics import Estimate
from reports.summary import MetricSummary, Summary
from reports.tables import SELECTED_ON, Cell, Column, Table, to_markdown

HEADING = """# Replication

Made by `tts-eval replicate`. Published rows are as printed in their sources, which give no intervals; the n of a table
is the length of its list. Rows of this installation have a 95 % interval and n scored / n expected. They stand beside
published rows where requests, text protocol and judge are the same. An empty cell was not reported or not
measured; 'selected on': the judge took part in the choice, so the number flatters.
Do not compare below about 0.3 points of WER across papers: the same model's published numbers differ by more."""

OTHERWISE = "No published row was measured like this: other requests, a part of them, another judge or protocol."


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedMetric:
    """A column of a published table, and what a number of ours must be to stand in it."""

    title: str
    metric: str
    protocol: str
    judge: str
    """Pattern of the judge's full name; "" where it is not known, so that nothing fits."""

    def fits(self, judged: JudgedMetric) -> bool:
        """Whether a metric of ours is this one, by the same judge."""
        named = (judged.metric.name, judged.metric.protocol) == (self.metric, self.protocol)
        return named and bool(self.judge) and re.search(self.judge, judged.judge) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedRow:
    """One system."""

    system: str
    source: str
    values: tuple[str, ...]
    """One per metric, as printed; "" where it was not reported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """One published table."""

    title: str
    suite: str
    """NAME@VERSION of ours with the same requests; "" where they are not known."""
    n: str
    """Length of the list; "" where it is not known."""
    protocol: str
    metrics: tuple[PublishedMetric, ...]
    rows: tuple[PublishedRow, ...]


@cache
def load_published() -> tuple[Published, ...]:
    """The tables of benchmarks/published.yaml.

    Raises:
        ValueError: a row has not as many values as its table has metrics.
    """
    import yaml

    text = (files("benchmarks") / "published.yaml").read_text(encoding="utf-8")
    record = yaml.load(text, Loader=yaml.BaseLoader)  # text stays text: 3.60 is not 3.6
    return tuple(_published(entry, record["sources"]) for entry in record["benchmarks"])


def _published(entry: Mapping[str, Any], sources: Mapping[str, str]) -> Published:
    metrics = tuple(PublishedMetric(**metric) for metric in entry["metrics"])
    for row in entry["rows"]:
        if len(row["values"]) != len(metrics):
            raise ValueError(f"{entry['title']}, {row['system']}: {len(row['values'])} values for {len(metrics)}")
    rows = tuple(
        PublishedRow(system=row["system"], source=sources[row["source"]], values=tuple(row["values"]))
        for row in entry["rows"]
    )
    return Published(
        title=entry["title"],
        suite=entry["suite"],
        n=entry["n"],
        protocol=entry["protocol"],
        metrics=metrics,
        rows=rows,
    )


def replication_page(published: Sequence[Published], summaries: Sequence[Summary]) -> str:
    """The page, in Markdown."""
    shown: set[tuple[int, str]] = set()
    tables = [_beside(table, summaries, shown) for table in published]
    for place, summary in enumerate(summaries):
        if others := [metric for metric in summary.metrics if (place, metric.judged.key) not in shown]:
            tables.append(_others(summary, others))
    return "\n\n".join([HEADING, *map(to_markdown, tables)]) + "\n"


def _beside(table: Published, summaries: Sequence[Summary], shown: set[tuple[int, str]]) -> Table:
    columns = (
        Column("System"), Column("Source"), *(Column(metric.title, numeric=True) for metric in table.metrics),
        Column("n", numeric=True),
    )  # fmt: skip
    rows = [
        (
            Cell(row.system),
            Cell(row.source),
            *map(Cell, row.values),
            Cell(table.n),
        )
        for row in table.rows
    ]
    for place, summary in enumerate(summaries):
        if summary.suite != table.suite:  # a part of a suite has another name
            continue
        fitting = [next((one for one in summary.metrics if metric.fits(one.judged)), None) for metric in table.metrics]
        shown |= {(place, one.judged.key) for one in fitting if one}
        if any(fitting):
            rows += list(_ours(summary, fitting))
    return Table(table.title, columns, tuple(rows), (" ".join(table.protocol.split()),))


def _ours(summary: Summary, fitting: Sequence[MetricSummary | None]) -> Iterator[tuple[Cell, ...]]:
    rows = scale_rows(summary, [one for one in fitting if one])
    for row in rows:
        estimates = iter(row.estimates)
        cells = [_value(next(estimates), one, row) if one else Cell("") for one in fitting]
        counts = dict.fromkeys(f"{one.n}/{one.n_expected}" for one in row.estimates if one)
        name = Cell(f"{summary.run}: {row.label}", _maker(summary, row), "held-out")
        yield name, Cell("here"), *cells, Cell(", ".join(counts))


def _maker(summary: Summary, row: ScaleRow) -> str:
    return f"{summary.synthesizer}; {summary.strategy}" if row.is_made else row.detail


def _others(summary: Summary, metrics: Sequence[MetricSummary]) -> Table:
    """One run's metrics that no published table has: a row per metric and judge, a column per row of the scale."""
    scale = scale_rows(summary, metrics)
    rows = []
    for place, metric in enumerate(metrics):
        estimates = [row.estimates[place] for row in scale]
        counts = dict.fromkeys(f"{one.n}/{one.n_expected}" for one in estimates if one)
        protocol = metric.judged.metric.protocol or "no protocol"
        rows.append((
            Cell(metric.judged.metric.name, f"{protocol}\n{metric.judged.judge}"),
            *(_value(estimate, metric, row) for estimate, row in zip(estimates, scale, strict=True)),
            Cell(", ".join(counts)),
        ))  # fmt: skip
    columns = (Column("Metric"), *(Column(row.label, numeric=True) for row in scale), Column("n", numeric=True))
    resynthesis = f" Codec: {summary.codec}." if summary.codec else ""
    made = f"{summary.suite}; {summary.synthesizer}; {summary.strategy}.{resynthesis}"
    return Table(f"Measured here in other ways: {summary.run}", columns, tuple(rows), (made, OTHERWISE))


def _value(estimate: Estimate | None, metric: MetricSummary, row: ScaleRow) -> Cell:
    if estimate is None or not estimate.n:
        return Cell("")
    interval = interval_text(estimate.interval, metric.judged.metric, signed=False)
    details = [] if interval == UNDEFINED else [interval]
    if metric.judged.selected_on and row.is_made:
        details.append(SELECTED_ON)
    return Cell(number(estimate.value, metric.judged.metric), "\n".join(details))
