"""Everything that `tts-eval compare` writes: page, Markdown, JSON, and one row per request and metric."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import reports.comparison_tables as tables
from reports.clips import ScoreView, TranscriptView, failure_of, recognisers, scores_of, transcripts_of
from reports.comparison import Change, Comparison, Difference, Pairing
from reports.comparison_figure import DIFFERENCES, differences_csv, differences_figure
from reports.figure_style import write_figure
from reports.pools import clip_value
from reports.results import CandidateResult, RunResults
from reports.shelf import AudioMode, Shelf
from reports.sides import Side
from reports.statistics import Estimate, Interval
from reports.tables import escape_markdown, to_markdown
from reports.web_page import render_page
from tts_eval.files import write_atomically, write_text_atomically
from tts_eval.types import Failure

FILES = ("compare.html", "compare.md", "compare.json", "compare.parquet")


@dataclass(frozen=True, slots=True)
class ClipOfRun:
    """What one run chose for a request."""

    letter: str
    run: str
    path: str
    candidate: CandidateResult
    source: str
    """The clip as a `data:` URI."""
    problem: str
    """Why there is nothing to play."""
    failure: Failure | None
    transcripts: tuple[TranscriptView, ...]
    scores: tuple[ScoreView, ...]


@dataclass(frozen=True, slots=True)
class ChangeView:
    """One request that changed, with the clips of both sides."""

    change: Change
    difference: str
    tone: str
    clips: tuple[ClipOfRun, ...]


def write_comparison(
    comparison: Comparison, folders: Mapping[str, Path], out: Path, *, audio: AudioMode = "embed"
) -> dict[str, object]:
    """Write `FILES` and the figure of the differences into `out`; returns what the JSON says.

    Args:
        comparison: the numbers.
        folders: where each run is, by its name.
        out: folder to write, made if needed.
        audio: whether the page carries the clips of the requests that changed most, or none.

    Raises:
        StoreError: the folder cannot be written.
    """
    record = as_json(comparison, folders, str(out / FILES[0]))
    write_text_atomically(out / "compare.json", json.dumps(record, indent=2, allow_nan=False) + "\n")
    write_atomically(out / "compare.parquet", partial(_frame(comparison).to_parquet, index=False))
    write_figure(out, DIFFERENCES, differences_figure(comparison), differences_csv(comparison))
    write_text_atomically(out / "compare.md", render_markdown(comparison, folders))
    # Last: whoever finds the page finds all of it.
    write_text_atomically(out / "compare.html", render_html(comparison, folders, audio=audio))
    return record


def render_markdown(comparison: Comparison, folders: Mapping[str, Path]) -> str:
    """The whole comparison as Markdown."""
    paths = {name: str(folder) for name, folder in folders.items()}
    parts = [tables.settings_table(comparison), tables.coverage_table(comparison)]
    for pairing in comparison.pairings:
        parts += [tables.difference_table(pairing, comparison), tables.changes_table(pairing, comparison, paths)]
    parts += [tables.seeds_table(comparison), tables.scale_table(comparison)]
    title = f"# {escape_markdown(title_of(comparison))}"
    texts = [title, escape_markdown(tables.headline(comparison)), *(to_markdown(part) for part in parts if part)]
    return "\n\n".join(texts) + "\n"


def render_html(comparison: Comparison, folders: Mapping[str, Path], *, audio: AudioMode = "embed") -> str:
    """The whole comparison as one page that needs no other file."""
    shelves = {name: Shelf(folder, audio, folder) for name, folder in folders.items()}
    return render_page(
        "compare.html.j2",
        ("compare.js",),
        title=title_of(comparison),
        suite=str(comparison.aligned.runs[0].suite),
        headline=tables.headline(comparison),
        settings=tables.settings_table(comparison),
        coverage=tables.coverage_table(comparison),
        differences=[tables.difference_table(pairing, comparison) for pairing in comparison.pairings],
        seeds=tables.seeds_table(comparison),
        scale=tables.scale_table(comparison),
        metric=comparison.aligned.metrics[0].key,
        changed=[
            (pairing, [_change_view(comparison, pairing, change, folders, shelves) for change in pairing.changes])
            for pairing in comparison.pairings
        ],
        provenance=json.dumps(
            {run.name: run.run for run in comparison.aligned.runs}, indent=2, ensure_ascii=False, default=str
        ),
    )


def title_of(comparison: Comparison) -> str:
    """`B, C against A`."""
    return (
        f"{', '.join(pairing.side.name for pairing in comparison.pairings)} against {comparison.pairings[0].first.name}"
    )


def as_json(comparison: Comparison, folders: Mapping[str, Path], page: str) -> dict[str, object]:
    """The machine-readable comparison: only str, int, bool, finite float, None, list and dict."""
    aligned = comparison.aligned
    expected = len(aligned.runs[0].requests)
    paths = {name: str(folder) for name, folder in folders.items()}
    return {
        "suite": aligned.runs[0].suite,
        "n_expected": expected,
        "runs": {
            run.name: {
                "folder": paths[run.name],
                "n_scored": expected - len(comparison.unscored[run.name]),
                "unscored": list(comparison.unscored[run.name]),
                "missing": list(aligned.missing.get(run.name, ())),
            }
            for run in aligned.runs
        },
        "clusters": comparison.clusters,
        "cluster_unit": comparison.cluster_unit,
        "draws": comparison.draws,
        "interval": comparison.method,
        "left_out": list(aligned.left_out),
        "comparisons": [
            {
                "run": pairing.side.name,
                "against": pairing.first.name,
                "metrics": {one.metric.key: _difference_json(one) for one in pairing.differences},
                "most_changed": [_change_json(pairing, change, paths) for change in pairing.changes],
            }
            for pairing in comparison.pairings
        ],
        "seeds": [
            {"runs": list(row.names), "metric": row.metric.key, "values": list(row.values),
             "mean": _estimate_json(row.mean),
             "variance_within": row.spread.within if row.spread else None,
             "variance_between": row.spread.between if row.spread else None,
             "variance_of_runs": row.spread.run if row.spread else None}
            for row in comparison.seeds
        ],
        "scale": {
            scale.metric.key: {
                "ground_truth": _estimate_json(scale.truth),
                "codec_resynthesis": _estimate_json(scale.ceiling),
                "runs": {
                    name: {"n": n, "random": _estimate_json(one), "chosen": _estimate_json(two),
                           "oracle": _estimate_json(three)}
                    for name, n, one, two, three in scale.sides
                },
            }
            for scale in comparison.scales
        },
        "report": page,
    }  # fmt: skip


def _difference_json(one: Difference) -> dict[str, object]:
    return {
        "before": one.before,
        "after": one.after,
        "difference": one.estimate.value,
        "difference_ci": _interval_json(one.estimate.interval),
        "p": one.p,
        "p_holm": one.p_corrected,
        "detectable": one.detectable,
        "n": one.estimate.n,
        "n_expected": one.estimate.n_expected,
        "protocol": one.metric.metric.protocol,
        "judge": one.metric.judged[0].judge,
        "higher_is_better": one.metric.metric.higher_is_better,
        "selected_in": list(one.flattered),
        "not_there": one.not_there,
        "settled": one.is_settled,
        "better": one.is_better if one.is_settled else None,
    }


def _change_json(pairing: Pairing, change: Change, folders: Mapping[str, str]) -> dict[str, object]:
    return {
        "request": change.request.id,
        "before": tables.shown(change.before),
        "after": tables.shown(change.after),
        "difference": tables.shown(change.after - change.before),
        "audio_before": tables.audio_paths(pairing.first, change, folders),
        "audio_after": tables.audio_paths(pairing.side, change, folders),
    }


def _estimate_json(estimate: Estimate | None) -> dict[str, object] | None:
    if estimate is None:
        return None
    return {
        "value": estimate.value, "ci": _interval_json(estimate.interval), "n": estimate.n,
        "n_expected": estimate.n_expected,
    }  # fmt: skip


def _interval_json(interval: Interval | None) -> list[float] | None:
    return None if interval is None else [interval.low, interval.high]


def _change_view(
    comparison: Comparison, pairing: Pairing, change: Change, folders: Mapping[str, Path], shelves: Mapping[str, Shelf]
) -> ChangeView:
    cell = tables.change_cell(change, comparison.aligned.metrics[0].metric)
    sides: tuple[tuple[str, Side], ...] = (("A", pairing.first), ("B", pairing.side))
    clips = tuple(
        _clip(comparison, letter, run, place, change, folders[run.name], shelves[run.name])
        for letter, side in sides
        for run, place in zip(side.runs, side.places, strict=True)
    )
    return ChangeView(change, cell.text, cell.tone, clips)


def _clip(
    comparison: Comparison, letter: str, run: RunResults, place: int, change: Change, folder: Path, shelf: Shelf
) -> ClipOfRun:
    request = run.requests[change.row]
    chosen = request.chosen
    metrics = [metric.judged[place] for metric in comparison.aligned.metrics]
    shelf.stock([chosen.audio] if chosen.audio else [])
    sound = shelf.sound(chosen.audio)
    return ClipOfRun(
        letter,
        run.name,
        str(folder / chosen.audio) if chosen.audio else "",
        chosen,
        shelf.blocks[sound.block].uri if sound.block else "",
        sound.problem,
        failure_of(chosen),
        tuple(transcripts_of(request, chosen, recognisers(metrics))),
        scores_of(chosen, metrics),
    )


def _frame(comparison: Comparison) -> Any:
    """Tidy: one row per run, request and common metric of the chosen clips."""
    import pandas

    rows = [
        {
            "run": run.name,
            "request_id": request.id,
            "text": request.text,
            "group": request.group,
            "speaker": request.speaker,
            "metric": metric.key,
            "value": clip_value(request.chosen, metric.judged[place]),
            "selected_on": metric.judged[place].selected_on,
            "index": request.chosen.index,
            "seed": request.chosen.seed,
            "audio": request.chosen.audio or "",
        }
        for place, run in enumerate(comparison.aligned.runs)
        for request in run.requests
        for metric in comparison.aligned.metrics
    ]
    return pandas.DataFrame(rows).astype({"value": "float64"})
