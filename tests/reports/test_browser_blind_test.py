"""The blind test as a listener has it: listens, answers, saves, and the file says what was heard."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from browser import NARROW, Opened, expect, running, serious_problems
from results_factory import make_results

from reports.blind_test import first_against_chosen, render_blind_test
from reports.preference import preference
from reports.shelf import Shelf

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

NAMES = ("demo, <b>N = 1</b>", "demo, chosen")
PAIRS = 4


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running() as found:
        yield found


def written(folder: Path, seed: int = 0) -> Path:
    pairs = first_against_chosen(make_results(folder, requests=12, n=4))
    shelves = (Shelf(folder, "embed", folder), Shelf(folder, "embed", folder))
    page = folder / "ab.html"
    page.write_text(render_blind_test(pairs, NAMES, shelves, most=PAIRS, seed=seed), encoding="utf-8")
    return page


def data_of(page: Page) -> dict[str, Any]:
    return json.loads(page.evaluate("document.getElementById('test').textContent"))  # type: ignore[no-any-return]


def results_of(page: Page, path: Path) -> dict[str, Any]:
    with page.expect_download() as download:
        page.get_by_role("button", name="Save results").click()
    download.value.save_as(path)
    return json.loads(path.read_text())  # type: ignore[no-any-return]


def test_answers_go_to_the_file_by_what_was_heard(browser: Browser, tmp_path: Path) -> None:
    one = Opened(browser, written(tmp_path))
    page = one.page
    test = data_of(page)
    assert len(test["questions"]) == PAIRS
    clicks = ["First is better", "Second is better", "No difference", "Second is better"]
    for number, (question, click) in enumerate(zip(test["questions"], clicks, strict=True), start=1):
        assert page.get_by_role("heading", name=f"Pair {number} of {PAIRS}").is_visible()
        assert page.locator("#sentence").inner_text() == question["text"]
        assert "chosen" not in page.locator("main").inner_text()
        assert page.get_by_role("button", name=click).is_disabled()
        page.get_by_role("button", name="Play first clip").click()
        assert page.get_by_role("button", name=click).is_disabled()
        page.get_by_role("button", name="Play second clip").click()
        page.get_by_role("button", name=click).click()
    expected = []
    for question, click in zip(test["questions"], clicks, strict=True):
        answer = {"F": question["order"][0], "S": question["order"][1], "N": "tie"}[click[0]]
        expected.append({"request": question["request"], "order": question["order"], "answer": answer})
    saved = results_of(page, tmp_path / "saved.json")
    assert saved["answers"] == expected
    said = preference([tmp_path / "saved.json"])
    shown = page.locator("#result").inner_text()
    bounds = f"[{100 * said.interval.low:.1f} %, {100 * said.interval.high:.1f} %]"
    assert shown == f"B wins {100 * said.rate:.1f} % {bounds}"
    assert f"A is {NAMES[0]}. B is {NAMES[1]}." == page.locator("#verdict").inner_text()
    assert one.strangers == [] and one.complaints == []
    one.context.close()


def test_the_keyboard_is_enough_and_one_can_go_back(browser: Browser, tmp_path: Path) -> None:
    one = Opened(browser, written(tmp_path))
    page = one.page
    first = data_of(page)["questions"][0]
    page.keyboard.press("ArrowRight")
    assert page.get_by_role("heading", name="Pair 1 of").is_visible()  # nothing was heard yet
    for key in ("1", "2", "ArrowRight"):
        page.keyboard.press(key)
    assert page.get_by_role("heading", name="Pair 2 of").is_visible()
    page.keyboard.press("Backspace")
    assert page.get_by_role("heading", name="Pair 1 of").is_visible()
    for key in ("1", "2", "ArrowLeft"):
        page.keyboard.press(key)
    saved = results_of(page, tmp_path / "half.json")
    assert [answer["answer"] for answer in saved["answers"]] == [first["order"][0]]
    one.context.close()


def test_the_seed_decides_the_order_and_both_orders_occur(browser: Browser, tmp_path: Path) -> None:
    orders = []
    for seed in (0, 0, 1, 2):
        one = Opened(browser, written(tmp_path, seed))
        orders.append([(question["request"], question["order"]) for question in data_of(one.page)["questions"]])
        one.context.close()
    assert orders[0] == orders[1] != orders[2]
    assert {order for some in orders for _, order in some} == {"ab", "ba"}


def test_answers_survive_a_reload_and_belong_to_their_test(browser: Browser, tmp_path: Path) -> None:
    one = Opened(browser, written(tmp_path))
    page = one.page
    for key in ("1", "2", "ArrowRight", "1", "2", "ArrowDown"):
        page.keyboard.press(key)
    expect(page.get_by_role("heading", name=f"Pair 3 of {PAIRS}")).to_be_visible()
    before = results_of(page, tmp_path / "before.json")["answers"]
    page.reload()
    expect(page.get_by_role("heading", name=f"Pair 3 of {PAIRS}")).to_be_visible()
    assert results_of(page, tmp_path / "after.json")["answers"] == before
    written(tmp_path, seed=1)  # another test under the same address
    page.reload()
    expect(page.get_by_role("heading", name=f"Pair 1 of {PAIRS}")).to_be_visible()
    written(tmp_path)
    page.reload()
    for key in ("1", "2", "ArrowLeft") * 2:
        page.keyboard.press(key)
    expect(page.locator("#result")).to_be_visible()
    page.get_by_role("button", name="Start again").click()
    expect(page.get_by_role("heading", name=f"Pair 1 of {PAIRS}")).to_be_visible()
    page.reload()
    expect(page.get_by_role("heading", name=f"Pair 1 of {PAIRS}")).to_be_visible()
    assert one.strangers == [] and one.complaints == []
    one.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(browser: Browser, tmp_path: Path, scheme: str) -> None:
    one = Opened(browser, written(tmp_path), color_scheme=scheme, viewport=NARROW)
    assert serious_problems(one.page) == []
    for key in ("1", "2", "ArrowDown") * PAIRS:
        one.page.keyboard.press(key)
    assert one.page.locator("#result").is_visible()
    assert serious_problems(one.page) == []
    assert one.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    one.context.close()
