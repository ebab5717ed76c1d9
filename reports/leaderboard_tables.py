"""A leaderboard as tables: the same cells for the page, Markdown and LaTeX, and one tidy row a number as CSV."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

from reports.figure_style import csv_text
from reports.formatting import UNDEFINED, difference_text, interval_text, number
from reports.latex import NEEDED, to_latex
from reports.leaderboard import Group, Leaderboard, Row, Value
from reports.tables import HELD_OUT, SELECTED_ON, Cell, Column, Table, direction_text, escape_markdown, to_markdown

TITLE = "Leaderboard"
UNRANKED = "–"
DIFFERENCE, STANDING = "Difference to the first", "Standing"
COLUMNS = (
    "group", "suite", "place", "standing", "run", "synthesizer", "strategy", "n", "metric", "protocol", "judge", "role",
    "ranking", "value", "low", "high", "n_scored", "n_expected", "to_first", "to_first_low", "to_first_high",
    "generator_seconds_a_request", "choosing_seconds_a_request", "tokens_a_request", "note",
)  # fmt: skip


class SortableTable(NamedTuple):
    """A table, and what each cell sorts by: a number, or None for the last place."""

    table: Table
    keys: tuple[tuple[float | None, ...], ...]
    """One row of keys per row; names sort by their text, so theirs is NaN."""


def group_table(group: Group, number_of_group: int) -> SortableTable:
    """One group: place, run, every metric with interval, difference to the first, cost."""
    has_tokens = any(row.line.tokens for row in group.rows)
    metrics = [
        Column(f"{identity.metric} by {_short(group, place)}", numeric=True, essential=place == 0)
        for place, identity in enumerate(group.identities)
    ]
    columns = (
        Column("Place", numeric=True), Column("Run", essential_detail=False), *metrics,
        Column(DIFFERENCE, numeric=True), Column(STANDING), Column("Synthesis, s", numeric=True, essential=False),
        Column("Choice, s", numeric=True, essential=False),
        *([Column("Tokens", numeric=True, essential=False)] if has_tokens else []),
    )  # fmt: skip
    rows, keys = [], []
    for row in group.rows:
        values = [row.values.get(identity) for identity in group.identities]
        line = row.line
        tokens = line.tokens or None
        costs = [line.generator_seconds, line.choosing_seconds, *([tokens] if has_tokens else [])]
        rows.append((
            Cell(UNRANKED if row.place is None else str(row.place)),
            Cell(line.name, f"{line.strategy}\n{line.synthesizer}"),
            *(_value_cell(value, is_finished=line.is_finished) for value in values),
            _difference_cell(group, row),
            Cell(row.standing, row.note, "worse" if row.standing == "worse" else ""),
            *(Cell(UNDEFINED if cost is None else f"{cost:,.2f}" if cost < 100 else f"{cost:,.0f}") for cost in costs),
        ))  # fmt: skip
        change = row.to_first.value if row.to_first else (0.0 if row.place == 1 else None)
        keys.append((
            float(row.place) if row.place else None, math.nan,
            *(value.estimate.value if value else None for value in values), change, math.nan, *costs,
        ))  # fmt: skip
    return SortableTable(
        Table(f"{group.suite}, group {number_of_group}", columns, tuple(rows), _notes(group)),
        tuple(tuple(cells) for cells in keys),
    )


def _short(group: Group, place: int) -> str:
    """What most people call the judge: its spec in the first run that has it."""
    identity = group.identities[place]
    return next(row.values[identity].judgement.judged.verifier_key for row in group.rows if identity in row.values)


def _value_cell(value: Value | None, *, is_finished: bool) -> Cell:
    if value is None:
        return Cell("not judged")
    metric, estimate = value.judgement.judged.metric, value.estimate
    if not estimate.n and not is_finished:
        return Cell(UNDEFINED, f"0/{estimate.n_expected} scored")
    interval = interval_text(estimate.interval, metric, signed=False)
    details = [] if interval == UNDEFINED else [interval]
    if estimate.n < estimate.n_expected:
        details.append(f"{estimate.n}/{estimate.n_expected} scored")
    if value.judgement.judged.selected_on:
        details.append(SELECTED_ON)
    return Cell(number(estimate.value, metric), "\n".join(details), "selected-on" if SELECTED_ON in details else "")


def _difference_cell(group: Group, row: Row) -> Cell:
    if row.to_first is None or group.ranked_by is None:
        return Cell("")
    metric = group.ranked_by.judged.metric
    interval = interval_text(row.to_first.interval, metric)
    return Cell(difference_text(row.to_first.value, metric), "" if interval == UNDEFINED else interval)


def _notes(group: Group) -> tuple[str, ...]:
    notes = [group.reason] if group.reason else []
    if group.ranked_by:
        judged = group.ranked_by.judged
        notes.append(f"Ranked by {judged.metric.name} by {judged.verifier_key}, {HELD_OUT} in every run of this group.")
    for place, (identity, metric) in enumerate(zip(group.identities, group.metrics, strict=True)):
        protocol = identity.protocol or "no protocol"
        notes.append(
            f"{identity.metric} by {_short(group, place)}: {protocol}, {identity.judge}; {direction_text(metric)}."
        )
    requests = len(group.rows[0].line.request_ids)
    notes.append(
        f"{requests} requests. Brackets: 95 % bootstrap over {group.clusters} {group.cluster_unit}s; of differences "
        "paired (the same requests), and not corrected for their number: 'tts-eval compare' tests two runs. "
        "Not told apart: the interval holds 0. A clip without a score counts as the metric's worst value. "
        "Cost is of one request; choice is what the verifiers that chose took."
    )
    return tuple(notes)


def leaderboard_tables(board: Leaderboard) -> list[SortableTable]:
    """One per group."""
    return [group_table(group, place) for place, group in enumerate(board.groups, start=1)]


def unreadable_table(board: Leaderboard) -> Table | None:
    """What could not be read; None where everything could."""
    if not board.unreadable:
        return None
    rows = tuple((Cell(name), Cell(problem)) for name, problem in board.unreadable)
    return Table("Not readable", (Column("Folder"), Column("What is wrong")), rows)


def leaderboard_markdown(board: Leaderboard) -> str:
    """leaderboard.md."""
    tables = [entry.table for entry in leaderboard_tables(board)]
    if broken := unreadable_table(board):
        tables.append(broken)
    return "\n\n".join([f"# {escape_markdown(TITLE)}", *map(to_markdown, tables)]) + "\n"


def leaderboard_latex(board: Leaderboard) -> str:
    """leaderboard.tex, to be included in a paper: the groups, with what the runs are in the notes."""
    tables = [_for_paper(entry.table) for entry in leaderboard_tables(board)]
    return "\n\n".join([NEEDED, *(to_latex(table, essential=False) for table in tables)]) + "\n"


def _for_paper(table: Table) -> Table:
    """What fits a page's width: two metrics, names without what stands below them; that is in the notes."""
    titles = [column.title for column in table.columns]
    metrics = range(2, titles.index(DIFFERENCE))
    kept = [place for place in range(len(titles)) if place not in metrics[2:]]
    bare = {1, titles.index(STANDING)}
    about = [f"{row[1].text}: {'; '.join(row[1].detail.splitlines())}." for row in table.rows]
    about += [f"{row[1].text}: {row[place].detail}." for row in table.rows for place in bare - {1} if row[place].detail]
    return replace(
        table,
        columns=tuple(table.columns[place] for place in kept),
        rows=tuple(
            tuple(Cell(row[place].text) if place in bare else row[place] for place in kept) for row in table.rows
        ),
        notes=(*about, *table.notes),
    )


def leaderboard_csv(board: Leaderboard) -> str:
    """leaderboard.csv: one row per run and metric, as `COLUMNS`."""
    return csv_text(COLUMNS, _csv_rows(board))


def leaderboard_json(board: Leaderboard, page: str) -> dict[str, object]:
    """The machine-readable leaderboard: the rows of the CSV by column name, and what could not be read."""
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in _csv_rows(board)]
    return {"rows": rows, "unreadable": dict(board.unreadable), "report": page}


def _csv_rows(board: Leaderboard) -> list[list[object]]:
    return [
        _csv_row(place, group, row, value)
        for place, group in enumerate(board.groups, start=1)
        for row in group.rows
        for value in row.values.values()
    ]


def _csv_row(place: int, group: Group, row: Row, value: Value) -> list[object]:
    line, judged, estimate = row.line, value.judgement.judged, value.estimate
    is_ranking = group.ranked_by is not None and value.judgement.identity == group.ranked_by.identity
    change = row.to_first if is_ranking else None
    return [
        place, line.suite, row.place, row.standing, line.name, line.synthesizer, line.strategy, line.n,
        judged.metric.name, judged.metric.protocol, judged.judge, "selected-on" if judged.selected_on else "held-out",
        int(is_ranking), estimate.value, *(estimate.interval or (None, None)), estimate.n, estimate.n_expected,
        change.value if change else None, *((change.interval if change else None) or (None, None)),
        line.generator_seconds, line.choosing_seconds, line.tokens or None, row.note,
    ]  # fmt: skip
