"""The report as Markdown, for pull requests and logs: the same tables, and a link to the figure."""

from __future__ import annotations

from reports.cost_table import cost_table
from reports.scale_table import scale_table
from reports.summary import Summary
from reports.tables import (
    coverage_table,
    curve_table,
    escape_markdown,
    groups_table,
    headline,
    metrics_table,
    to_markdown,
)
from reports.transfer_figure import PROMISE
from reports.transfer_tables import TransferSection


def render_markdown(summary: Summary, figure: str | None, section: TransferSection, scaling: str | None = None) -> str:
    """The whole report.

    Args:
        summary: the run's numbers.
        figure: path of the best@k image relative to the report; None where there is none.
        section: whether the choice transfers.
        scaling: path of the scaling image, in the same way.
    """
    title = f"# {escape_markdown(summary.run)}"
    facts = (
        f"Suite {summary.suite}; synthesizer {summary.synthesizer}; "
        f"strategy {summary.strategy}; {summary.n} candidate{'s' if summary.n > 1 else ''} of each request."
    )
    image = (
        [f"## best@k curves\n\n![Expected metric of the best of k candidates, for every k]({figure})"] if figure else []
    )
    if scaling:
        image.append(
            "## Scaling\n\n![Each metric over the number of candidates and over their cost, "
            f"by held-out and selecting judges]({scaling})"
        )
    tables = [coverage_table(summary), metrics_table(summary), scale_table(summary), groups_table(summary)]
    closing = [curve_table(summary), cost_table(summary)]
    parts = [
        title,
        escape_markdown(headline(summary)),
        escape_markdown(facts),
        *map(escape_markdown, summary.limits),
        *(to_markdown(table) for table in tables if table is not None),
        *image,
        *_transfer(section),
        *(to_markdown(table) for table in closing if table is not None),
    ]
    return "\n\n".join(parts) + "\n"


def _transfer(section: TransferSection) -> list[str]:
    words = "\n\n".join(escape_markdown(sentence) for sentence in section.sentences)
    image = (
        [f"![Gain promised by the judge that chose beside gain arrived by the held-out judge]({PROMISE}.png)"]
        if section.hacking.comparisons
        else []
    )
    return [f"## Does it transfer?\n\n{words}", *image, *map(to_markdown, (*section.tables, *section.folded))]
