"""The report as one HTML file that needs no other: numbers first, then every request, worst first.

The page carries its style, scripts, figures and audio; its content security policy lets nothing else
in and runs no script but its own. Tables and figures need no script. The requests lie in it as inert
JSON and are shown ten at a time (see `reports.request_data`), so that a page of a thousand requests
opens at once.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

from reports.banners import banners
from reports.cost_table import cost_table
from reports.distribution_figure import distributions, distributions_svg
from reports.figures import panels_svg
from reports.players import MIME, Encoded
from reports.provenance_tables import provenance_tables
from reports.replication import load_published
from reports.request_data import inert_json, request_data
from reports.results import RunResults
from reports.scale_table import scale_table
from reports.scaling_figure import scaling_rows, scaling_svg
from reports.search_cost import cost_of_k
from reports.shelf import Shelf
from reports.speaker_table import speakers_table
from reports.summary import Summary
from reports.tables import coverage_table, curve_table, groups_table, headline, metrics_table
from reports.transfer_figure import promise_svg
from reports.transfer_tables import TransferSection
from reports.web_page import REPORT_SCRIPTS, page_pieces


def render_html(results: RunResults, summary: Summary, shelf: Shelf, section: TransferSection, run: Path) -> str:
    """The whole page as text; see `html_pieces`."""
    return "".join(html_pieces(results, summary, shelf, section, run))


def html_pieces(
    results: RunResults, summary: Summary, shelf: Shelf, section: TransferSection, run: Path
) -> Iterator[str]:
    """The page as text, piece by piece: with thousands of requests it is larger than all that it is made from.

    Args:
        results: the run.
        summary: its numbers.
        shelf: where the players get their sound from; it is stocked here.
        section: whether the choice transfers.
        run: the run's folder.
    """
    from markupsafe import Markup

    with tempfile.TemporaryFile("w+", encoding="utf-8", newline="\n") as spool:
        data = request_data(results, shelf, str(run), spool)
        yield from page_pieces(
            "report.html.j2",
            REPORT_SCRIPTS,
            summary=summary,
            banners=banners(results, shelf, run),
            headline=headline(summary),
            metrics=metrics_table(summary),
            scale=scale_table(summary),
            coverage=coverage_table(summary),
            groups=groups_table(summary),
            speakers=speakers_table(results),
            distributions=[Markup(svg) for svg in distributions_svg(distributions(results))],
            curve=curve_table(summary),
            cost=cost_table(summary),
            panels=[Markup(svg) for svg in panels_svg(summary)] if summary.n > 1 else [],
            scaling=[Markup(svg) for svg in scaling_svg(scaling_rows(summary, load_published()), cost_of_k(results))],
            transfer=section,
            promise=[Markup(svg) for svg in promise_svg(section.hacking)],
            group_names=sorted({request.group for request in results.requests} - {""}),
            failure_names=sorted({name for entry in data.index["requests"] for name in entry[6]}),
            index=data.index,
            index_json=Markup(inert_json(data.index)),
            chunks=map(Markup, data.chunks),
            blocks=((name, Markup(block_markup(clip))) for name, clip in shelf.blocks.items()),
            origin=provenance_tables(results.run),
            provenance=json.dumps(results.run, indent=2, ensure_ascii=False, default=str),
        )


def block_markup(clip: Encoded) -> str:
    """What an inert block of the page holds for a clip that its script plays."""
    return inert_json({"mime": MIME, "base64": clip.base64})
