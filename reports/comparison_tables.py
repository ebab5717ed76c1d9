"""The tables of a comparison, once: terminal, Markdown and HTML show these same cells."""

from __future__ import annotations

import math
from collections.abc import Mapping

from reports.comparison import Change, Comparison, Difference, Pairing, Scale, SeedRow
from reports.detectable import ALPHA
from reports.formatting import UNDEFINED, difference_text, interval_text, number
from reports.pools import clip_value
from reports.results import JudgedMetric, RunResults
from reports.sides import Side, not_there
from reports.statistics import Estimate
from reports.summary import FEWEST_CLUSTERS
from reports.tables import HELD_OUT, Cell, Column, Table, direction_text
from tts_eval.types import Metric

METHOD_TEXT = {
    "expanded": "expanded percentile bootstrap",
    "percentile": "percentile bootstrap",
    "bca": "BCa bootstrap",
}
NAMED = 10
"""Missing requests that are named; the others are counted."""


def settings_table(comparison: Comparison) -> Table | None:
    """Settings in which the runs differ; None where they differ in nothing that is recorded."""
    runs = comparison.aligned.runs
    found = [{"synthesizer": run.synthesizer, **_config(run)} for run in runs]
    names = [name for name in dict.fromkeys(key for one in found for key in one) if _differs(found, name)]
    if not names:
        return None
    rows = tuple((Cell(name), *(Cell(_setting(one.get(name, UNDEFINED))) for one in found)) for name in names)
    return Table("What differs", (Column("Setting"), *(Column(run.name) for run in runs)), rows)


def _setting(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def coverage_table(comparison: Comparison) -> Table:
    """What each run has numbers for."""
    aligned = comparison.aligned
    expected = len(aligned.runs[0].requests)
    rows = tuple(
        (Cell(run), Cell(f"{expected - len(ids)} of {expected}"), Cell(_named(ids)))
        for run, ids in comparison.unscored.items()
    )  # fmt: skip
    columns = (Column("Run"), Column("Scored", numeric=True), Column("Missing or without a number"))
    notes = ["What is missing or could not be judged stays in every number, with the metric's worst value."]
    if aligned.left_out:
        notes.append(f"Not in every run, hence left out: {', '.join(aligned.left_out)}.")
    return Table("Coverage", columns, rows, tuple(notes))


def difference_table(pairing: Pairing, comparison: Comparison) -> Table:
    """One row per metric: both sides, their difference, how sure it is."""
    columns = (
        Column("Metric"), Column("Protocol, judge", essential=False), Column("Role"),
        Column("A", numeric=True), Column("B", numeric=True), Column("B − A", numeric=True),
        Column("p", numeric=True), Column("Verdict"), Column("Detectable", numeric=True, essential=False),
        Column("Scored", numeric=True),
    )  # fmt: skip
    return Table(
        f"A: {pairing.first.name}; B: {pairing.side.name}",
        columns,
        tuple(_row(one) for one in pairing.differences),
        _notes(comparison),
    )


def _row(one: Difference) -> tuple[Cell, ...]:
    metric, estimate = one.metric.metric, one.estimate
    interval = interval_text(estimate.interval, metric)
    role = f"selected in {', '.join(one.flattered)}"
    return (
        Cell(metric.name, f"{one.metric.judged[0].verifier_key}\n{direction_text(metric)}"),
        Cell(metric.protocol or "no protocol", one.metric.judged[0].judge),
        Cell(role, "", "selected-on") if one.flattered else Cell(HELD_OUT, "", "held-out"),
        Cell(number(one.before, metric)),
        Cell(number(one.after, metric)),
        Cell(difference_text(estimate.value, metric), "" if interval == UNDEFINED else interval),
        Cell(p_text(one.p), "" if one.p_corrected is None else f"Holm {p_text(one.p_corrected)}"),
        verdict(one),
        Cell(UNDEFINED if one.detectable is None else difference_text(one.detectable, metric).replace("+", "± ")),
        Cell(f"{estimate.n}/{estimate.n_expected}"),
    )


def verdict(one: Difference) -> Cell:
    """Whether B is better than A, in a word; none where that is not settled."""
    if one.not_there:
        return Cell("incomplete")
    if one.is_settled is None:
        few = one.estimate.value is not None and one.clusters < FEWEST_CLUSTERS
        return Cell("too few" if few else UNDEFINED)
    if not one.is_settled:
        return Cell("unsettled")
    return Cell("B better", tone="better") if one.is_better else Cell("B worse", tone="worse")


def p_text(p: float | None) -> str:
    """A p-value as people read it."""
    return UNDEFINED if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"


def headline(comparison: Comparison) -> str:
    """The result as one sentence per comparison, by the first metric that no choice was made with."""
    expected = len(comparison.aligned.runs[0].requests)
    lacking = [
        f"{run.name} has no number{_by(comparison, run)} for {len(ids)} of {expected} requests, which count as worst"
        f"{_not_there(comparison, run)}."
        for run in comparison.aligned.runs
        if (ids := comparison.unscored[run.name])
    ]
    return " ".join([*lacking, *(_sentence(pairing, comparison) for pairing in comparison.pairings)])


def _by(comparison: Comparison, run: RunResults) -> str:
    """Which judges gave the run's choice no number somewhere, unless all did so."""
    judged = _judged(comparison, run)
    lacking = {one.verifier_key: None for one in judged if any(clip_value(r.chosen, one) is None for r in run.requests)}
    return "" if len(lacking) == len({one.verifier_key for one in judged}) else f" by {' or '.join(lacking)}"


def _not_there(comparison: Comparison, run: RunResults) -> str:
    missing = len(not_there(run, dict.fromkeys(one.verifier_key for one in _judged(comparison, run))))
    return f" ({missing} were not made or not heard: is the run finished?)" if missing else ""


def _judged(comparison: Comparison, run: RunResults) -> list[JudgedMetric]:
    place = comparison.aligned.runs.index(run)
    return [metric.judged[place] for metric in comparison.aligned.metrics]


def _sentence(pairing: Pairing, comparison: Comparison) -> str:
    one = pairing.differences[0]
    metric = one.metric.metric
    by = f"{metric.name} by {one.metric.judged[0].verifier_key}" + (" (which selected)" if one.flattered else "")
    change = difference_text(one.estimate.value, metric)
    if one.estimate.interval is not None:
        change += f", 95 % interval {interval_text(one.estimate.interval, metric)}"
    conclusion = {
        "B better": "better.",
        "B worse": "worse.",
        "unsettled": "unsettled" + (
            f": with {comparison.clusters} to draw from, a difference under "
            f"{difference_text(one.detectable, metric).removeprefix('+')} is likely to stay so."
            if one.detectable is not None else "."
        ),
        "incomplete": f"no verdict while {one.not_there} of {one.estimate.n_expected} are not made or not heard.",
        "too few": f"{one.clusters} independent draws are too few to say how sure that is.",
    }.get(verdict(one).text, "how sure that is cannot be said.")  # fmt: skip
    return (
        f"{pairing.side.name} against {pairing.first.name}: {by} is {number(one.after, metric)} against "
        f"{number(one.before, metric)} ({change}; {direction_text(metric)}): {conclusion}"
    )


def _notes(comparison: Comparison) -> tuple[str, ...]:
    unit = comparison.cluster_unit
    tests = sum(one.p is not None for pairing in comparison.pairings for one in pairing.differences)
    notes = [
        f"Brackets: 95 % {METHOD_TEXT[comparison.method]} over {comparison.clusters} "
        f"{unit}{'s' if comparison.clusters != 1 else ''}, {comparison.draws:,} draws, paired. p: sign-flip test over "
        f"the same, and corrected (Holm) for {tests} tests. Better or worse: the interval excludes 0 and the "
        f"corrected p is at most {ALPHA:g}; too few: fewer than {FEWEST_CLUSTERS} to draw from; "
        "incomplete: a run has not made, or a judge not heard, some requests.",
        "Detectable: the least difference that as many requests show four times of five.",
    ]
    if any(one.flattered for pairing in comparison.pairings for one in pairing.differences):
        notes.append(
            "A judge that a run selected with flatters that run: believe the "
            f"{HELD_OUT} rows, in which no run's choice had a part."
        )
    return tuple(notes)


def changes_table(pairing: Pairing, comparison: Comparison, folders: Mapping[str, str]) -> Table | None:
    """The requests that changed most, with where to hear them; None where none did."""
    if not pairing.changes:
        return None
    metric = comparison.aligned.metrics[0]
    columns = (
        Column("Request"), Column("A", numeric=True), Column("B", numeric=True), Column("B − A", numeric=True),
        Column("Audio of A", essential=False), Column("Audio of B", essential=False),
    )  # fmt: skip
    rows = tuple(
        (
            Cell(change.request.id, change.request.text),
            Cell(number(shown(change.before), metric.metric)),
            Cell(number(shown(change.after), metric.metric)),
            change_cell(change, metric.metric),
            Cell("\n".join(audio_paths(pairing.first, change, folders)) or UNDEFINED),
            Cell("\n".join(audio_paths(pairing.side, change, folders)) or UNDEFINED),
        )
        for change in pairing.changes
    )
    caption = f"Changed most by {metric.key}: {pairing.side.name} against {pairing.first.name}"
    return Table(caption, columns, rows)


def audio_paths(side: Side, change: Change, folders: Mapping[str, str]) -> list[str]:
    """Where each run of a side keeps the chosen clip of a request."""
    chosen = [(run.name, run.requests[change.row].chosen.audio) for run in side.runs]
    return [f"{folders[name]}/{audio}" for name, audio in chosen if audio]


def change_cell(change: Change, metric: Metric) -> Cell:
    """How one request changed."""
    value = change.after - change.before
    is_better = value > 0 if metric.higher_is_better else value < 0
    return Cell(difference_text(shown(value), metric), tone="better" if is_better else "worse")


def scale_table(comparison: Comparison) -> Table:
    """What the numbers lie between: recordings, the codec's resynthesis, one at random, and the best there was."""
    sides = comparison.scales[0].sides
    has_truth = any(scale.truth for scale in comparison.scales)
    has_ceiling = any(scale.ceiling for scale in comparison.scales)
    columns = (
        Column("Metric"), Column("Side"), *([Column("Truth", numeric=True)] if has_truth else []),
        *([Column("Resynthesis", numeric=True)] if has_ceiling else []),
        Column("One at random", numeric=True), Column("Chosen", numeric=True), Column("Oracle", numeric=True),
        Column("Scored", numeric=True),
    )  # fmt: skip
    rows = tuple(
        _scale_row(scale, place, has_truth, has_ceiling) for scale in comparison.scales for place in range(len(sides))
    )
    notes = [
        "One at random: expected value of one of the N candidates. Oracle: the best of them by that very metric. "
        "Neither is known of a run that keeps one candidate."
    ]
    if has_truth:
        notes.append("Truth: the recordings that the suite brings along, by the same judges.")
    if has_ceiling:
        notes.append("Resynthesis: the recordings through the codec, which bounds what a model behind it can say.")
    return Table("Scale", columns, rows, tuple(notes))


def _scale_row(scale: Scale, place: int, has_truth: bool, has_ceiling: bool) -> tuple[Cell, ...]:
    metric = scale.metric.metric
    name, n, random, chosen, oracle = scale.sides[place]
    return (
        Cell(metric.name, scale.metric.judged[0].verifier_key),
        Cell(name, f"N = {n}"),
        *([_not_a_side(scale.truth, metric)] if has_truth else []),
        *([_not_a_side(scale.ceiling, metric)] if has_ceiling else []),
        _cell(random if n > 1 else None, metric), _cell(chosen, metric), _cell(oracle if n > 1 else None, metric),
        Cell(f"{chosen.n}/{chosen.n_expected}"),
    )  # fmt: skip


def seeds_table(comparison: Comparison) -> Table | None:
    """Runs that differ in their seed alone: mean, and how much is luck; None where there are none."""
    if not comparison.seeds:
        return None
    columns = (
        Column("Metric"), Column("Runs", essential=False), Column("Mean over seeds", numeric=True),
        Column("Each", numeric=True),
        Column("Between runs", numeric=True), Column("Between seeds of a request", numeric=True, essential=False),
        Column("Between requests", numeric=True, essential=False), Column("Luck", numeric=True),
        Column("Scored", numeric=True),
    )  # fmt: skip
    return Table(
        "Over seeds", columns, tuple(_seed_cells(row) for row in comparison.seeds),
        ("Standard deviations. Luck: share of the variance of one request's value that the seed decides; more seeds "
         "make it count less, only more requests do so for the rest.",),
    )  # fmt: skip


def _seed_cells(row: SeedRow) -> tuple[Cell, ...]:
    metric, spread = row.metric.metric, row.spread
    deviations = (
        [number(math.sqrt(value), metric) for value in (spread.run, spread.within, spread.between)]
        if spread
        else [UNDEFINED] * 3
    )
    share = spread.share_within if spread else None
    return (
        Cell(metric.name, row.metric.judged[0].verifier_key),
        Cell(", ".join(row.names)),
        _cell(row.mean, metric),
        Cell("\n".join(number(value, metric) for value in row.values)),
        *(Cell(text) for text in deviations),
        Cell(UNDEFINED if share is None else f"{100 * share:.0f} %"),
        Cell(f"{row.mean.n}/{row.mean.n_expected}"),
    )


def _cell(estimate: Estimate | None, metric: Metric) -> Cell:
    if estimate is None or estimate.value is None:
        return Cell(UNDEFINED)
    interval = interval_text(estimate.interval, metric, signed=False)
    return Cell(number(estimate.value, metric), "" if interval == UNDEFINED else interval)


def _not_a_side(estimate: Estimate | None, metric: Metric) -> Cell:
    """A number with what it rests on where that is not everything: the column Scored is about the sides."""
    if estimate is None or not estimate.n:
        return Cell(UNDEFINED)
    cell, is_whole = _cell(estimate, metric), estimate.n == estimate.n_expected
    return cell if is_whole else Cell(f"{cell.text} ({estimate.n}/{estimate.n_expected})", cell.detail)


def _config(run: RunResults) -> dict[str, object]:
    config = run.run.get("config")
    return dict(config) if isinstance(config, Mapping) else {}


def _differs(found: list[dict[str, object]], name: str) -> bool:
    return any(one.get(name) != found[0].get(name) for one in found)


def _named(ids: tuple[str, ...]) -> str:
    if not ids:
        return "none"
    more = f" and {len(ids) - NAMED} more" if len(ids) > NAMED else ""
    return f"{len(ids)}: {', '.join(ids[:NAMED])}{more}"


def shown(value: float) -> float | None:
    """The value; None where it is infinite, as the price of a failure may be."""
    return value if math.isfinite(value) else None
