"""A real browser for tests of pages: Debian's Chromium, or what TTS_EVAL_CHROMIUM names, driven by Playwright."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, LocatorAssertions, Page

CHROMIUM = os.environ.get("TTS_EVAL_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
WIDE, NARROW = {"width": 1400, "height": 900}, {"width": 360, "height": 800}


@contextmanager
def running() -> Iterator[Browser]:
    """The browser; skips where there is none."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="no playwright: pip install -e '.[dev]'")
    if not CHROMIUM:
        pytest.skip("no Chromium: apt-get install chromium, or name one in TTS_EVAL_CHROMIUM")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
        )
        yield browser
        browser.close()


def expect(locator: Locator) -> LocatorAssertions:
    """Waits until what is claimed of the locator holds; evaluates no string, which the pages' policy forbids."""
    from playwright.sync_api import expect as expects

    return expects(locator)


class Opened:
    """A page opened from disk, with all that it asked for and complained of."""

    def __init__(self, browser: Browser, path: Path, **context: object) -> None:
        self.requested: list[str] = []
        self.complaints: list[str] = []
        self.context = browser.new_context(**{"viewport": WIDE, **context})  # type: ignore[arg-type]
        self.page: Page = self.context.new_page()
        self.page.on("request", lambda request: self.requested.append(request.url))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.goto(path.resolve().as_uri())

    @property
    def strangers(self) -> list[str]:
        """Addresses beyond this machine's files and the page itself."""
        return [url for url in self.requested if not url.startswith(("file:", "blob:", "data:"))]


def serious_problems(page: Page) -> list[str]:
    """What axe-core finds that keeps people out: problems of impact serious or critical."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    return [
        f"{problem['id']}: {node['target']} {node.get('failureSummary', '')}"
        for problem in found
        if problem["impact"] in ("serious", "critical")
        for node in problem["nodes"]
    ]
