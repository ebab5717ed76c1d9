"""Every speaker's requests by the headline metrics, those first who are served worst."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from reports.best_at_k import best_at_k
from reports.formatting import difference_text, number
from reports.pools import pool_of, ranks_of
from reports.results import RunResults
from reports.summary import column, headline_metrics
from reports.tables import Cell, Column, Table, role_of

MOST_SPEAKERS = 40


def speakers_table(results: RunResults) -> Table | None:
    """One row per speaker and metric; None with fewer than two speakers, or without judges."""
    rows_of: dict[str, list[int]] = defaultdict(list)
    for row, request in enumerate(results.requests):
        if request.speaker:
            rows_of[request.speaker].append(row)
    metrics = headline_metrics(results.metrics)
    if len(rows_of) < 2 or not metrics:
        return None
    ranks, pools = ranks_of(results), {judged.key: pool_of(results, judged) for judged in metrics}
    values = {}
    for judged in metrics:
        for speaker, rows in rows_of.items():
            sums = best_at_k(pools[judged.key].sums.take(np.array(rows)), ranks[rows])
            values[judged.key, speaker] = [float(column(sums, place).value) for place in (0, -1)]
    sign = -1.0 if metrics[0].metric.higher_is_better else 1.0

    def badness(speaker: str) -> float:
        value = sign * values[metrics[0].key, speaker][1]
        return np.inf if np.isnan(value) else value

    worst = sorted(rows_of, key=badness, reverse=True)
    columns = [Column("Speaker"), Column("Metric"), Column("Role"), Column("Chosen", numeric=True)]
    if results.n > 1:
        columns[3:] = [
            Column("Single sample", numeric=True), Column(f"Best of {results.n}", numeric=True),
            Column("Difference", numeric=True),
        ]  # fmt: skip
    table = []
    for speaker in worst[:MOST_SPEAKERS]:
        for judged in metrics:
            before, after = (None if np.isnan(value) else value for value in values[judged.key, speaker])
            cells = [Cell(number(after, judged.metric))]
            if results.n > 1:
                change = None if before is None or after is None else after - before
                cells = [Cell(number(before, judged.metric)), *cells, Cell(difference_text(change, judged.metric))]
            count = len(rows_of[speaker])
            table.append((
                Cell(speaker, f"{count} request{'s' * (count != 1)}"), Cell(judged.metric.name, judged.verifier_key),
                role_of(judged), *cells,
            ))  # fmt: skip
    notes = ["Worst served first. No intervals: requests of one speaker are few, and not independent."]
    if len(worst) > MOST_SPEAKERS:
        notes.append(f"The {MOST_SPEAKERS} worst of {len(worst)} speakers; results.parquet has all.")
    return Table("Per speaker", tuple(columns), tuple(table), tuple(notes))
