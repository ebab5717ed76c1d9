"""The report's tables, once: terminal, Markdown and HTML show these same cells.

A cell is a short text with an optional detail (an interval, a protocol). Signs and directions are
spelled out in words, so that a table can be read in black and white, aloud and in a log file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from reports.formatting import (
    UNDEFINED,
    difference_text,
    gain_interval_text,
    gain_text,
    interval_text,
    number,
    percent,
)
from reports.results import JudgedMetric
from reports.statistics import Estimate
from reports.summary import FEWEST_CLUSTERS, MetricSummary, Summary
from tts_eval.types import FailureKind, Metric

if TYPE_CHECKING:
    from rich.table import Table as RichTable

FEW_CLUSTERS = 20
"""Below this many clusters an interval that says 95 % holds the truth a point or two less often."""
LONGEST_MESSAGE = 200
"""Characters of a failure's message in a table."""
HELD_OUT, SELECTED_ON = "HELD OUT", "selected on"


class Cell(NamedTuple):
    """What one cell says."""

    text: str
    detail: str = ""
    tone: Literal["", "better", "worse", "held-out", "selected-on"] = ""
    """What a renderer may colour; the text says the same."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table."""

    title: str
    numeric: bool = False
    essential: bool = True
    """Whether it belongs in a terminal of 80 columns."""
    essential_detail: bool = True
    """Whether its details do."""


@dataclass(frozen=True, slots=True)
class Table:
    """Cells with a caption; `notes` stand below."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()


def coverage_table(summary: Summary) -> Table:
    """What the numbers rest on: scored of expected, failures by class."""
    coverage = summary.coverage
    rows = [
        (Cell("Scored by every judge"), f"{coverage.scored} of {coverage.requests}",
         f"{coverage.scored_candidates} of {coverage.candidates}"),
        *(
            (Cell(f"Failure: {name}", _short(coverage.examples[name])),
             str(coverage.chosen_failures.get(name, 0)), str(count))
            for name, count in coverage.failures.items()
        ),
        *((Cell(f"Ended by: {name}"), "", str(count)) for name, count in coverage.finishes.items()),
        *((Cell(f"Dropped by the cascade before {name}"), "0", str(count)) for name, count in coverage.spared.items()),
    ]  # fmt: skip
    notes = ["A clip without a score stays in every mean with the metric's worst value."]
    if any(coverage.examples.values()):
        notes.append("Under a failure: what the first of its class says.")
    return Table(
        "Coverage",
        (Column("What"), Column("Chosen clips", numeric=True), Column("All candidates", numeric=True)),
        tuple((what, Cell(chosen), Cell(made)) for what, chosen, made in rows),
        tuple(notes),
    )


def _short(message: str) -> str:
    words = " ".join(message.split())
    return words if len(words) <= LONGEST_MESSAGE else words[: LONGEST_MESSAGE - 1] + "…"


def metrics_table(summary: Summary) -> Table:
    """One row per metric: the single sample, the chosen candidates, the difference and the oracle."""
    is_recorded = any(metric.ground_truth for metric in summary.metrics)
    columns = (
        Column("Metric"), Column("Protocol, judge", essential=False), Column("Role"),
        *_number_columns(summary),
        *([Column("Truth", numeric=True, essential=False)] if is_recorded else []),
        Column("Over 50 %", numeric=True, essential=False),
        Column("Scored", numeric=True),
    )  # fmt: skip
    rows = tuple(
        (
            Cell(metric.judged.metric.name, f"{metric.judged.verifier_key}\n{direction_text(metric.judged.metric)}"),
            Cell(metric.judged.metric.protocol or "no protocol", metric.judged.judge),
            role_of(metric.judged),
            *_number_cells(summary, metric),
            *([_ground_truth(metric)] if is_recorded else []),
            Cell(percent(metric.above_half), _single(metric.baseline_above_half) if summary.n > 1 else ""),
            Cell(f"{metric.chosen.n}/{metric.chosen.n_expected}"),
        )
        for metric in summary.metrics
    )
    return Table("Metrics", columns, rows, _metric_notes(summary))


def groups_table(summary: Summary) -> Table | None:
    """The headline metrics for each group of the suite; None with fewer than two groups."""
    if not summary.groups:
        return None
    rows = tuple(
        (
            Cell(group.group or "(no group)", _plural(group.requests, "request")),
            Cell(metric.judged.metric.name, metric.judged.verifier_key),
            role_of(metric.judged),
            *_number_cells(summary, metric),
            Cell(f"{metric.chosen.n}/{metric.chosen.n_expected}"),
        )
        for group in summary.groups
        for metric in group.metrics
    )
    columns = (
        Column("Group"), Column("Metric"), Column("Role"), *_number_columns(summary), Column("Scored", numeric=True),
    )  # fmt: skip
    return Table("Per group", columns, rows, ("Groups are small: read the intervals before the differences.",))


def groups_overview(summary: Summary) -> Table | None:
    """One line per group for the terminal: single sample -> best of N, by each headline metric."""
    if not summary.groups:
        return None
    heads = summary.groups[0].metrics
    columns = (
        Column("Group"),
        *(
            Column(
                f"{head.judged.metric.name} by {head.judged.verifier_key}, {role_of(head.judged).text}", numeric=True
            )
            for head in heads
        ),
    )
    rows = tuple(
        (
            Cell(f"{group.group or '(no group)'} ({group.requests})"),
            *(
                Cell(
                    f"{number(metric.baseline.value, metric.judged.metric)} → "
                    f"{number(metric.chosen.value, metric.judged.metric)}, {verdict(metric).text}"
                    if summary.n > 1
                    else number(metric.chosen.value, metric.judged.metric),
                    tone=verdict(metric).tone,
                )
                for metric in group.metrics
            ),
        )
        for group in summary.groups
    )
    change = f"single sample → best of {summary.n}" if summary.n > 1 else _chosen_title(summary).lower()
    return Table(f"Per group: {change}", columns, rows)


def curve_table(summary: Summary) -> Table | None:
    """best@k at powers of two and N; None for pools of one."""
    if summary.n < 2 or not summary.metrics:
        return None
    points = shown_points(len(summary.metrics[0].curves.selected))
    rows = tuple(
        (
            Cell(metric.judged.metric.name, metric.judged.verifier_key),
            role_of(metric.judged),
            Cell(ranking),
            *(Cell(number(values[k - 1], metric.judged.metric)) for k in points),
        )
        for metric in summary.metrics
        for ranking, values in (("selected", metric.curves.selected), ("oracle", metric.curves.oracle))
    )
    columns = (Column("Metric"), Column("Role"), Column("Ranked by"), *(Column(f"k={k}", numeric=True) for k in points))
    notes = ["Expected value of the best of k drawn from the pool; k=1 is the mean."]
    if summary.coverage.spared:
        notes.append("n/a: the best of k could be a candidate that the cascade dropped before this judge heard it.")
    return Table("best@k", columns, rows, tuple(notes))


def headline(summary: Summary) -> str:
    """The run's result as one sentence, by the first held-out judge (else by the first there is)."""
    if not summary.metrics:
        return "No judge took part, so there is nothing to compare."
    coverage = summary.coverage
    judged = [metric for metric in summary.metrics if metric.baseline.n]
    if not judged:
        return (
            f"None of the {_plural(coverage.candidates, 'candidate')} could be judged, so there is nothing to compare; "
            "the coverage table says why."
        )
    missing = coverage.failures.get(FailureKind.NOT_MADE.value, 0)
    unfinished = f"{missing} of {coverage.candidates} candidates are missing and count as worst. " if missing else ""
    return unfinished + _comparison(summary, next((one for one in judged if not one.judged.selected_on), judged[0]))


def _comparison(summary: Summary, metric: MetricSummary) -> str:
    definition = metric.judged.metric
    judge = f"the {'selecting' if metric.judged.selected_on else 'held-out'} judge {metric.judged.verifier_key}"
    value = number(metric.chosen.value, definition)
    if summary.is_search:
        return (
            f"{definition.name} by {judge} is {value} for what the search chose. What it gained is said by: "
            "tts-eval compare BEST_OF_N_RUN THIS_RUN"
        )
    if summary.n < 2:
        return f"{definition.name} by {judge} is {value} with one candidate per request."
    change = difference_text(metric.difference.value, definition)
    if metric.difference.interval is not None:
        change += f", 95 % interval {interval_text(metric.difference.interval, definition)}"
    return (
        f"Best of {summary.n} takes {definition.name} by {judge} from {number(metric.baseline.value, definition)} "
        f"to {value} ({change}; {direction_text(definition)}). {_conclusion(metric)}"
    )


def _conclusion(metric: MetricSummary) -> str:
    if metric.is_settled is None and metric.clusters < FEWEST_CLUSTERS:
        return f"{metric.clusters} independent draws are too few to say how sure that is."
    if metric.is_settled is None:
        return "How sure that is cannot be said."
    if not metric.is_settled:
        return "The interval holds zero: this run does not settle whether it helps."
    return f"The interval excludes zero: {'better' if metric.is_better else 'worse'} than a single sample."


def verdict(metric: MetricSummary) -> Cell:
    """Whether the difference to a single sample is settled, in a word."""
    if metric.is_settled is None:
        few = metric.difference.value is not None and metric.clusters < FEWEST_CLUSTERS
        return Cell("too few" if few else UNDEFINED)
    if not metric.is_settled:
        return Cell("unsettled")
    return Cell("better", tone="better") if metric.is_better else Cell("worse", tone="worse")


def shown_points(n: int) -> list[int]:
    """Powers of two up to n, and n."""
    return sorted({2**power for power in range(n.bit_length())} | {n}) if n else []


def to_markdown(table: Table) -> str:
    """A GitHub-flavoured table with its caption as a heading."""
    header = "| " + " | ".join(escape_markdown(column.title) for column in table.columns) + " |"
    rule = "| " + " | ".join("---:" if column.numeric else "---" for column in table.columns) + " |"
    rows = ["| " + " | ".join(_markdown_cell(cell) for cell in row) + " |" for row in table.rows]
    notes = [f"\n{escape_markdown(note)}" for note in table.notes]
    return "\n".join([f"## {escape_markdown(table.caption)}", "", header, rule, *rows, *notes])


def to_rich(table: Table, *, essential: bool = True) -> RichTable:
    """A table for the terminal; `essential` keeps the columns that fit in 80."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table as RichTable
    from rich.text import Text

    kept = [index for index, column in enumerate(table.columns) if column.essential or not essential]
    rendered = RichTable(
        title=table.caption, title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False,
        padding=(0, 1, 0, 0),
    )  # fmt: skip
    for column in (table.columns[index] for index in kept):
        # Two judges whose names are cut look like one.
        rendered.add_column(column.title, justify="right" if column.numeric else "left", overflow="fold")
    styles = {"better": "green", "worse": "red", "held-out": "bold"}
    for row in table.rows:
        cells = []
        for index in kept:
            text = Text(row[index].text, styles.get(row[index].tone, ""))
            if row[index].detail and (table.columns[index].essential_detail or not essential):
                text.append(f"\n{row[index].detail}", "dim")
            cells.append(text)
        rendered.add_row(*cells)
    return rendered


def _chosen_title(summary: Summary) -> str:
    return "Search's choice" if summary.is_search else "Single sample"


def _number_columns(summary: Summary) -> tuple[Column, ...]:
    if summary.n < 2:
        return (Column(_chosen_title(summary), numeric=True),)
    return (
        Column("Single sample", numeric=True, essential_detail=False), Column(f"Best of {summary.n}", numeric=True),
        Column("Difference", numeric=True), Column("Verdict"), Column("Relative gain", numeric=True, essential=False),
        Column(f"Oracle of {summary.n}", numeric=True, essential=False),
    )  # fmt: skip


def _number_cells(summary: Summary, metric: MetricSummary) -> tuple[Cell, ...]:
    definition = metric.judged.metric
    if summary.n < 2:
        return (_estimate(metric.chosen, definition),)
    return (
        _estimate(metric.baseline, definition),
        _estimate(metric.chosen, definition),
        Cell(
            difference_text(metric.difference.value, definition),
            _detail(interval_text(metric.difference.interval, definition)),
        ),
        verdict(metric),
        Cell(gain_text(metric.gain.value), gain_interval_text(metric.gain.interval)),
        Cell(number(metric.oracle.value, definition)),
    )


def _estimate(estimate: Estimate, metric: Metric) -> Cell:
    return Cell(number(estimate.value, metric), _detail(interval_text(estimate.interval, metric, signed=False)))


def _ground_truth(metric: MetricSummary) -> Cell:
    truth = metric.ground_truth
    if truth is None or not truth.n:
        return Cell(UNDEFINED)
    cell = _estimate(truth, metric.judged.metric)
    return cell if truth.n == truth.n_expected else Cell(f"{cell.text} ({truth.n}/{truth.n_expected})", cell.detail)


def role_of(judged: JudgedMetric) -> Cell:
    """Whether a metric took part in the choice."""
    return Cell(SELECTED_ON, "", "selected-on") if judged.selected_on else Cell(HELD_OUT, "", "held-out")


def direction_text(metric: Metric) -> str:
    """Which way is better, in words."""
    return "higher is better" if metric.higher_is_better else "lower is better"


def _metric_notes(summary: Summary) -> tuple[str, ...]:
    notes = [f"Brackets: 95 % bootstrap over {_plural(summary.clusters, summary.cluster_unit)}."]
    if summary.n > 1:
        notes[0] += (
            " Differences are paired. Single sample: expected value of one candidate. "
            "Oracle: best of the pool by that metric itself. A relative gain above 0 is an improvement. "
            "Better or worse: the interval of the difference excludes 0; unsettled: it holds 0; "
            f"too few: fewer than {FEWEST_CLUSTERS} to draw from."
        )
    if 1 < summary.clusters < FEW_CLUSTERS:
        notes.append(f"With so few ({summary.clusters}) to draw from, the intervals are somewhat too narrow.")
    if summary.clusters < 2:
        notes.append("Intervals need at least two speakers (or requests without a named speaker).")
    if any(metric.judged.selected_on for metric in summary.metrics):
        notes.append(
            f"A judge that was '{SELECTED_ON}' took part in choosing: its numbers flatter the search. "
            f"Believe the {HELD_OUT} rows."
        )
    if any(metric.ground_truth for metric in summary.metrics):
        notes.append("Truth: the recordings that the suite brings along, by the same judges.")
    if any(metric.above_half is not None for metric in summary.metrics):
        notes.append("Over 50 %: share of requests whose clip has more than half of its words wrong.")
    return tuple(notes)


def _single(value: float | None) -> str:
    return "" if value is None else f"single {percent(value)}"


def _detail(text: str) -> str:
    return "" if text == UNDEFINED else text


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _markdown_cell(cell: Cell) -> str:
    text = escape_markdown(cell.text)
    if cell.tone == "held-out":
        text = f"**{text}**"
    return "<br>".join([text, *(escape_markdown(line) for line in cell.detail.splitlines())])


def escape_markdown(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    marked = re.sub(r"([\\`*_|]|\](?=\())", r"\\\1", " ".join(text.split()))
    return marked.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
