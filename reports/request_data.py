"""The requests of a run as the page's script reads them: one light index, and chunks with all the rest.

A page of 1,000 requests with 16 candidates each has 16,000 clips; nobody looks at more than a few. So
the page holds them as inert JSON. The index has what is searched, filtered and sorted by; a chunk has
`CHUNK` requests with every candidate and is parsed when one of them is shown. Numbers are
formatted here, once, so that page and tables agree. The letters stand for: i index, r rank, s seed (text: it
has more digits than a JavaScript number), t seconds, e how it ended, n tokens, x selection score, d stage at which a
cascade dropped it, v values, p problems by metric, h what was heard, f failure, a audio.
"""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TextIO

from reports.clips import failure_of, recognisers, scores_of, shown, transcripts_of
from reports.coverage import failures_of
from reports.diversity import TRANSCRIPT
from reports.results import CandidateResult, JudgedMetric, RequestResult, RunResults
from reports.shelf import Shelf, Sound, Source
from reports.worst_first import loss, oracle_of, sort_metrics, worst_first
from search.trace import Fate, trace_from_json
from tts_eval.audio import Clip
from tts_eval.edits import AlignedChunk
from tts_eval.execution import batched
from tts_eval.types import FinishReason

CHUNK = 10
"""Requests of a chunk: as many as the page shows at a time."""
MOST_NODES = 600
"""Of a search's tree; larger ones are shown without the beams that were dropped."""


@dataclass(frozen=True, slots=True)
class RequestData:
    """What the page's script gets."""

    index: Mapping[str, Any]
    chunks: Iterator[str]
    """JSON each."""


def request_data(results: RunResults, shelf: Shelf, run: str, spool: TextIO) -> RequestData:
    """All requests, worst first; `shelf` is stocked with their clips.

    Args:
        results: the run.
        shelf: where the clips go.
        run: path of the run's folder, for the command that makes a clip again.
        spool: where the chunks wait, because a page says other things first.
    """
    ordered = worst_first(results)
    metrics = sort_metrics(results)
    first = metrics[0] if metrics else None
    shelf.stock(_sources(ordered, first))
    positions = {request.id: position for position, request in enumerate(results.requests)}
    entries = []
    for some in (list(map(_at_hand, few)) for few in batched(ordered, CHUNK)):
        entries += [_entry(request, positions[request.id], results.metrics, first) for request in some]
        details = [_detail(request, results.metrics, first, shelf, run) for request in some]
        spool.write(inert_json(details) + "\n")
    index = {
        "run": run,
        "n": results.n,
        "sorted": f"{first.metric.name} by {first.verifier_key}" if first else "",
        "metrics": [[judged.metric.name, judged.verifier_key, not judged.selected_on] for judged in results.metrics],
        "heard": [[key, not judged.selected_on] for key, judged in recognisers(results.metrics).items()],
        "chunk": CHUNK,
        "requests": entries,
    }
    spool.seek(0)
    return RequestData(index, (line.removesuffix("\n") for line in spool))


def _at_hand(request: RequestResult) -> RequestResult:
    """The same, with scores that cost nothing to look at again and again."""
    return replace(
        request, candidates=tuple(replace(one, scores=dict(one.scores.items())) for one in request.candidates)
    )


def inert_json(value: object) -> str:
    """JSON that may stand inside a script element: no character of it can end the element or begin another."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _sources(ordered: Sequence[RequestResult], first: JudgedMetric | None) -> list[Source]:
    """Every clip, those that are listened to most first."""
    heads: list[Source | None] = []
    for request in ordered:
        oracle = oracle_of(request, first) if first else None
        heads += [_prompt(request), _recording(request), request.chosen.audio, request.first.audio]
        heads += [oracle.audio if oracle else None]
    rest = [candidate.audio for request in ordered for candidate in request.candidates]
    return [source for source in (*heads, *rest) if source is not None]


def _entry(
    request: RequestResult, position: int, metrics: Sequence[JudgedMetric], first: JudgedMetric | None
) -> list[Any]:
    """What is searched, filtered and sorted by."""
    heard = {score.details.get(TRANSCRIPT, "") for score in request.chosen.scores.values()}
    classes = {name for candidate in request.candidates for name in failures_of(candidate, metrics)}
    cut = {FinishReason.LENGTH.value} if any(c.finish is FinishReason.LENGTH for c in request.candidates) else set()
    lost = loss(request, first) if first and len(request.candidates) > 1 else None
    return [
        request.id,
        request.text,
        request.group,
        request.speaker,
        f"{first.metric.name} {shown(request.chosen, first)}" if first else "",
        " ".join(sorted(heard - {""})),
        sorted(classes | cut),
        None if lost is None else round(lost, 6),
        position,
    ]


def _detail(
    request: RequestResult, metrics: Sequence[JudgedMetric], first: JudgedMetric | None, shelf: Shelf, run: str
) -> dict[str, Any]:
    by_verifier = recognisers(metrics)
    oracle = oracle_of(request, first) if first else None
    ranked = sorted(request.candidates, key=lambda candidate: candidate.rank)
    detail: dict[str, Any] = {
        "first": request.first.index,
        "oracle": None if oracle is None else oracle.index,
        "again": shlex.join(["tts-eval", "again", run, request.id]),
        "clips": [
            _clip(request, each, metrics, by_verifier, shelf.sound(each.audio) if each.audio else None)
            for each in ranked
        ],
    }
    if tree := _tree(request.read_trace()):
        detail["tree"] = tree
    if (prompt := request.prompt) is not None:
        sound = _sound_json(shelf.sound(_prompt(request))) if prompt.audio is not None else None
        detail["prompt"] = {"text": prompt.transcript or "", "style": prompt.style or "", "a": sound}
    if request.ground_truth is not None:
        truth = _clip(request, request.ground_truth, metrics, by_verifier, shelf.sound(_recording(request)))
        detail["truth"] = truth
    return detail


def _clip(
    request: RequestResult,
    candidate: CandidateResult,
    metrics: Sequence[JudgedMetric],
    by_verifier: Mapping[str, JudgedMetric],
    sound: Sound | None,
) -> dict[str, Any]:
    scores, failure, names = scores_of(candidate, metrics), failure_of(candidate), list(by_verifier)
    clip: dict[str, Any] = {
        "i": candidate.index,
        "r": candidate.rank,
        "s": str(candidate.seed),
        "t": round(candidate.seconds, 2),
        "e": candidate.finish.value,
        "v": [score.value for score in scores],
        "h": [
            [names.index(heard.judge), _compact(heard.chunks) if heard.chunks else [heard.plain]]
            for heard in transcripts_of(request, candidate, by_verifier)
        ],
    }
    problems = {str(place): score.problem for place, score in enumerate(scores) if score.problem and not failure}
    optional = {
        "n": candidate.cost.tokens,
        "x": None if candidate.selection_score is None else f"{candidate.selection_score:.4g}",
        "d": candidate.dropped_at,
        "p": problems,
        "f": [failure.kind.value, failure.message] if failure else None,
        "a": _sound_json(sound) if sound else None,
    }
    return clip | {name: value for name, value in optional.items() if value}


def _tree(trace: str) -> list[list[Any]]:
    """The way of a guided search: [decision, parent, seconds, score, fate (its first letter), led to the chosen clip].

    Beams that were dropped are left out of a large tree; the last row of such a decision says how many:
    [decision, how many].
    """
    nodes = trace_from_json(trace)
    is_large = len(nodes) > MOST_NODES
    numbers: dict[int, int] = {}
    shown: list[list[Any]] = []
    for number, node in enumerate(nodes):
        if is_large and node.fate is Fate.DROPPED and not node.is_chosen:
            continue
        numbers[number] = len(shown)
        score = None if node.score is None else f"{node.score:.3g}"
        parent = None if node.parent is None else numbers[node.parent]
        shown.append([node.decision, parent, round(node.seconds, 2), score, node.fate.value[0], int(node.is_chosen)])
    left_out = Counter(node.decision for number, node in enumerate(nodes) if number not in numbers)
    return shown + [[decision, count] for decision, count in sorted(left_out.items())]


def _compact(chunks: Sequence[AlignedChunk]) -> list[Any]:
    """Words that were heard as asked as text, the rest as [asked, heard]."""
    return [chunk.hypothesis if chunk.kind == "equal" else [chunk.reference, chunk.hypothesis] for chunk in chunks]


def _sound_json(sound: Sound) -> dict[str, Any]:
    parts = {"b": sound.block, "u": sound.url, "p": sound.problem, "w": sound.wave, "g": sound.spectrum}
    return {name: value for name, value in parts.items() if value}


def _prompt(request: RequestResult) -> Source | None:
    source = request.prompt.audio if request.prompt else None
    return None if isinstance(source, Clip) else source


def _recording(request: RequestResult) -> Source | None:
    return None if isinstance(request.recording, Clip) else request.recording
