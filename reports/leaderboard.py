"""Runs ranked, as far as they can be: by one held-out judge, over the same requests.

Runs stand in one group where they were asked the same requests and have a judge in common (same weights, mode and
text protocol) that took part in nobody's choice; the group is ranked by its metric. What cannot be ranked with the
others has a group of its own, with the reason. A run that is still going is shown, not ranked: its missing
candidates count as worst. What cannot be read is named with what is wrong.

Differences to the first of a group are paired: all runs of a group are seen through the same resampling of
requests (or speakers). They are not corrected for their number; `tts-eval compare` tests two runs.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

from reports.run_line import Identity, Judgement, RunLine, in_order, read_line
from reports.statistics import Bootstrap, Estimate, Sums
from reports.summary import FEWEST_CLUSTERS
from tts_eval.errors import TTSEvalError
from tts_eval.types import Metric

Standing: TypeAlias = Literal["first", "worse", "not told apart", "too few", "not ranked"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """One metric of one run."""

    judgement: Judgement
    estimate: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One run in its group."""

    place: int | None
    """From 1; equal values share one. None where it is not ranked."""
    line: RunLine
    values: Mapping[Identity, Value]
    to_first: Estimate | None
    """Difference of the ranking metric to the first; None for the first itself and where there is no ranking."""
    standing: Standing
    note: str = ""
    """Why it is not ranked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Runs that can be compared with each other."""

    suite: str
    ranked_by: Judgement | None
    """As the first run has it; None where no judge was held out."""
    identities: tuple[Identity, ...]
    """What the columns are, the ranking metric first."""
    rows: tuple[Row, ...]
    reason: str
    """Why these runs are not among those of an earlier group; "" for the first."""
    clusters: int
    cluster_unit: str

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The definitions of the columns."""
        first = {
            name: value.judgement.judged.metric for row in reversed(self.rows) for name, value in row.values.items()
        }
        return tuple(first[identity] for identity in self.identities)


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaderboard:
    """All of it."""

    groups: tuple[Group, ...]
    unreadable: tuple[tuple[str, str], ...] = ()
    """Name and what is wrong."""


def read_leaderboard(folders: Sequence[Path], seed: int = 0) -> Leaderboard:
    """The runs in these folders; one that cannot be read is in `unreadable`."""
    names = names_of(folders)
    lines, unreadable = [], []
    for folder in dict.fromkeys(folders):
        try:
            lines.append(replace(read_line(folder), name=names[folder]))
        except TTSEvalError as error:
            unreadable.append((names[folder], str(error)))
    return Leaderboard(groups=groups_of(lines, seed), unreadable=tuple(unreadable))


def names_of(folders: Sequence[Path]) -> dict[Path, str]:
    """The folders' own names; of those that share one, the whole path."""
    own = {folder: folder.resolve().name for folder in folders}
    counts = Counter(own.values())
    return {folder: name if counts[name] == 1 else str(folder) for folder, name in own.items()}


def groups_of(lines: Sequence[RunLine], seed: int = 0) -> tuple[Group, ...]:
    """The lines in groups, suites together, larger groups first."""
    by_requests: dict[tuple[str, str], list[RunLine]] = {}
    for line in lines:
        by_requests.setdefault((line.suite_name, line.requests_digest), []).append(line)
    sizes = Counter(line.suite_name for line in lines)

    def importance(key: tuple[str, str]) -> tuple[int, str, int, int, str]:
        name, digest = key
        members = by_requests[key]
        return -sizes[name], name, -len(members), -len(members[0].request_ids), digest

    groups: list[Group] = []
    for key in sorted(by_requests, key=importance):
        left = by_requests[key]
        while left:
            identity = _ranking(left)
            members = [line for line in left if _is_held_out(line, identity)] if identity else left
            left = [line for line in left if line not in members]
            groups.append(_group(members, identity, _reason(members[0], groups), seed))
    return tuple(groups)


def _ranking(lines: Sequence[RunLine]) -> Identity | None:
    """What most of the runs have been judged by without having chosen by it; error rates before others."""
    held_out = [one for line in lines for one in line.judgements.values() if not one.judged.selected_on]
    counts = Counter(one.identity for one in held_out)
    order = sorted(held_out, key=lambda one: (-counts[one.identity], one.judged.metric.unit != "error-rate"))
    return order[0].identity if order else None


def _is_held_out(line: RunLine, identity: Identity) -> bool:
    found = line.judgements.get(identity)
    return found is not None and not found.judged.selected_on


def _reason(line: RunLine, before: Sequence[Group]) -> str:
    if not before:
        return ""
    suite = line.suite_name
    same_suite = [group for group in before if group.rows[0].line.suite_name == suite]
    if not same_suite:
        return f"Another suite, {suite}: its numbers cannot be ranked with those of other suites."
    same = [group for group in same_suite if group.rows[0].line.requests_digest == line.requests_digest]
    if not same:
        part = line.suite.partition(", ")[2]
        here = f"{len(line.request_ids)} here" + (f" ({part})" if part else "")
        return f"Other requests of {suite} than above, {here}, or other texts or prompts under the same names."
    judges = ", ".join(
        f"{one.judged.metric.name} by {one.judged.judge} ({one.judged.metric.protocol or 'no protocol'})"
        for one in (group.ranked_by for group in same) if one
    )  # fmt: skip
    return (
        f"Other judges or protocols: these runs were not judged by {judges}, or chose by it. "
        "'tts-eval score RUN --judge JUDGE' adds a judge."
    )


def _group(lines: Sequence[RunLine], identity: Identity | None, reason: str, seed: int) -> Group:
    first = lines[0]
    bootstrap = Bootstrap(first.clusters, np.random.default_rng([seed, 0]))
    identities = list(dict.fromkeys(name for line in lines for name in line.judgements))
    if identity:
        identities.sort(key=lambda name: name != identity)
    sums = {
        (place, name): in_order(one.sums, line.request_ids, first.request_ids)
        for place, line in enumerate(lines)
        for name, one in line.judgements.items()
    }
    values = [
        {
            name: Value(judgement=one, estimate=_estimate(sums[place, name], one.n, bootstrap))
            for name, one in line.judgements.items()
        }
        for place, line in enumerate(lines)
    ]
    order = _order(lines, values, identity)
    rows: list[Row] = []
    for place in order:
        line = lines[place]
        if identity is None or not line.is_finished:
            note = line.what_is_missing or "No judge was held out, so every number flatters the search."
            rows.append(
                Row(place=None, line=line, values=values[place], to_first=None, standing="not ranked", note=note)
            )
        elif not rows:
            rows.append(Row(place=1, line=line, values=values[place], to_first=None, standing="first"))
        else:
            change = _difference(sums[order[0], identity], sums[place, identity], bootstrap, values[place][identity])
            standing = _standing(change, bootstrap.n_clusters)
            is_equal = values[place][identity].estimate.value == rows[-1].values[identity].estimate.value
            number = rows[-1].place if is_equal else len(rows) + 1
            rows.append(Row(place=number, line=line, values=values[place], to_first=change, standing=standing))
    return Group(
        suite=max((line.suite for line in lines), key=len),  # runs of older versions do not say which part it was
        ranked_by=first.judgements[identity] if identity else None,
        identities=tuple(identities),
        rows=tuple(rows),
        reason=reason,
        clusters=bootstrap.n_clusters,
        cluster_unit=first.cluster_unit,
    )


def _order(
    lines: Sequence[RunLine], values: Sequence[Mapping[Identity, Value]], identity: Identity | None
) -> list[int]:
    """Places of finished runs by the ranking metric, best first, then of the others by name."""

    def key(place: int) -> tuple[bool, float, str]:
        line = lines[place]
        if identity is None or not line.is_finished:
            return True, 0.0, line.name
        value = values[place][identity].estimate.value
        sign = -1.0 if line.judgements[identity].judged.metric.higher_is_better else 1.0
        return False, math.inf if value is None else sign * value, line.name

    return sorted(range(len(lines)), key=key)


def _estimate(sums: Sums, n: int, bootstrap: Bootstrap) -> Estimate:
    value = float(sums.value)
    is_defined = math.isfinite(value)
    return Estimate(
        value=value if is_defined else None,
        interval=bootstrap.interval(sums) if is_defined else None,
        n=n,
        n_expected=len(sums.numerators),
    )


def _difference(before: Sums, after: Sums, bootstrap: Bootstrap, value: Value) -> Estimate:
    change = float(after.value) - float(before.value)
    is_defined = math.isfinite(change)
    return replace(
        value.estimate,
        value=change if is_defined else None,
        interval=bootstrap.paired(before, after).absolute if is_defined else None,
    )


def _standing(change: Estimate, clusters: int) -> Standing:
    if change.interval is None or change.value is None or clusters < FEWEST_CLUSTERS:
        return "too few"
    if not change.interval.excludes_zero:
        return "not told apart"
    return "worse"
