"""Whether a choice transfers, in words and tables: the same for the page, Markdown and the terminal."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from reports.diversity import Diversity, Variety
from reports.formatting import UNDEFINED, difference_text, interval_text, number, percent
from reports.hacking import Comparison, Gap, Hacking, first_metrics
from reports.results import JudgedMetric
from reports.statistics import Estimate, Interval
from reports.summary import FEWEST_CLUSTERS
from reports.tables import Cell, Column, Table
from reports.transfer import Gain, Pair, Transfer
from tts_eval.types import Metric

DEVIATIONS = Metric(name="deviations", higher_is_better=True, worst=0.0)
"""Stands for a metric's own unit where gains are in deviations within a request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferSection:
    """The section of a report: sentences first, then what they rest on."""

    hacking: Hacking
    sentences: tuple[str, ...]
    tables: tuple[Table, ...]
    folded: tuple[Table, ...]
    """What only those read who want to know more."""


def transfer_section(hacking: Hacking, transfer: Transfer) -> TransferSection:
    """What a report says of one run: of the verifiers that chose, by the first metric of every held-out judge."""
    held_out = {comparison.held_out.key for comparison in hacking.comparisons}
    chose = [pair for pair in transfer.pairs if pair.chooser.selected_on and pair.judged.key in held_out]
    folded = [gaps_table(comparison) for comparison in hacking.comparisons]
    if hacking.diversity.candidates > 1:
        folded.append(variety_table(hacking.diversity))
    return TransferSection(
        hacking=hacking,
        sentences=(
            *([hacking.missing] if hacking.missing else []),
            *comparison_sentences(hacking.comparisons),
            *filter(None, [variety_sentence(hacking.diversity)]),
        ),
        tables=tuple(transfer_tables(transfer, chose)),
        folded=tuple(folded),
    )


def comparison_sentences(comparisons: Sequence[Comparison]) -> list[str]:
    """What was promised, what arrived by each judge that did not choose, and what that means."""
    sentences = []
    before = None
    for comparison in comparisons:
        first, last = comparison.gaps[0], comparison.gaps[-1]
        judged, unit = comparison.held_out, _unit(comparison)
        promise = ""
        if comparison.selecting != before:
            promise = (
                f"From one candidate to the best of {last.n}, {_by(comparison.selecting)}, which chose, "
                f"goes {_from_to(first.promised, last.promised, comparison.selecting.metric)}. "
            )
        gap = difference_text(last.gap, unit) + (" deviations" if comparison.in_deviations else "")
        within = f" {interval_text(last.gap_interval, unit)}" if last.gap_interval else ""
        sentences.append(
            f"{promise}By a judge that did not, {_by(judged)} goes "
            f"{_from_to(first.arrived, last.arrived, judged.metric)}. Gap between the two gains: {gap}{within}. "
            f"{_meaning(comparison)}{_peak(comparison)}"
        )
        before = comparison.selecting
    return sentences


def variety_sentence(diversity: Diversity) -> str:
    """How much variety is left, at the largest N that can be asked; "" where there is nothing to say of one clip."""
    parts = []
    if diversity.different is not None and diversity.different.value is not None:
        parts.append(
            f"A request's {diversity.candidates} candidates have {diversity.different.value:.1f} different transcripts "
            f"on average, as {diversity.heard_by} hears them."
        )
    asked = [variety for variety in diversity.by_n if _value(variety.differing) is not None]
    if asked and asked[-1].n > 1:
        parts.append(
            f"Two searches of {asked[-1].n} that share no candidate end in different words for "
            f"{percent(_value(asked[-1].differing))} of the requests, two single candidates for "
            f"{percent(_value(asked[0].differing))}."
        )
    measured = [variety for variety in diversity.by_n if _value(variety.spread) is not None]
    if measured and measured[-1].n > 1:
        parts.append(f"Their manner of speaking keeps {_share(measured[-1].spread)} of its variance.")
    if not parts and _value(diversity.by_n[0].pitch_range) is not None:
        pitch = diversity.by_n[0].pitch_range
        parts.append(f"The pitch of a chosen clip spans {_octaves(pitch)} octaves {_octave_bracket(pitch)}.")
    if parts or diversity.candidates < 2:
        return " ".join(parts)
    return "How varied the candidates are cannot be said: there is neither transcript nor audio."


def transfer_tables(transfer: Transfer, pairs: Sequence[Pair]) -> list[Table]:
    """One table for each judge: what choosing by each verifier would gain by it."""
    judges = list({pair.judged.key: pair.judged for pair in pairs}.values())
    # In 80 columns there is room for three numbers of candidates.
    roomy = (transfer.n, 2 * transfer.n, 4 * transfer.n)
    tables = []
    for judged in judges:
        oracle = transfer.oracles[judged.key]
        columns = (
            Column("Chosen by"),
            Column("Agreement", numeric=True),
            Column("Says", numeric=True),
            *(
                Column(f"N = {gain.n}{', ahead' if gain.is_beyond else ''}", numeric=True,
                       essential=gain.n in roomy, essential_detail=gain.n == transfer.n)
                for gain in oracle
            ),
            Column("Verdict"),
        )  # fmt: skip
        rows = [*(_pair_row(pair) for pair in pairs if pair.judged.key == judged.key), _oracle_row(judged, oracle)]
        caption = f"Gain in {judged.metric.name} by {judged.verifier_key}{_unit_words(judged.metric)}"
        tables.append(Table(caption, columns, tuple(rows), _transfer_notes(transfer.n) if judged is judges[-1] else ()))
    return tables


def first_metric_pairs(transfer: Transfer) -> list[Pair]:
    """The pairs that a terminal has room for: the first metric of every judge, against all verifiers."""
    keys = {judged.key for judged in first_metrics([pair.judged for pair in transfer.pairs])}
    return [pair for pair in transfer.pairs if pair.judged.key in keys]


def gaps_table(comparison: Comparison) -> Table:
    """Promise, arrival and gap at every N."""
    chose, judged, unit = comparison.selecting, comparison.held_out, _unit(comparison)

    def row(gap: Gap) -> tuple[Cell, ...]:
        return (
            Cell(str(gap.n)),
            Cell(number(gap.promised, chose.metric)),
            Cell(number(gap.arrived, judged.metric)),
            Cell(difference_text(gap.promised_gain, unit)),
            Cell(difference_text(gap.arrived_gain, unit), _bracket(gap.arrived_interval, unit)),
            Cell(difference_text(gap.gap, unit), _bracket(gap.gap_interval, unit)),
        )

    note = "Gains above 0 are improvements. "
    if comparison.in_deviations:
        note += "One deviation is how much a metric varies among the candidates of one request."
    else:
        note += "Gains and gap are in the unit of the metric."
    return Table(
        f"Promised by {_name(chose)}, arrived by {_name(judged)}",
        (
            Column("Best of"), Column(f"{_name(chose)}, selected on", numeric=True),
            Column(f"{_name(judged)}, HELD OUT", numeric=True), Column("Gain promised", numeric=True),
            Column("Gain arrived", numeric=True), Column("Gap", numeric=True),
        ),
        tuple(row(gap) for gap in comparison.gaps),
        (note,),
    )  # fmt: skip


def variety_table(diversity: Diversity) -> Table:
    """What is left of the variety at every N."""

    def row(variety: Variety) -> tuple[Cell, ...]:
        return (
            Cell(str(variety.n)),
            Cell(percent(_value(variety.differing)), _percent_bracket(variety.differing)),
            Cell(_share(variety.spread), _percent_bracket(variety.spread)),
            Cell(_octaves(variety.pitch_range), _octave_bracket(variety.pitch_range)),
        )

    measured = diversity.by_n[0].spread
    pitched = diversity.by_n[0].pitch_range
    counts = [
        f"{what} of {estimate.n} of {estimate.n_expected} requests"
        for what, estimate in (("Manner", measured), ("pitch", pitched))
        if estimate is not None
    ]
    return Table(
        "Variety of what is chosen",
        (
            Column("Best of"), Column("Different words", numeric=True), Column("Variance of manner", numeric=True),
            Column("Pitch range, octaves", numeric=True),
        ),
        tuple(row(variety) for variety in diversity.by_n),
        (
            "Different words, variance of manner: between the winners of two searches that share no candidate, so for "
            "N up to half the pool. Manner: 28 numbers of pitch, loudness, voice colour and rhythm; 100 % is that of "
            "the candidates. Pitch range: 10th to 90th percentile of the clearly voiced frames, over chosen clips that "
            "have such."
            + (f" {', '.join(counts)}." if counts else " No audio was measured."),
        ),
    )  # fmt: skip


def transfer_csv(transfer: Transfer) -> str:
    """All pairs, one line for each N."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(
        ["verifier", "judge", "tau_b", "tau_b_low", "tau_b_high", "n", "n_expected", "best_of", "gain", "straight",
         "low", "high", "beyond_the_pool"]
    )  # fmt: skip
    for pair in transfer.pairs:
        tau = pair.correlation
        for gain in pair.gains:
            cells = [tau.value, *(tau.interval or ("", "")), tau.n, tau.n_expected, gain.n, gain.value, gain.straight,
                     *(gain.interval or ("", "")), gain.is_beyond]  # fmt: skip
            writer.writerow([pair.chooser.key, pair.judged.key, *("" if cell is None else cell for cell in cells)])
    return buffer.getvalue()


def _pair_row(pair: Pair) -> tuple[Cell, ...]:
    tau = pair.correlation
    verifier, _, metric = pair.chooser.key.rpartition("#")
    tones: dict[str, Literal["better", "worse"]] = {"helps": "better", "harms": "worse"}
    return (
        Cell(metric, verifier),
        Cell(
            UNDEFINED if tau.value is None else _signed(tau.value),
            f"[{_signed(tau.interval.low)}, {_signed(tau.interval.high)}]" if tau.interval else "",
        ),
        Cell(f"{tau.n}/{tau.n_expected}"),
        *(_gain_cell(gain, pair.judged.metric) for gain in pair.gains),
        Cell(pair.verdict, tone=tones.get(pair.verdict, "")),
    )


def _oracle_row(judged: JudgedMetric, gains: Sequence[Gain]) -> tuple[Cell, ...]:
    return (
        Cell("the judge itself", "oracle"), Cell("+1.00"), Cell(""),
        *(_gain_cell(gain, judged.metric) for gain in gains), Cell(""),
    )  # fmt: skip


def _gain_cell(gain: Gain, metric: Metric) -> Cell:
    if gain.value is None or gain.straight is None:
        return Cell(UNDEFINED)
    ends = sorted({gain.value, gain.straight})
    return Cell(" to ".join(dict.fromkeys(_without_unit(end, metric) for end in ends)), _bracket(gain.interval, metric))


def _without_unit(value: float, metric: Metric) -> str:
    return difference_text(value, metric).partition(" ")[0]


def _unit_words(metric: Metric) -> str:
    return ", percentage points" if metric.is_rate else ", seconds" if metric.unit == "seconds" else ""


def _transfer_notes(n: int) -> tuple[str, ...]:
    return (
        "Gain over a single sample; above 0 is better. Agreement: Kendall's tau-b among the candidates of one request; "
        "at 1 the verifier prefers what the judge prefers, at 0 it knows nothing of what the judge hears. Says: on how "
        "many requests both tell candidates apart; the others tell nothing of agreement, and count as no gain. "
        f"Verdict: of the gain at N = {n}.",
        "Ahead: with more candidates than the run has, between no further change and the straight line on from the "
        "last doubling; a verifier that starts to mislead there is not foreseen. Of many verifiers the best looks a "
        f"little better than it is. Too few: fewer than {FEWEST_CLUSTERS} independent draws say anything.",
    )


def _meaning(comparison: Comparison) -> str:
    same = comparison.selecting.metric.name == comparison.held_out.metric.name
    between = comparison.gaps[-1].gap_interval
    flattered = (
        "; at least part of the promise pleased only the judge that chose" if between and between.low > 0 else ""
    )
    return {
        "arrives": "It helps, and no less than promised as far as this run can tell.",
        "arrives in part": "It helps, by less than promised.",
        "does not show": f"Whether it helps is not settled{flattered if same else ''}.",
        "hurts": "The choice made it worse" + (": the search exploits its verifier." if same else "."),
        "too few": f"{comparison.clusters} independent draws are too few to say how sure that is.",
        "n/a": "What that means cannot be said: a number is missing.",
    }[comparison.outcome]


def _peak(comparison: Comparison) -> str:
    """That fewer candidates were settled to help, and did more so: what over-optimisation looks like."""
    peak, unit = comparison.peak, _unit(comparison)
    is_settled = comparison.clusters >= FEWEST_CLUSTERS and peak.arrived_interval and peak.arrived_interval.low > 0
    if peak.n == comparison.gaps[-1].n or not is_settled:
        return ""
    return (
        f" The gain that arrived is largest at N = {peak.n}: {difference_text(peak.arrived_gain, unit)} "
        f"{interval_text(peak.arrived_interval, unit)}; "
        f"at N = {comparison.gaps[-1].n} it is {difference_text(comparison.gaps[-1].arrived_gain, unit)}."
    )


def _by(judged: JudgedMetric) -> str:
    return f"{judged.metric.name} by {judged.verifier_key}"


def _from_to(first: float | None, last: float | None, metric: Metric) -> str:
    return f"from {number(first, metric)} to {number(last, metric)}"


def _unit(comparison: Comparison) -> Metric:
    return DEVIATIONS if comparison.in_deviations else comparison.held_out.metric


def _name(judged: JudgedMetric) -> str:
    return f"{judged.metric.name} {judged.verifier_key}"


def _value(estimate: Estimate | None) -> float | None:
    return estimate.value if estimate is not None else None


def _share(estimate: Estimate | None) -> str:
    value = _value(estimate)
    return UNDEFINED if value is None else f"{100 * value:.0f} %"


def _octaves(estimate: Estimate | None) -> str:
    value = _value(estimate)
    return UNDEFINED if value is None else f"{value:.2f}"


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")


def _bracket(interval: Interval | None, metric: Metric) -> str:
    return interval_text(interval, metric) if interval is not None else ""


def _percent_bracket(estimate: Estimate | None) -> str:
    if estimate is None or estimate.interval is None:
        return ""
    return f"[{100 * estimate.interval.low:.0f}, {100 * estimate.interval.high:.0f}]"


def _octave_bracket(estimate: Estimate | None) -> str:
    if estimate is None or estimate.interval is None:
        return ""
    return f"[{estimate.interval.low:.2f}, {estimate.interval.high:.2f}]"
