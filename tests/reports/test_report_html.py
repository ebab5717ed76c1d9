from __future__ import annotations

import base64
import hashlib
import io
import json
import logging
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
import soundfile
from results_factory import METRICS, make_results, section_of

from reports.html import AudioMode, render_html, worst_first
from reports.results import RunResults
from reports.summary import summarise
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


Render = Callable[..., str]


@pytest.fixture
def render(tmp_path: Path) -> Render:
    def run(audio: AudioMode = "embed", results: RunResults | None = None, **options: int) -> str:
        made = results or make_results(tmp_path, **{"requests": 5, "n": 3, **options})  # type: ignore[arg-type]
        return render_html(made, summarise(made), tmp_path, section_of(made), audio=audio)

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
    sources = [found.get("src") for name, found in page.elements if found.get("src")]
    assert sources and all(source.startswith("data:audio/") for source in sources if source)
    assert all(str(found["href"]).startswith("#") for found, _ in page.all("a"))
    assert "http" not in re.sub(r'xmlns(:\w+)?="[^"]*"', "", text).replace("http-equiv", "")


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


def test_every_clip_with_audio_has_a_labelled_player(render: Render) -> None:
    page = Page(render())
    players = [found for found, _ in page.all("audio")]
    assert len(players) == 5 * 3 - 1  # one failed in synthesis
    assert all(found["preload"] == "none" and found["aria-label"] and "controls" in found for found in players)
    chosen = [found for found in players if "src" in found]
    waiting = [found for found in players if "data-block" in found]
    assert len(chosen) == 5
    assert len(waiting) == 9
    for found in waiting:
        (_, block), *more = page.all("script", id=str(found["data-block"]))
        assert not more
        audio = json.loads(block)
        samples, rate = soundfile.read(io.BytesIO(base64.b64decode(audio["base64"])))
        assert (rate, len(samples)) == (22050, 8820)


def test_audio_can_be_linked_or_left_out(render: Render, tmp_path: Path) -> None:
    linked = Page(render("link"))
    sources = [str(found["src"]) for found, _ in linked.all("audio")]
    assert len(sources) == 14
    assert all((tmp_path / "report" / source).resolve().is_file() for source in sources)
    assert "data:audio" not in render("none")
    assert not Page(render("none")).all("audio")


def test_missing_audio_is_said_and_does_not_stop_the_report(render: Render, tmp_path: Path) -> None:
    results = make_results(tmp_path, requests=2, n=2)
    (tmp_path / "audio/000-0.flac").unlink()
    page = Page(render(results=results))
    assert len(page.all("audio")) == 3
    assert any("No audio file at" in text for _, text in page.all("p"))


def test_transcripts_mark_errors_with_letters_and_elements(render: Render) -> None:
    results = make_results(requests=4, n=2)
    page = Page(render("none", results=results))
    protocol = load_protocol("whisper-norm@1")
    expected = {"substitute": 0, "delete": 0, "insert": 0}
    for request in results.requests:
        for candidate in request.candidates:
            for score in candidate.scores.values():
                if "transcript" in score.details:
                    for chunk in protocol.alignment(request.text, score.details["transcript"]):
                        expected[chunk.kind] = expected.get(chunk.kind, 0) + 1
    for kind, letter, name in (
        ("substitute", "S", "substitution"), ("delete", "D", "deletion"), ("insert", "I", "insertion"),
    ):  # fmt: skip
        marks = page.all("mark", **{"class": f"error {name}"})
        assert len(marks) == expected[kind] + 1  # and one in the legend
        assert all(text.startswith(letter) for _, text in marks)
        assert expected[kind] > 0


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
    marks = [text for _, text in page.all("mark", **{"class": "error substitution"})]
    assert any("气" in text and "汽" in text for text in marks)


def test_a_language_the_protocol_does_not_cover_is_shown_as_it_was_heard(render: Render) -> None:
    page = Page(render("none", results=heard(make_results(requests=1, n=1), {"transcript": "guten Tag"}, "de")))
    assert any("guten Tag" in text for _, text in page.all("p", **{"class": "transcript"}))


def test_words_of_a_transcript_do_not_run_into_one_another(render: Render) -> None:
    results = make_results(requests=4, n=1)
    request = results.requests[0]
    transcripts = [text for found, text in Page(render("none", results=results)).all("p", **{"class": "transcript"})]
    protocol = load_protocol("whisper-norm@1")
    heard = protocol.normalise_hypothesis(request.candidates[0].scores["asr:tiny.en"].details["transcript"])
    assert any(set(heard.split()) <= set(text.split()) for text in transcripts)


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
    assert len(page.all("script")) == 1
    assert not page.all("b")
    assert page.all("h1")[0][1] == attack
    assert attack in [text.strip() for _, text in page.all("h3")]
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


def test_single_sample_is_shown_beside_the_chosen_and_the_rest_is_folded(render: Render) -> None:
    results = make_results(requests=6, n=4)
    page = Page(render("none", results=results))
    titles = [str(found["aria-label"]) for found, _ in page.all("section") if "aria-label" in found]
    same = sum(request.chosen is request.first for request in results.requests)
    assert sum(title.startswith("Chosen") for title in titles) == 6
    assert sum(title.startswith("Single sample") for title in titles) == 6 - same
    assert sum(title.startswith("Rejected") for title in titles) == 6 * 4 - 6 - (6 - same)
    folded = page.all("details", **{"class": "rejected"})
    assert len(folded) == 6 and all("open" not in found for found, _ in folded)


def test_failures_seeds_and_scores_are_on_the_page(render: Render) -> None:
    results = make_results(requests=5, n=3)
    text = render("none", results=results)
    assert "ValueError: &lt;b&gt;no phonemes&lt;/b&gt;" in text
    assert "failed, counts as 100.00 %" in text
    for request in results.requests:
        for candidate in request.candidates:
            assert f"seed {candidate.seed}" in text


def test_filter_offers_every_group(render: Render) -> None:
    page = Page(render("none"))
    assert [text.strip() for _, text in page.all("option")] == ["all", "names", "numbers", "plain"]
    assert {str(found["data-group"]) for found, _ in page.all("article")} == {"names", "numbers", "plain"}
    assert not Page(render("none", results=make_results(requests=2, groups=()))).all("select")


def test_reference_without_words_shows_the_transcript_unaligned(render: Render) -> None:
    results = with_text(make_results(requests=2, n=1), 0, text="[noise]")
    heard = results.requests[0].chosen.scores["asr:tiny.en"].details["transcript"]
    transcripts = Page(render("none", results=results)).all("p", **{"class": "transcript"})
    assert any(" ".join(heard.split()) in " ".join(text.split()) for _, text in transcripts)


def test_runs_at_the_edges_still_make_a_page(render: Render) -> None:
    assert "<svg" not in render("none", requests=1, n=1)
    assert "nothing to compare" in render("none", results=make_results(requests=2, n=2, metrics=()))


def test_heavy_pages_are_warned_about(
    render: Render, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("reports.html.HEAVY_MEGABYTES", 0)
    with caplog.at_level(logging.WARNING):
        render()
    assert "audio='link'" in caplog.text
