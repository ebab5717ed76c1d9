"""The report as one HTML file that needs no other: numbers first, then every clip, worst first.

The page carries its style, script, figure and audio; its content security policy lets nothing else
in and runs no script but its own. Chosen clips play without JavaScript; the others wait as base64
in inert script blocks until they are near the screen, so that a page with hundreds of clips opens
at once.
"""

from __future__ import annotations

import base64
import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, TypeAlias

from reports.cost_table import cost_table
from reports.diversity import TRANSCRIPT
from reports.figures import COLOURS, panels_svg
from reports.formatting import number
from reports.players import Encoded, encode, link
from reports.pools import clip_value
from reports.results import CandidateResult, JudgedMetric, RequestResult, RunResults
from reports.scale_table import scale_table
from reports.summary import Summary
from reports.tables import coverage_table, curve_table, groups_table, headline, metrics_table
from reports.transfer_figure import promise_svg
from reports.transfer_tables import TransferSection
from tts_eval.edits import AlignedChunk
from tts_eval.errors import AudioError
from tts_eval.text import language_code, load_languages, protocols
from tts_eval.types import Failure, Score

logger = logging.getLogger(__name__)

AudioMode: TypeAlias = Literal["embed", "link", "none"]
"""Audio inside the page, as links to the run's files, or left out."""

TEMPLATES = Path(__file__).parent / "templates"
ALIGNMENT = "alignment"
"""Key under which it may say where that differs: [[kind, reference, hypothesis], ...] as JSON."""
HEAVY_MEGABYTES = 64


@dataclass(frozen=True, slots=True)
class Player:
    """How a clip is played: `source` at once, or `block`, the id of the base64 that becomes its source."""

    label: str
    source: str = ""
    block: str = ""
    problem: str = ""
    """Why there is nothing to play."""


@dataclass(frozen=True, slots=True)
class ScoreView:
    """One number of one clip."""

    name: str
    judge: str
    value: str
    held_out: bool
    problem: str


@dataclass(frozen=True, slots=True)
class TranscriptView:
    """What one recogniser heard, beside what was asked for."""

    judge: str
    held_out: bool
    chunks: tuple[AlignedChunk, ...]
    plain: str
    """The transcript as it is, where it cannot be aligned."""


@dataclass(frozen=True, slots=True)
class ClipView:
    """One candidate as the page shows it."""

    role: Literal["chosen", "single", "rejected"]
    candidate: CandidateResult
    player: Player
    scores: tuple[ScoreView, ...]
    transcripts: tuple[TranscriptView, ...]
    failure: Failure | None
    """The candidate's own, or the one that all of its scores share."""


@dataclass(frozen=True, slots=True)
class RequestView:
    """One request: its chosen clip, the first clip unless that was chosen, and the others by rank."""

    request: RequestResult
    chosen: ClipView
    single: ClipView | None
    rejected: tuple[ClipView, ...]
    worst: str
    """The number that the page sorts by."""


def render_html(
    results: RunResults, summary: Summary, run_dir: Path, section: TransferSection, *, audio: AudioMode = "embed"
) -> str:
    """The whole page as text.

    Args:
        results: the run.
        summary: its numbers.
        run_dir: where the audio files are; the page is meant for a folder directly inside it.
        section: whether the choice transfers.
        audio: where the players get their sound from.
    """
    from markupsafe import Markup

    blocks: dict[str, Encoded] = {}
    views = [_request(request, results, partial(player_of, run_dir, audio, blocks)) for request in worst_first(results)]
    page = render_page(
        "report.html.j2",
        audio,
        summary=summary,
        headline=headline(summary),
        metrics=metrics_table(summary),
        scale=scale_table(summary),
        coverage=coverage_table(summary),
        groups=groups_table(summary),
        curve=curve_table(summary),
        cost=cost_table(summary),
        panels=[Markup(svg) for svg in panels_svg(summary)] if summary.n > 1 else [],
        transfer=section,
        promise=[Markup(svg) for svg in promise_svg(section.hacking)],
        requests=views,
        group_names=sorted({request.group for request in results.requests} - {""}),
        sorted_by=_sort_label(results),
        blocks=blocks,
        provenance=json.dumps(results.run, indent=2, ensure_ascii=False, default=str),
    )
    if len(page) > HEAVY_MEGABYTES * 2**20:
        logger.warning("the report is %d MB; audio='link' keeps the audio out of it", len(page) // 2**20)
    return page


def render_page(template: str, audio: AudioMode, **values: object) -> str:
    """A page of this package's style and script around `values`; everything but `Markup` is escaped."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    script = (TEMPLATES / "report.js").read_text(encoding="utf-8")
    colours = "".join(f"--{name}:{colour};" for name, colour in COLOURS.items())
    return environment.get_template(template).render(
        policy=_policy(script, audio),
        style=Markup(f":root{{{colours}}}\n" + (TEMPLATES / "report.css").read_text(encoding="utf-8")),
        script=Markup(script),
        **values,
    )


def worst_first(results: RunResults) -> list[RequestResult]:
    """Requests by how bad the chosen clip is: unjudged ones, then by the first held-out error rate, then the rest."""
    order = _sort_metrics(results)

    def badness(request: RequestResult) -> tuple[tuple[float, float], ...]:
        return tuple(_badness(request.chosen, judged) for judged in order)

    return sorted(results.requests, key=badness)


def _badness(candidate: CandidateResult, judged: JudgedMetric) -> tuple[float, float]:
    value = clip_value(candidate, judged)
    if value is None:
        return 0.0, 0.0
    return 1.0, value if judged.metric.higher_is_better else -value


def _sort_metrics(results: RunResults) -> list[JudgedMetric]:
    def priority(judged: JudgedMetric) -> tuple[bool, bool]:
        return judged.selected_on, judged.metric.unit != "error-rate"

    return sorted(results.metrics, key=priority)


def _sort_label(results: RunResults) -> str:
    order = _sort_metrics(results)
    return f"{order[0].metric.name} by {order[0].verifier_key}" if order else ""


def _request(
    request: RequestResult, results: RunResults, player: Callable[[RequestResult, CandidateResult, bool], Player]
) -> RequestView:
    def view(candidate: CandidateResult, role: Literal["chosen", "single", "rejected"]) -> ClipView:
        return clip_view(request, candidate, role, player(request, candidate, role == "chosen"), results.metrics)

    chosen, first = request.chosen, request.first
    others = [entry for entry in request.candidates if entry is not chosen and entry is not first]
    rest = sorted(others, key=lambda entry: entry.rank)
    order = _sort_metrics(results)
    return RequestView(
        request,
        view(chosen, "chosen"),
        view(first, "single") if first is not chosen else None,
        tuple(view(candidate, "rejected") for candidate in rest),
        f"{order[0].metric.name} {_shown(chosen, order[0])}" if order else "",
    )


def clip_view(
    request: RequestResult,
    candidate: CandidateResult,
    role: Literal["chosen", "single", "rejected"],
    player: Player,
    metrics: Sequence[JudgedMetric],
) -> ClipView:
    """One candidate with its player, its scores, and what each recogniser heard."""
    return ClipView(
        role,
        candidate,
        player,
        tuple(_score(candidate, judged) for judged in metrics),
        tuple(_transcripts(request, candidate, metrics)),
        _failure(candidate),
    )


def _failure(candidate: CandidateResult) -> Failure | None:
    failures = {score.failure for score in candidate.scores.values()}
    shared = failures.pop() if len(failures) == 1 else None
    return candidate.failure or shared


def _score(candidate: CandidateResult, judged: JudgedMetric) -> ScoreView:
    score = candidate.scores.get(judged.verifier_key)
    failure = score.failure if score is not None else None
    is_fine = score is not None or judged.verifier_key in candidate.spared
    problem = f"{failure.kind.value}: {failure.message}" if failure else "" if is_fine else "not judged"
    return ScoreView(
        judged.metric.name, judged.verifier_key, _shown(candidate, judged), not judged.selected_on, problem
    )


def _shown(candidate: CandidateResult, judged: JudgedMetric) -> str:
    value = clip_value(candidate, judged)
    if judged.verifier_key in candidate.spared:
        return "not asked: dropped by the cascade"
    if value is None:
        return f"failed, counts as {number(judged.metric.worst, judged.metric)}"
    return number(value, judged.metric)


def _transcripts(
    request: RequestResult, candidate: CandidateResult, metrics: Sequence[JudgedMetric]
) -> Iterator[TranscriptView]:
    """One per recogniser, by the protocol of its first metric that has one."""
    by_verifier: Mapping[str, JudgedMetric] = {
        judged.verifier_key: judged for judged in reversed(metrics) if judged.metric.protocol in protocols
    }
    for key in dict.fromkeys(judged.verifier_key for judged in metrics):
        score = candidate.scores.get(key)
        if key in by_verifier and score is not None and TRANSCRIPT in score.details:
            judged = by_verifier[key]
            chunks = _aligned(request, score, judged.metric.protocol)
            yield TranscriptView(key, not judged.selected_on, chunks, score.details[TRANSCRIPT])


def _aligned(request: RequestResult, score: Score, protocol: str) -> tuple[AlignedChunk, ...]:
    if ALIGNMENT in score.details:
        return tuple(AlignedChunk(*chunk) for chunk in json.loads(score.details[ALIGNMENT]))
    loaded = load_languages(protocol).get(language_code(request.language))
    return (
        loaded.alignment(request.text, score.details[TRANSCRIPT]) if loaded and loaded.reference(request.text) else ()
    )


def player_of(
    run_dir: Path, audio: AudioMode, blocks: dict[str, Encoded], request: RequestResult, candidate: CandidateResult,
    at_once: bool,
) -> Player:  # fmt: skip
    """How a candidate's clip is played; what is not played `at_once` waits in `blocks`."""
    label = f"{request.id}, candidate {candidate.index}"
    if candidate.audio is None:
        return Player(label, problem="There is no audio of this candidate.")
    if audio == "none":
        return Player(label, problem="Audio was left out of this page.")
    if audio == "link":
        return Player(label, source=link(candidate.audio, up=1))
    try:
        encoded = encode(run_dir / candidate.audio)
    except AudioError as error:
        logger.warning("no player for %s: %s", label, error)
        return Player(label, problem=str(error))
    if at_once:
        return Player(label, source=encoded.uri)
    block = f"audio-{len(blocks)}"
    blocks[block] = encoded
    return Player(label, block=block)


def _policy(script: str, audio: AudioMode) -> str:
    """A content security policy that runs this very script and loads nothing from outside."""
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    media = "data: blob:" if audio != "link" else "'self' file:"
    return (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; "
        f"img-src data:; media-src {media}; base-uri 'none'; form-action 'none'"
    )
