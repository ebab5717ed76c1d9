"""The report as a user has it: opened from disk in a real browser, clicked, listened to, and attacked."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from browser import NARROW, Opened, expect, running, serious_problems
from results_factory import make_results, section_of

from reports.html import render_html
from reports.results import RunResults
from reports.shelf import AudioMode, Shelf
from reports.summary import summarise
from tts_eval.audio import Clip, write_audio
from tts_eval.types import Prompt

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

REQUESTS, N = 23, 4
HOSTILE = (
    "</script><script>document.title = 'taken'</script>",
    '"><img src=x onerror="document.title = \'taken\'">',
    "שלום \u202eevil\u202c עולם",
    "👩‍🚀🎉 \u2028 \u0000-free",
    "long " * 2000,
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running() as found:
        yield found


def with_prompts(results: RunResults, folder: Path) -> RunResults:
    tone = np.sin(np.arange(320_000) * 0.1) * 0.2
    write_audio(folder / "prompt.flac", Clip(tone.astype(np.float32), 16000))
    prompt = Prompt(audio=folder / "prompt.flac", transcript="What the prompt says.")
    requests = tuple(
        replace(request, prompt=prompt, recording=folder / "prompt.flac", ground_truth=request.chosen)
        for request in results.requests
    )
    return replace(results, requests=requests)


def write_page(results: RunResults, folder: Path, audio: AudioMode = "embed", beside: str = "") -> Path:
    """The page alone, without the figures."""
    page = folder / "report/report.html"
    page.parent.mkdir(exist_ok=True)
    shelf = Shelf(folder, audio, page.parent, beside=page.parent / beside if beside else None)
    page.write_text(render_html(results, summarise(results), shelf, section_of(results), folder), encoding="utf-8")
    return page


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> RunResults:
    folder = tmp_path_factory.mktemp("run")
    made = with_prompts(make_results(folder, requests=REQUESTS, n=N), folder)
    return replace(made, run={**made.run, "folder": str(folder)})


@pytest.fixture(scope="module")
def report(results: RunResults) -> Path:
    return write_page(results, Path(str(results.run["folder"])))


@pytest.fixture
def opened(browser: Browser, report: Path) -> Iterator[Opened]:
    one = Opened(browser, report)
    yield one
    one.context.close()


def ids(page: Page) -> list[str]:
    return page.locator("#requests h3").all_inner_texts()


def is_playing(page: Page) -> list[str]:
    return [str(text) for text in page.locator(".playing .play").evaluate_all("all => all.map(b => b.ariaLabel)")]


def test_the_page_asks_nobody_for_anything_and_complains_of_nothing(opened: Opened) -> None:
    page = opened.page
    page.locator(".chosen .play").first.click()
    page.wait_for_selector(".playing")
    page.locator("summary").first.click()
    page.get_by_label("Search").fill("river")
    assert opened.strangers == []
    assert opened.complaints == []
    assert sum(url.startswith("file:") for url in opened.requested) == 1


def test_one_clip_plays_at_a_time_and_the_button_says_so(opened: Opened) -> None:
    page = opened.page
    first, second = page.locator(".request .play").nth(0), page.locator(".request .play").nth(1)
    first.click()
    page.wait_for_selector(".playing")
    assert first.get_attribute("aria-pressed") == "true"
    second.click()
    expect(second).to_have_attribute("aria-pressed", "true")
    assert len(is_playing(page)) == 1
    second.click()
    expect(page.locator(".playing")).to_have_count(0)
    assert second.get_attribute("aria-pressed") == "false"


def test_the_slider_goes_to_a_place_in_the_clip(opened: Opened) -> None:
    page = opened.page
    slider = page.get_by_role("slider", name="Position in prompt of").first
    slider.focus()
    slider.fill("500")
    expect(slider).to_have_attribute("aria-valuetext", "10.0 s")  # of twenty


def test_space_plays_and_arrows_move(opened: Opened) -> None:
    page = opened.page
    focused = "document.activeElement.getAttribute('aria-label')"
    page.keyboard.press("Space")
    page.wait_for_selector(".playing")
    (label,) = is_playing(page)
    assert label == f"Play prompt of {ids(page)[0]}"
    page.keyboard.press("ArrowRight")
    expect(page.locator(".playing .play")).to_have_attribute("aria-label", re.compile("^Play ground truth"))
    page.keyboard.press("Space")
    expect(page.locator(".playing")).to_have_count(0)
    page.keyboard.press("ArrowLeft")
    assert page.evaluate(focused) == label and is_playing(page) == []
    page.keyboard.press("ArrowDown")
    assert str(page.evaluate(focused)).endswith(ids(page)[1]) and "chosen" in str(page.evaluate(focused)).lower()
    for _ in range(9):
        page.keyboard.press("ArrowDown")
    assert "11–20 of 23" in page.locator("#filter-count").inner_text()
    assert ids(page)[0] in str(page.evaluate(focused))
    page.keyboard.press("ArrowUp")
    assert "1–10 of 23" in page.locator("#filter-count").inner_text()


def test_keys_stay_with_fields(opened: Opened) -> None:
    page = opened.page
    page.get_by_label("Search").focus()
    page.keyboard.type("the river")
    page.keyboard.press("ArrowLeft")
    assert page.get_by_label("Search").input_value() == "the river"
    assert is_playing(page) == []


def test_requests_are_found_by_text_group_failure_and_change(opened: Opened, results: RunResults) -> None:
    page = opened.page
    count = page.locator("#filter-count")
    page.get_by_label("Search").fill("VIENNA")
    wanted = {request.id for request in results.requests if "Vienna" in request.text}
    heard = {
        request.id for request in results.requests
        if any("vienna" in score.details.get("transcript", "").lower() for score in request.chosen.scores.values())
    }  # fmt: skip
    assert set(ids(page)) == wanted | heard
    page.get_by_label("Search").fill("sentence-007")
    assert ids(page) == ["sentence-007"]
    page.get_by_label("Search").fill("there is no such thing")
    assert ids(page) == [] and page.locator("#filter-empty").is_visible()
    page.get_by_label("Search").fill("")
    page.locator("#filter").get_by_label("Group").select_option("names")
    expected = sum(request.group == "names" for request in results.requests)
    assert f"{expected} of {REQUESTS} requests" in count.inner_text()
    page.locator("#filter").get_by_label("Group").select_option("")
    page.get_by_label("Failure").select_option("synthesis")
    assert ids(page) == ["sentence-002"]
    page.locator("#requests summary").click()
    expect(page.locator(".request .failure").first).to_contain_text("ValueError: <b>no phonemes</b>")
    page.get_by_label("Failure").select_option("")
    page.locator("#filter [name=change]").select_option("worse")
    worse = page.locator(".request .worse").count()
    assert 0 < len(ids(page)) == worse


def test_requests_are_ordered_and_paged(opened: Opened) -> None:
    page = opened.page
    worst = ids(page)
    assert worst[0] == f"sentence-{REQUESTS - 1:03d}"  # silent, so nobody could judge it
    page.get_by_label("Order").select_option("suite")
    assert ids(page) == [f"sentence-{number:03d}" for number in range(10)]
    assert page.get_by_role("button", name="Previous").is_disabled()
    page.get_by_role("button", name="Next").click()
    page.get_by_role("button", name="Next").click()
    assert ids(page) == ["sentence-020", "sentence-021", "sentence-022"]
    assert page.get_by_role("button", name="Next").is_disabled()
    page.get_by_label("Order").select_option("worst")
    assert ids(page) == worst


def test_rejected_clips_are_made_when_somebody_looks(opened: Opened) -> None:
    page = opened.page
    request = page.locator(".request").nth(1)
    before = request.locator(".clip").count()
    request.locator("summary").click()
    request.locator("details .clip").first.wait_for()
    expect(request.locator("details .clip")).to_have_count(N + 2 - before)
    again = request.locator("details .command").first.inner_text()
    assert again.startswith("tts-eval again ") and "--index" in again


def test_errors_in_transcripts_are_marked(opened: Opened) -> None:
    letters = opened.page.locator("#requests mark.error abbr").all_inner_texts()
    assert set(letters) == {"S", "D", "I"}
    deletion = opened.page.locator("#requests mark.deletion").first
    assert deletion.locator("del").count() == 1 and deletion.locator("ins").count() == 0


def test_hostile_text_is_text(browser: Browser, tmp_path: Path) -> None:
    made = make_results(tmp_path, requests=len(HOSTILE), n=3)
    requests = []
    for request, text in zip(made.requests, HOSTILE, strict=True):
        candidates = []
        for candidate in request.candidates:
            scores = {
                key: replace(score, details={"transcript": text, "alignment": _all_wrong(text)})
                if key.startswith("asr") else score
                for key, score in candidate.scores.items()
            }  # fmt: skip
            audio = candidate.audio
            if audio and text.startswith("</script>"):
                audio = f"audio/{candidate.index}'\"><img src=x onerror=alert(1)>.flac"
                (tmp_path / audio).write_bytes((tmp_path / str(candidate.audio)).read_bytes())
            candidates.append(replace(candidate, scores=scores, audio=audio))
        requests.append(
            replace(request, id=text[:200], text=text, group=text[:50], speaker=text[:50], candidates=tuple(candidates))
        )
    hostile = replace(made, requests=tuple(requests), name=HOSTILE[0])
    modes: tuple[AudioMode, ...] = ("embed", "link")
    for audio in modes:
        one = Opened(browser, write_page(hostile, tmp_path, audio))
        page = one.page
        assert page.locator("#requests .request").count() == len(HOSTILE)
        for folded in page.locator("details.rejected").all():
            folded.locator("> summary").click()
            folded.locator(".clip").first.wait_for()
        texts = page.locator("#requests .text").all_text_contents()
        assert sorted(texts) == sorted(HOSTILE)
        assert page.title().startswith(HOSTILE[0])
        assert page.evaluate("document.querySelectorAll('#requests img, #requests script').length") == 0
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        one.page.locator(".chosen .play").first.click()
        assert one.strangers == [] and one.complaints == []
        one.context.close()


def _all_wrong(text: str) -> str:
    return json.dumps([["substitute", text, text], ["equal", text, text]])


TRACE = [
    [0, None, 0.1, 0.3, "kept", 1], [0, None, 0.1, 0.2, "kept", 0], [0, None, 0.1, None, "dropped", 0],
    [1, 0, 0.2, 0.5, "kept", 1], [1, 0, 0.2, 0.4, "dropped", 0], [1, 1, 0.2, 0.6, "ended", 0],
    [2, 3, 0.4, 0.9, "ended", 1],
]  # fmt: skip


def test_a_guided_search_shows_its_tree_and_plays_the_chosen_line(browser: Browser, tmp_path: Path) -> None:
    made = make_results(tmp_path, requests=2, n=1)
    requests = tuple(replace(request, read_trace=lambda: json.dumps(TRACE)) for request in made.requests)
    one = Opened(browser, write_page(replace(made, requests=requests), tmp_path))
    page = one.page
    page.get_by_text("The search: who was kept").last.click()
    tree = page.locator("details.search").last
    for shape, number in (("circle", len(TRACE)), ("path", 4), ("circle.dropped", 2), ("circle.way", 3)):
        expect(tree.locator(shape)).to_have_count(number)
    cells = [row.split("\t")[:5] for row in tree.locator("tbody tr").all_inner_texts()]
    assert cells == [["1", "3", "1", "0.3", "0.1 s"], ["2", "3", "1", "0.5", "0.2 s"], ["3", "1", "0", "0.9", "0.4 s"]]
    tree.get_by_role("button", name="Play what was said up to decision 2").click()
    expect(page.locator(".playing")).to_have_count(0)
    slider = page.locator(".chosen [type=range]").last
    expect(slider).to_have_attribute("aria-valuetext", re.compile("0[.][23] s"))
    assert serious_problems(page) == [] and one.complaints == []
    one.context.close()


def test_a_large_tree_counts_who_was_dropped(tmp_path: Path) -> None:
    made = make_results(tmp_path, requests=1, n=1)
    rows = [[0, None, 0.5, 0.1, "kept" if number < 16 else "dropped", int(number == 3)] for number in range(700)]
    page = write_page(
        replace(made, requests=(replace(made.requests[0], read_trace=lambda: json.dumps(rows)),)), tmp_path
    )
    (detail,) = json.loads(re.findall(r'id="requests-0">(.*?)</script>', page.read_text(encoding="utf-8"))[0])
    assert len(detail["tree"]) == 17 and detail["tree"][-1] == [0, 684]
    assert detail["tree"][3] == [0, None, 0.5, "0.1", "k", 1]


def test_linked_and_neighbouring_audio_plays(browser: Browser, results: RunResults, tmp_path: Path) -> None:
    made = make_results(tmp_path, requests=2, n=2)
    for settings in ({"audio": "link"}, {"beside": "clips"}):
        path = write_page(made, tmp_path, **settings)  # type: ignore[arg-type]
        one = Opened(browser, path)
        one.page.locator(".chosen .play").last.click()
        one.page.wait_for_selector(".playing")
        assert one.strangers == [] and one.complaints == []
        one.context.close()


def test_a_clip_that_is_gone_is_said(browser: Browser, tmp_path: Path) -> None:
    made = make_results(tmp_path, requests=2, n=2)
    path = write_page(made, tmp_path, "link")
    for file in (tmp_path / "audio").iterdir():
        file.unlink()
    one = Opened(browser, path)
    one.page.locator(".play").first.click()
    one.page.get_by_text("This clip does not play").wait_for()
    one.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [{"width": 1400, "height": 900}, NARROW], ids=["wide", "narrow"])
def test_axe_finds_nothing_serious_and_nothing_sticks_out(
    browser: Browser, report: Path, scheme: str, viewport: dict[str, int]
) -> None:
    one = Opened(browser, report, color_scheme=scheme, viewport=viewport)
    one.page.locator("details.rejected > summary").first.click()
    one.page.locator(".play").first.click()
    assert serious_problems(one.page) == []
    assert one.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    if viewport == NARROW:  # a table that is scrolled sideways would hide its values behind its labels
        tables = "[...document.querySelectorAll('.scroll:not(.compact)')]"
        assert one.page.evaluate(f"{tables}.every(table => table.scrollWidth <= table.clientWidth)")
    one.context.close()


def test_tables_need_no_javascript(browser: Browser, report: Path) -> None:
    one = Opened(browser, report, java_script_enabled=False)
    page = one.page
    assert page.get_by_role("heading", name="Numbers").is_visible()
    assert page.locator("#numbers table").first.is_visible()
    assert page.get_by_text("Listening and searching need JavaScript").is_visible()
    assert not page.locator("#browser").is_visible()
    one.context.close()
