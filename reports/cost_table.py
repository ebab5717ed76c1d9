"""The table of what a run cost: candidates, audio, seconds by part, tokens and FLOPs."""

from __future__ import annotations

from reports.budget_use import BudgetUse
from reports.formatting import UNDEFINED, seconds_text
from reports.summary import Summary
from reports.tables import Cell, Column, Table, role_of


def cost_table(summary: Summary) -> Table:
    """What the run cost, in all and per second of delivered audio."""
    cost, delivered = summary.cost.total, summary.cost.delivered_seconds
    roles = {metric.judged.verifier_key: f", {role_of(metric.judged).text}" for metric in summary.metrics}
    rows = [
        ("Candidates", f"{summary.coverage.candidates:,}", ""),
        ("Audio delivered", seconds_text(delivered), ""),
        ("Audio made", seconds_text(cost.audio_seconds), _per(cost.audio_seconds, delivered)),
        ("Synthesizer time", seconds_text(cost.generator_seconds), _per(cost.generator_seconds, delivered)),
        ("Verifier time", seconds_text(cost.verifier_seconds), _per(cost.verifier_seconds, delivered)),
        *((f"of which {name}{roles.get(name, '')}", seconds_text(seconds), _per(seconds, delivered))
          for name, seconds in summary.cost.judging_seconds.items()),
        *([("Verifier time that the cascade spared, estimated", seconds_text(cost.spared_seconds), ""),
           ("Clips it did not show to a verifier", f"{cost.spared_calls:,}", "")] if cost.spared_calls else []),
        *([("Attempts that were made again", f"{cost.retries:,}", "")] if cost.retries else []),
        ("Tokens sampled", f"{cost.tokens:,}" if cost.tokens else UNDEFINED, ""),
        ("Model FLOPs", f"{cost.flops:.3g}" if cost.flops is not None else UNDEFINED, ""),
        *(_budget_rows(summary.cost.budget) if summary.cost.budget else []),
    ]  # fmt: skip
    return Table(
        "Cost",
        (Column("What"), Column("Total", numeric=True), Column("Per second delivered", numeric=True)),
        tuple(tuple(Cell(text) for text in row) for row in rows),
    )


def _budget_rows(use: BudgetUse) -> list[tuple[str, str, str]]:
    unfinished = f" searched; {use.expected:,} expected" if use.requests < use.expected else ""
    return [
        ("Budget of a request", use.budget, ""),
        ("Spent of it by the median request", f"{100 * use.median:.0f} %", ""),
        ("Spent of it by the costliest", f"{100 * use.largest:.0f} %", ""),
        ("Requests whose last step went over it", f"{use.over:,} of {use.requests:,}{unfinished}", ""),
    ]


def _per(value: float, delivered: float) -> str:
    return f"{value / delivered:.2f}" if delivered > 0 else UNDEFINED
