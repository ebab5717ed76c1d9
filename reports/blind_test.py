"""A blind listening test: which of two clips of the same sentence is better, and how sure that is.

A metric is not a listener. The page plays pairs in an order that a seed decides and hides which clip is
which; it saves the answers as JSON, and `reports.preference` makes a win rate of them. Pairs are drawn at random
from the requests whose two clips differ, never picked by score: only then does the rate say something of
all of them. Not handled: loudness (clips are played as they are), and listeners who do not listen.
"""

from __future__ import annotations

import filecmp
import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from reports.html import block_markup
from reports.request_data import inert_json
from reports.results import CandidateResult, RequestResult, RunResults
from reports.shelf import Shelf
from reports.web_page import render_page
from tts_eval.errors import DataError

KIND = "tts-eval blind test 1"
"""Says what a results file is, and of which version."""

IDENTITY = re.compile(r'<script type="application/json" id="test">.*"id":"([0-9a-f]{16})"}</script>')
"""Of a page's test: what is asked, in which order."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two clips of one request, by run: A is the baseline."""

    request: RequestResult
    a: CandidateResult
    b: CandidateResult


def first_against_chosen(results: RunResults) -> list[Pair]:
    """Requests of a run whose chosen clip is another one than the first: A is N = 1, B what was chosen."""
    return _audible(Pair(request, request.first, request.chosen) for request in results.requests)


def run_against_run(first: RunResults, second: RunResults) -> list[Pair]:
    """What two runs chose for the requests that they share, where that is not the same audio.

    Raises:
        DataError: they share none.
    """
    others = {request.id: request for request in second.requests}
    shared = [request for request in first.requests if request.id in others and others[request.id].text == request.text]
    if not shared:
        raise DataError(f"'{first.name}' and '{second.name}' share no request, so there is nothing to compare by ear.")
    return _audible(Pair(request, request.chosen, others[request.id].chosen) for request in shared)


def told_apart(pairs: Iterable[Pair], roots: tuple[Path, Path]) -> list[Pair]:
    """Those whose clips are both there and not the same, byte by byte, in the folders of A's run and of B's.

    Two runs of one voice may choose the same clip, and what cannot be heard cannot be compared.
    """
    different = []
    for pair in pairs:
        a, b = roots[0] / (pair.a.audio or ""), roots[1] / (pair.b.audio or "")
        if a.is_file() and b.is_file() and not filecmp.cmp(a, b, shallow=False):
            different.append(pair)
    return different


def render_blind_test(
    pairs: Sequence[Pair], names: tuple[str, str], shelves: tuple[Shelf, Shelf], *, most: int, seed: int
) -> str:
    """The page as text.

    Args:
        pairs: all that differ (`told_apart`).
        names: what A and B are, told at the end.
        shelves: where the clips of A and of B are taken from.
        most: how many pairs are drawn.
        seed: decides which, in which order, and which clip of each comes first.

    Raises:
        DataError: there is no pair.
    """
    from markupsafe import Markup

    if not pairs:
        raise DataError(
            f"No request has two different clips to listen to, for {names[0]} and {names[1]}. "
            "Clips that are the same, or whose files are gone, do not count."
        )
    random = np.random.default_rng(seed)
    drawn = [pairs[place] for place in random.permutation(len(pairs))[:most]]
    orders = ["ab" if coin else "ba" for coin in random.integers(0, 2, len(drawn))]
    blocks: dict[str, str] = {}
    questions = []
    for number, (pair, order) in enumerate(zip(drawn, orders, strict=True)):
        clips = {
            "a": _carry(shelves[0], pair.a, blocks, f"clip-{number}-a"),
            "b": _carry(shelves[1], pair.b, blocks, f"clip-{number}-b"),
        }
        questions.append({
            "request": pair.request.id, "text": pair.request.text, "order": order,
            "clips": [clips[letter] for letter in order],
        })  # fmt: skip
    test: dict[str, object] = {
        "kind": KIND, "a": names[0], "b": names[1], "seed": seed, "eligible": len(pairs), "questions": questions,
    }  # fmt: skip
    test["id"] = hashlib.sha256(inert_json(test).encode("utf-8")).hexdigest()[:16]
    return render_page(
        "blind_test.html.j2",
        ("sound.js", "blind_test.js"),
        count=len(drawn),
        eligible=len(pairs),
        test=Markup(inert_json(test)),
        blocks=[(name, Markup(block)) for name, block in blocks.items()],
    )


def is_same_test(page: Path, text: str) -> bool:
    """Whether the page of a blind test asks the very questions that another one, as text, does."""
    try:
        before = IDENTITY.search(page.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return False
    now = IDENTITY.search(text)
    return before is not None and now is not None and before[1] == now[1]


def _audible(pairs: Iterable[Pair]) -> list[Pair]:
    return [pair for pair in pairs if pair.a.audio and pair.b.audio and not _is_same(pair.a, pair.b)]


def _is_same(a: CandidateResult, b: CandidateResult) -> bool:
    return a is b or (bool(a.audio_sha256) and a.audio_sha256 == b.audio_sha256)


def _carry(shelf: Shelf, candidate: CandidateResult, blocks: dict[str, str], name: str) -> dict[str, str]:
    """The clip as the page's script wants it; without its picture, which listeners are not to look at."""
    sound = shelf.carried(candidate.audio)
    if isinstance(sound, str):
        return {"p": sound}
    blocks[name] = block_markup(sound)
    return {"b": name}
