from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import soundfile
from results_factory import METRICS, make_results, section_of

from reports.html import render_html
from reports.results import RunResults
from reports.shelf import AudioMode, Shelf
from reports.summary import summarise
from reports.worst_first import oracle_of, worst_first
from tts_eval.text import load_protocol

VOID = {"meta", "input", "br", "img", "link", "path", "use", "rect"}


class Page(HTMLParser):
    """Elements of a page, with their attributes and the text inside; complains when tags do not match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: dict[int, str] = {}
        self._open: list[tuple[str, int]] = []
        self.feed(text)
        self.close()
        assert not self._open, f"never closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append((tag, len(self.elements) - 1))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        assert self._open and self._open[-1][0] == tag, f"</{tag}> closes {self._open[-1:]}"
        self._open.pop()

    def handle_data(self, data: str) -> None:
        for _, index in self._open:
            self.text[index] = self.text.get(index, "") + data

    def all(self, tag: str, **attributes: str) -> list[tuple[dict[str, str | None], str]]:
        return [
            (found, self.text.get(index, ""))
            for index, (name, found) in enumerate(self.elements)
            if name == tag and all(found.get(key) == value for key, value in attributes.items())
        ]

    def json(self, identifier: str) -> Any:
        """What an inert block holds."""
        ((_, text),) = self.all("script", id=identifier)
        return json.loads(text)

    @property
    def requests(self) -> list[dict[str, Any]]:
        """What the page has of every request, in its order."""
        index = self.json("request-index")
        count = -(-len(index["requests"]) // index["chunk"])
        details = [detail for number in range(count) for detail in self.json(f"requests-{number}")]
        names = ("id", "text", "group", "speaker", "worst", "heard", "failures", "loss", "position")
        return [
            dict(zip(names, entry, strict=True)) | detail
            for entry, detail in zip(index["requests"], details, strict=True)
        ]


Render = Callable[..., str]


@pytest.fixture
def render(tmp_path: Path) -> Render:
    def run(audio: AudioMode = "embed", results: RunResults | None = None, **options: int) -> str:
        made = results or make_results(tmp_path, **{"requests": 5, "n": 3, **options})  # type: ignore[arg-type]
        return render_html(
            made, summarise(made), Shelf(tmp_path, audio, tmp_path / "report"), section_of(made), Path("runs/demo")
        )

    return run


def with_text(results: RunResults, row: int, **changes: str) -> RunResults:
    requests = list(results.requests)
    requests[row] = replace(requests[row], **changes)  # type: ignore[arg-type]
    return replace(results, requests=tuple(requests))


def test_page_is_well_formed_and_needs_no_other_file(render: Render) -> None:
    text = render()
    page = Page(text)
    assert len(page.all("h1")) == 1
    assert len(page.all("main")) == 1
    assert not page.all("link") and not page.all("img")
    assert not [found for _, found in page.elements if found.get("src")]
    assert all(str(found["href"]).startswith("#") for found, _ in page.all("a"))
    assert "http" not in re.sub(r'xmlns(:\w+)?="[^"]*"|http-equiv|"http://www.w3.org/2000/svg"', "", text)


def test_policy_lets_only_this_script_run(render: Render) -> None:
    page = Page(render())
    policy = str(page.all("meta", **{"http-equiv": "Content-Security-Policy"})[0][0]["content"])
    scripts = [text for found, text in page.all("script") if "type" not in found]
    assert len(scripts) == 1
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert "unsafe-eval" not in policy and "script-src 'unsafe-inline'" not in policy
    assert not [found for _, found in page.elements if any(key.startswith("on") for key in found)]


def sounds(page: Page) -> list[dict[str, Any]]:
    return [clip["a"] for request in page.requests for clip in request["clips"] if "a" in clip]


def test_every_clip_with_audio_lies_in_the_page_once_with_its_picture(render: Render) -> None:
    page = Page(render())
    found = sounds(page)
    assert len(found) == 5 * 3 - 1  # one failed in synthesis
    assert len({sound["b"] for sound in found}) == 14
    for sound in found:
        block = page.json(sound["b"])
        samples, rate = soundfile.read(io.BytesIO(base64.b64decode(block["base64"])))
        assert (block["mime"], rate, len(samples)) == ("audio/ogg", 24000, 9600)
        assert sound["w"] and sound["g"]


def test_audio_can_be_linked_or_left_out(render: Render, tmp_path: Path) -> None:
    linked = sounds(Page(render("link")))
    assert len(linked) == 14
    assert all((tmp_path / "report" / sound["u"]).resolve().is_file() and sound["w"] for sound in linked)
    assert {sound["p"] for sound in sounds(Page(render("none")))} == {"Audio was left out of this page."}


def test_missing_audio_is_said_and_does_not_stop_the_report(render: Render, tmp_path: Path) -> None:
    results = make_results(tmp_path, requests=2, n=2)
    (tmp_path / "audio/000-0.flac").unlink()
    found = sounds(Page(render(results=results)))
    assert sum("b" in sound for sound in found) == 3
    assert any("No audio file at" in sound.get("p", "") for sound in found)


def test_transcripts_say_where_they_differ(render: Render) -> None:
    results = make_results(requests=4, n=2)
    protocol = load_protocol("whisper-norm@1")
    requests = {request.id: request for request in results.requests}
    compared = 0
    for shown in Page(render("none", results=results)).requests:
        request = requests[shown["id"]]
        for clip in shown["clips"]:
            scores = request.candidates[clip["i"]].scores
            for recogniser, chunks in clip["h"]:
                key = ("asr:tiny.en", "asr:base")[recogniser]
                expected = [
                    chunk.hypothesis if chunk.kind == "equal" else [chunk.reference, chunk.hypothesis]
                    for chunk in protocol.alignment(request.text, scores[key].details["transcript"])
                ]
                assert chunks == expected
                compared += any(isinstance(chunk, list) for chunk in chunks)
    assert compared > 3


def heard(results: RunResults, details: dict[str, str], language: str = "en") -> RunResults:
    """The results with other details of what tiny.en heard in the first request's clips."""
    first = results.requests[0]
    candidates = tuple(
        replace(each, scores=each.scores | {"asr:tiny.en": replace(each.scores["asr:tiny.en"], details=details)})
        for each in first.candidates
    )
    return replace(results, requests=(replace(first, candidates=candidates, language=language), *results.requests[1:]))


def test_the_alignment_that_the_verifier_gives_is_shown(render: Render) -> None:
    details = {"transcript": "天汽", "alignment": '[["equal", "天", "天"], ["substitute", "气", "汽"]]'}
    page = Page(render("none", results=heard(make_results(requests=1, n=1), details, "zh")))
    assert page.requests[0]["clips"][0]["h"][0] == [0, ["天", ["气", "汽"]]]


def test_a_language_the_protocol_does_not_cover_is_shown_as_it_was_heard(render: Render) -> None:
    page = Page(render("none", results=heard(make_results(requests=1, n=1), {"transcript": "guten Tag"}, "de")))
    assert page.requests[0]["clips"][0]["h"][0] == [0, ["guten Tag"]]


def test_hostile_text_stays_text(render: Render) -> None:
    attack = "</script><script>alert(1)</script>"
    results = with_text(make_results(requests=3, n=2), 0, text=f"say {attack}", id=attack, group=attack, speaker=attack)
    chosen = results.requests[0].chosen
    scores = dict(chosen.scores)
    scores["asr:tiny.en"] = replace(scores["asr:tiny.en"], details={"transcript": f"heard {attack}"})
    requests = (
        replace(results.requests[0], candidates=tuple(
            replace(c, scores=scores) if c is chosen else c for c in results.requests[0].candidates
        )),
        *results.requests[1:],
    )  # fmt: skip
    page = Page(render("none", results=replace(results, requests=requests, name=attack)))
    assert len([found for found, _ in page.all("script") if "type" not in found]) == 1
    assert not page.all("b")
    assert page.all("h1")[0][1] == attack
    (shown,) = [request for request in page.requests if request["id"] == attack]
    assert shown["text"] == f"say {attack}" and f"heard {attack}" in shown["heard"]
    assert "</script><b>&" in page.all("pre")[0][1]


def test_requests_come_worst_first_and_unjudged_ones_before_all() -> None:
    results = make_results(requests=20)
    ordered = worst_first(results)
    assert ordered[0].id == "sentence-019"
    values = [request.chosen.value(METRICS[0]) for request in ordered[1:]]
    assert values == sorted(values, reverse=True)
    assert sorted(request.id for request in ordered) == sorted(request.id for request in results.requests)


def test_order_follows_a_score_where_higher_is_better() -> None:
    results = make_results(requests=8, metrics=METRICS[1:2])
    values = [request.chosen.value(METRICS[1]) for request in worst_first(results)]
    assert values == sorted(values)


def test_the_oracle_is_what_the_sorting_judge_likes_best(render: Render) -> None:
    results = make_results(requests=6, n=4)
    requests = {request.id: request for request in results.requests}
    for shown in Page(render("none", results=results)).requests:
        request = requests[shown["id"]]
        assert [clip["r"] for clip in shown["clips"]] == [0, 1, 2, 3]
        assert shown["first"] == 0
        values = [candidate.value(METRICS[0]) for candidate in request.candidates if candidate.is_scored(METRICS[0])]
        if not values:
            assert shown["oracle"] is None and oracle_of(request, METRICS[0]) is None
        else:
            assert request.candidates[shown["oracle"]].value(METRICS[0]) == min(values)


def test_the_loss_against_the_first_candidate_is_in_the_index(render: Render) -> None:
    results = make_results(requests=8, n=4)
    requests = {request.id: request for request in results.requests}
    losses = {}
    for shown in Page(render("none", results=results)).requests:
        request = requests[shown["id"]]
        assert results.requests[shown["position"]].id == shown["id"]
        if request.chosen.is_scored(METRICS[0]) and request.first.is_scored(METRICS[0]):
            expected = request.chosen.value(METRICS[0]) - request.first.value(METRICS[0])
            assert shown["loss"] == pytest.approx(expected, abs=1e-6)
            losses[shown["id"]] = shown["loss"]
        else:
            assert shown["loss"] is None
    assert min(losses.values()) < 0


def test_failures_seeds_and_scores_are_on_the_page(render: Render) -> None:
    results = make_results(requests=5, n=3)
    page = Page(render("none", results=results))
    clips = {(request["id"], clip["i"]): clip for request in page.requests for clip in request["clips"]}
    assert clips["sentence-002", 1]["f"] == ["synthesis", "ValueError: <b>no phonemes</b>"]
    assert "failed, counts as 100.00 %" in clips["sentence-002", 1]["v"]
    for request in results.requests:
        for candidate in request.candidates:
            assert clips[request.id, candidate.index]["s"] == str(candidate.seed)
    assert page.requests[0]["again"] == "tts-eval again runs/demo sentence-004"


def test_filter_offers_every_group_and_every_failure(render: Render) -> None:
    page = Page(render("none"))
    options = [text.strip() for _, text in page.all("option")]
    assert options[:4] == ["all", "names", "numbers", "plain"]
    assert options[4:7] == ["any or none", "silent", "synthesis"]
    assert {request["group"] for request in page.requests} == {"plain", "numbers", "names"}
    selects = Page(render("none", results=make_results(requests=2, groups=()))).all("select")
    assert "group" not in {found["name"] for found, _ in selects}


def test_reference_without_words_shows_the_transcript_unaligned(render: Render) -> None:
    results = with_text(make_results(requests=2, n=1), 0, text="[noise]")
    heard = results.requests[0].chosen.scores["asr:tiny.en"].details["transcript"]
    (shown,) = [request for request in Page(render("none", results=results)).requests if request["text"] == "[noise]"]
    assert shown["clips"][0]["h"][0] == [0, [heard]]


def test_runs_at_the_edges_still_make_a_page(render: Render) -> None:
    assert 'id="curves"' not in render("none", requests=1, n=1)
    assert "nothing to compare" in render("none", results=make_results(requests=2, n=2, metrics=()))
