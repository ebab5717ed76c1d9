"""results.parquet, and the same as results.csv: one tidy row per candidate, for pandas.

Columns: request_id, text, group, speaker, index, seed, chosen, rank, selection_score, dropped_at (stage of
a cascade that passed it over, from 1; 0 is none), finish, failure, failure_message, audio, audio_seconds,
tokens, generator_seconds, verifier_seconds; then for every verifier `SPEC#METRIC` (NaN where it could not
judge, or was not asked because the candidate was dropped), `SPEC#DETAIL` (e.g. the transcript) and
`SPEC#failure`. Only the columns in `MEASURED_TIME` differ between two runs of the same config.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reports.results import CandidateResult, JudgedMetric, RequestResult, RunResults
from tts_eval.files import write_atomically

if TYPE_CHECKING:
    import pandas

MEASURED_TIME = ("generator_seconds", "verifier_seconds")


def results_frame(results: RunResults) -> pandas.DataFrame:
    """One row per candidate, in the order of requests and indices."""
    import pandas

    rows = [
        _row(request, candidate, results.metrics) for request in results.requests for candidate in request.candidates
    ]
    return pandas.DataFrame(rows)


def write_frame(results: RunResults, path: Path) -> None:
    """Write the frame as parquet, and as CSV beside it, atomically."""
    frame = results_frame(results)
    write_atomically(path.with_suffix(".csv"), partial(frame.to_csv, index=False))
    write_atomically(path, partial(frame.to_parquet, index=False))


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
    for judged in metrics:
        score = candidate.scores.get(judged.verifier_key)
        row[judged.key] = score.values.get(judged.metric.name) if score else None
        if score:
            row |= {f"{judged.verifier_key}#{name}": text for name, text in score.details.items()}
        failure = score.failure if score else None
        row[f"{judged.verifier_key}#failure"] = failure.kind.value if failure else ""
    return row
