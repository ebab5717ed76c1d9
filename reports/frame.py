"""results.parquet, and the same as results.csv: one tidy row per candidate, for pandas.

Columns: request_id, text, group, speaker, index, seed, chosen, rank, selection_score, dropped_at (stage of
a cascade that passed it over, from 1; 0 is none), finish, failure, failure_message, audio, audio_seconds,
tokens, generator_seconds, verifier_seconds; then for every verifier `SPEC#METRIC` (NaN where it could not
judge, or was not asked because the candidate was dropped), `SPEC#DETAIL` (e.g. the transcript) and
`SPEC#failure`. Only the columns in `MEASURED_TIME` differ between two runs of the same config.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reports.results import CandidateResult, JudgedMetric, RequestResult, RunResults
from tts_eval.execution import batched
from tts_eval.files import write_atomically

if TYPE_CHECKING:
    import pandas

MEASURED_TIME = ("generator_seconds", "verifier_seconds")
KINDS = {
    "index": int, "seed": int, "chosen": bool, "rank": int, "selection_score": float, "dropped_at": int,
    "audio_seconds": float, "tokens": int, "generator_seconds": float, "verifier_seconds": float,
}  # fmt: skip
"""Of columns that hold no text; metrics are floats."""
ROWS_AT_ONCE = 1024


def results_frame(results: RunResults) -> pandas.DataFrame:
    """One row per candidate, in the order of requests and indices."""
    import pandas

    rows = [
        _row(request, candidate, results.metrics) for request in results.requests for candidate in request.candidates
    ]
    return pandas.DataFrame(rows)


def write_frame(results: RunResults, path: Path) -> None:
    """Write the frame as parquet, and as CSV beside it, atomically; it is never in memory as a whole."""

    def write(csv: Path, parquet: Path) -> None:
        columns = _names(next(iter(_batches(results)), []))
        while (found := _write(results, columns, csv, parquet)) != columns:
            columns = found  # a later candidate has a detail that none of the first has

    write_atomically(path.with_suffix(".csv"), lambda csv: write_atomically(path, partial(write, csv)))


def _write(results: RunResults, columns: tuple[str, ...], csv: Path, parquet: Path) -> tuple[str, ...]:
    """Write these columns; returns those that there are."""
    import pandas
    import pyarrow
    import pyarrow.parquet

    numbers = {judged.key for judged in results.metrics}
    kinds = {str: pyarrow.string(), int: pyarrow.int64(), float: pyarrow.float64(), bool: pyarrow.bool_()}
    schema = pyarrow.schema([(name, kinds[float if name in numbers else KINDS.get(name, str)]) for name in columns])
    floats = [field.name for field in schema if field.type == kinds[float]]
    found: dict[str, None] = {}
    with (
        csv.open("w", encoding="utf-8", newline="") as lines,
        pyarrow.parquet.ParquetWriter(parquet, schema) as writer,
    ):
        lines.write(pandas.DataFrame(columns=columns).to_csv(index=False))
        for rows in _batches(results):
            found.update(dict.fromkeys(_names(rows)))
            frame = pandas.DataFrame(rows, columns=columns).astype(dict.fromkeys(floats, "float64"))
            lines.write(frame.to_csv(index=False, header=False))
            writer.write_table(pyarrow.Table.from_pandas(frame, schema=schema, preserve_index=False))
    return tuple(found)


def _batches(results: RunResults) -> Iterator[list[dict[str, Any]]]:
    """The rows of some requests at a time."""
    at_once = max(ROWS_AT_ONCE // max(results.n, 1), 1)
    for requests in batched(results.requests, at_once):
        yield [_row(request, candidate, results.metrics) for request in requests for candidate in request.candidates]


def _names(rows: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for names in dict.fromkeys(map(tuple, rows)) for name in names))


def _row(request: RequestResult, candidate: CandidateResult, metrics: tuple[JudgedMetric, ...]) -> dict[str, Any]:
    row: dict[str, Any] = {
        "request_id": request.id,
        "text": request.text,
        "group": request.group,
        "speaker": request.speaker,
        "index": candidate.index,
        "seed": candidate.seed,
        "chosen": candidate.rank == 0,
        "rank": candidate.rank,
        "selection_score": candidate.selection_score,
        "dropped_at": candidate.dropped_at or 0,
        "finish": candidate.finish.value,
        "failure": candidate.failure.kind.value if candidate.failure else "",
        "failure_message": candidate.failure.message if candidate.failure else "",
        "audio": candidate.audio or "",
        "audio_seconds": candidate.seconds,
        "tokens": candidate.cost.tokens,
        "generator_seconds": candidate.cost.generator_seconds,
        "verifier_seconds": candidate.cost.verifier_seconds,
    }
    scores = dict(candidate.scores.items())
    details = {spec: {f"{spec}#{name}": text for name, text in one.details.items()} for spec, one in scores.items()}
    for judged in metrics:
        score = scores.get(judged.verifier_key)
        row[judged.key] = score.values.get(judged.metric.name) if score else None
        row.update(details.get(judged.verifier_key, {}))
        failure = score.failure if score else None
        row[f"{judged.verifier_key}#failure"] = failure.kind.value if failure else ""
    return row
