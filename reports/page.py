"""Everything under `RUN/report`, made again from the run at any time."""

from __future__ import annotations

import json
from pathlib import Path

from reports.distribution_figure import DISTRIBUTION, distribution_csv, distribution_figure, distributions
from reports.figure_style import write_figure
from reports.figures import BEST_AT_K, best_at_k_figure, curve_csv
from reports.hacking import hacking_of
from reports.html import html_pieces
from reports.latex import latex_document, latex_tables
from reports.manner import manner_of
from reports.markdown import render_markdown
from reports.replication import load_published
from reports.results import RunResults
from reports.scaling_figure import SCALING, scaling_csv, scaling_figure, scaling_rows
from reports.search_cost import cost_of_k
from reports.shelf import AudioMode, Shelf
from reports.summary import Summary, summarise
from reports.transfer import transfer_of
from reports.transfer_figure import PROMISE, promise_csv, promise_figure
from reports.transfer_tables import TransferSection, transfer_csv, transfer_section
from tts_eval.files import write_pieces_atomically, write_text_atomically

FOLDER = "report"


def write_report(
    results: RunResults, run_dir: Path, *, audio: AudioMode = "embed", audio_dir: str = "", seed: int = 0
) -> Summary:
    """Write page, Markdown, LaTeX, summary.json, transfer.json and figures with their data; returns what they say.

    Args:
        results: the run.
        run_dir: its directory; everything goes to `run_dir/report`.
        audio: where the page's players get their sound from.
        audio_dir: folder inside `report` that gets every clip, instead of the page; "" for none.
        seed: decides the resampling behind every interval.

    Raises:
        DataError: there are no requests, or their pools differ in size.
        StoreError: the folder cannot be written.
    """
    folder = run_dir / FOLDER
    page = folder / "report.html"
    summary = summarise(results, seed, str(page))
    figures = []
    if summary.metrics and summary.n > 1:
        write_figure(folder, BEST_AT_K, best_at_k_figure(summary), curve_csv(summary))
        figures.append(BEST_AT_K)
    if spread := distributions(results):
        write_figure(folder, DISTRIBUTION, distribution_figure(spread), distribution_csv(spread))
        figures.append(DISTRIBUTION)
    rows = scaling_rows(summary, load_published())
    if rows:
        cost = cost_of_k(results)
        write_figure(folder, SCALING, scaling_figure(rows, cost), scaling_csv(rows, cost))
        figures.append(SCALING)
    write_text_atomically(folder / "summary.json", json.dumps(summary.as_json(), indent=2, allow_nan=False) + "\n")
    section = _write_transfer(results, run_dir, seed)
    if section.hacking.comparisons:
        figures.append(PROMISE)
    images = [f"{name}.png" if name in figures else None for name in (BEST_AT_K, SCALING)]
    write_text_atomically(folder / "report.md", render_markdown(summary, images[0], section, images[1]))
    write_text_atomically(folder / "tables.tex", latex_tables(summary, section))
    # By name: other PDFs in there are of earlier reports, or what somebody has made of report.tex.
    document = latex_document(summary, [f"{name}.pdf" for name in sorted(figures)])
    write_text_atomically(folder / "report.tex", document)
    # Last: whoever finds the page finds all of it.
    shelf = Shelf(run_dir, audio, folder, beside=folder / audio_dir if audio_dir else None)
    write_pieces_atomically(page, html_pieces(results, summary, shelf, section, run_dir))
    return summary


def _write_transfer(results: RunResults, run_dir: Path, seed: int) -> TransferSection:
    folder = run_dir / FOLDER
    hacking = hacking_of(results, manner_of(results, run_dir), seed)
    transfer = transfer_of(results, seed)
    if hacking.comparisons:
        write_figure(folder, PROMISE, promise_figure(hacking), promise_csv(hacking))
    if transfer.pairs:
        write_text_atomically(folder / "transfer.csv", transfer_csv(transfer))
    write_text_atomically(
        folder / "transfer.json",
        json.dumps({"hacking": hacking.as_json(), "transfer": transfer.as_json()}, indent=2, allow_nan=False) + "\n",
    )
    return transfer_section(hacking, transfer)
