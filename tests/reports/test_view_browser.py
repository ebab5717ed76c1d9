"""The pages of `tts-eval view` in a real browser: sorting, small screens, accessibility, no word to anybody else."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from view_factory import Served, make_run, serving

from reports.leaderboard import read_leaderboard
from reports.leaderboard_page import write_leaderboard
from tts_eval.store import RunStore

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytest.importorskip("starlette", reason="starlette is not installed: pip install tts-eval-harness[view]")
sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (Debian's package chromium)")
HOSTILE = "<img src=x onerror=alert(1)> \u202e &amp;"
WIDTHS = (1400, 360)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("browser") / "runs"
    for seed, name in enumerate(("one", "two", HOSTILE)):
        make_run(place / name, n=1 + seed, limit=8, seed=seed)
    make_run(place / "other requests", limit=2)
    (place / "damaged").mkdir()
    (place / "damaged/run.json").write_text("{")
    return place


@pytest.fixture(scope="module")
def served(runs: Path) -> Iterator[Served]:
    with serving(runs) as one:
        yield one


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


class Tab:
    """A page, everything it asked for, and what it complained about."""

    def __init__(self, browser: Browser, **settings: Any) -> None:
        self.page: Page = browser.new_page(**settings)
        self.asked: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: self.complaints.append("a dialog"))

    def column(self, number: int, table: str = "board-1") -> list[str]:
        return self.page.locator(f"#{table} tbody tr > :nth-child({number}) .main").all_inner_texts()


@pytest.fixture
def tab(browser: Browser) -> Iterator[Tab]:
    one = Tab(browser, viewport={"width": 1400, "height": 900})
    yield one
    one.page.close()


def test_the_leaderboard_sorts_by_click_and_back(tab: Tab, served: Served) -> None:
    tab.page.goto(served.url)
    assert tab.column(1) == ["1", "2", "3"]
    values = [float(text.removesuffix(" %")) for text in tab.column(3)]
    assert values == sorted(values)
    head = tab.page.locator("#board-1 thead th").nth(2)
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "descending"
    assert [float(text.removesuffix(" %")) for text in tab.column(3)] == values[::-1]
    tab.page.locator("#board-1 thead th").nth(1).get_by_role("button").press("Enter")
    names = tab.column(2)
    assert names == sorted(names, key=str.lower) and len(names) == 3
    assert tab.page.locator("#board-2 thead th").nth(0).get_attribute("aria-sort") == "ascending"


def test_what_is_not_ranked_stays_last_either_way(tab: Tab, runs: Path, tmp_path: Path) -> None:
    half = tmp_path / "half"
    shutil.copytree(runs / "one", half)
    for part in (half / "scores").glob("part-*"):
        part.unlink()
    write_leaderboard(read_leaderboard([runs / "one", runs / "two", half]), tmp_path / "board")
    tab.page.goto((tmp_path / "board/leaderboard.html").as_uri())
    button = tab.page.locator("#board-1 thead th").nth(0).get_by_role("button")
    for expected in (["2", "1", "–"], ["1", "2", "–"]):
        button.click()
        assert tab.column(1) == expected
    assert tab.complaints == [] and len(tab.asked) == 1


def test_small_screens_sort_by_a_list(browser: Browser, served: Served) -> None:
    tab = Tab(browser, viewport={"width": 360, "height": 740})
    tab.page.goto(served.url)
    before = tab.column(2)
    select = tab.page.locator('select[data-sorts="board-1"]')
    assert select.is_visible() and not tab.page.locator("#board-1 thead button").first.is_visible()
    tab.page.get_by_role("button", name="Reverse").first.click()
    assert tab.column(2) == before[::-1]
    select.select_option(label="Run")
    assert tab.column(2) == sorted(before, key=str.lower)
    tab.page.close()


def test_tables_are_there_without_javascript(browser: Browser, served: Served) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(served.url)
    assert page.locator("#board-1 tbody tr").count() == 3
    assert page.locator(".sort:visible").count() == 0
    assert "of" in page.locator("[data-run] .count").first.inner_text()
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_inaccessible_or_wider_than_the_screen(
    browser: Browser, served: Served, width: int, scheme: str
) -> None:
    tab = Tab(browser, viewport={"width": width, "height": 800}, color_scheme=scheme)
    tab.page.goto(served.url)
    found = axe.Axe().run(tab.page).response["violations"]
    assert [one["id"] for one in found if one["impact"] in ("serious", "critical")] == []
    assert tab.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    if folder := os.environ.get("TTS_EVAL_SCREENSHOTS"):
        tab.page.screenshot(path=f"{folder}/view-{width}-{scheme}.png", full_page=True)
    tab.page.close()


def test_no_request_leaves_the_machine_and_names_are_text(tab: Tab, served: Served) -> None:
    tab.page.goto(served.url)
    assert tab.page.get_by_role("link", name=HOSTILE).count() == 2
    tab.page.get_by_role("link", name=HOSTILE).first.click()
    tab.page.wait_for_url("**/report/report.html")
    tab.page.wait_for_load_state("networkidle")
    tab.page.goto(f"{served.url}runs/damaged/report/report.html")
    assert "cannot be read" in tab.page.inner_text("body")
    assert len(tab.asked) >= 3
    assert [url for url in tab.asked if not url.startswith((served.url, "data:", "blob:"))] == []
    assert [text for text in tab.complaints if "422" not in text] == []


def test_audio_of_a_report_plays_from_the_server(tab: Tab, served: Served) -> None:
    tab.page.goto(f"{served.url}runs/one/report/report.html")
    address = tab.page.evaluate('document.documentElement.outerHTML.match(/\\.\\.\\/candidates\\/audio\\/[^"&]+/)[0]')
    seconds = tab.page.evaluate(
        """(url) => new Promise((resolve, reject) => {
            const audio = new Audio(url);
            audio.addEventListener("loadedmetadata", () => resolve(audio.duration));
            audio.addEventListener("error", () => reject(audio.error.message));
        })""",
        address,
    )
    assert seconds > 0.1


def test_progress_moves_without_a_reload(tab: Tab, runs: Path, tmp_path: Path) -> None:
    place = tmp_path / "live"
    shutil.copytree(runs / "two", place / "two")
    parts = sorted((place / "two/candidates").glob("part-*"))
    kept = [part.rename(tmp_path / part.name) for part in parts]
    with serving(place) as served, RunStore.create(place / "two") as store:
        tab.page.goto(served.url)
        count = tab.page.locator('[data-run="two"] [data-count="candidates"]')
        sync_api.expect(count).to_have_text("0 of 16")
        sync_api.expect(tab.page.locator('[data-run="two"] .state')).to_have_text("running")
        for part in kept:
            part.rename(place / "two/candidates" / part.name)
        sync_api.expect(count).to_have_text("16 of 16")
        store.__exit__(None, None, None)
        sync_api.expect(tab.page.locator("#stale")).to_contain_text("A run has ended")
        shutil.copytree(runs / "one", place / "one")
        sync_api.expect(tab.page.locator("#stale")).to_contain_text("Reload the page to see them")
    assert [url for url in tab.asked if not url.startswith(served.url)] == ["data:,"] * tab.asked.count("data:,")


def test_a_page_of_somebody_else_runs_no_script(tab: Tab, served: Served, runs: Path) -> None:
    folder = runs / "one/report"
    folder.mkdir(exist_ok=True)
    script = "document.title = 'taken'; fetch('/').then(() => document.title = 'read');"
    (folder / "theirs.html").write_text(f"<title>quiet</title><script>{script}</script><p onclick='{script}'>text</p>")
    try:
        tab.page.goto(f"{served.url}runs/one/report/theirs.html")
        tab.page.get_by_text("text").click()
        assert tab.page.title() == "quiet"
        assert any("Content Security Policy" in complaint for complaint in tab.complaints)
    finally:
        (folder / "theirs.html").unlink()
