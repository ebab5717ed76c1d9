"""Whether a budget was kept is said request by request."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.runner import run
from reports.budget_use import budget_use
from reports.cost_table import cost_table
from reports.read_run import read_run
from reports.summary import summarise
from tts_eval.config import RunConfig
from tts_eval.store import RunStore

CONFIG = RunConfig(suite="mini", limit=6, synth="fake", n=16, verifier="fake", judge=("fake:2",))


def test_shares_are_what_the_store_says_each_request_cost(tmp_path: Path) -> None:
    run(replace(CONFIG, budget="95-tokens"), tmp_path)
    chosen = [row for row in RunStore.read(tmp_path).candidates.values() if row["search_judgements"]]
    tokens = np.array([row["tokens_sampled"] for row in chosen])  # the chosen one carries its whole search
    use = budget_use(read_run(tmp_path))
    assert use is not None
    assert use.median == pytest.approx(np.median(tokens) / 95)
    assert use.largest == pytest.approx(tokens.max() / 95)
    assert (use.over, use.requests) == ((tokens > 95).sum(), 6)
    assert use.over > 0, "best-of-n stops after the sample that exceeds the budget"


def test_the_report_shows_the_budget_and_a_run_without_one_has_no_such_rows(tmp_path: Path) -> None:
    run(replace(CONFIG, budget="95-tokens"), tmp_path / "limited")
    run(replace(CONFIG, n=2), tmp_path / "free")
    limited, free = (summarise(read_run(tmp_path / name)) for name in ("limited", "free"))
    rows = {row[0].text: row[1].text for row in cost_table(limited).rows}
    use = limited.cost.budget
    assert use is not None
    assert rows["Budget of a request"] == "95-tokens"
    assert rows["Spent of it by the costliest"] == f"{100 * use.largest:.0f} %"
    assert limited.as_json()["cost"]["budget"]["over"] == use.over  # type: ignore[index]
    assert free.cost.budget is None
    assert not any("Budget" in row[0].text for row in cost_table(free).rows)


def test_requests_that_were_not_searched_have_spent_nothing_of_no_share(tmp_path: Path) -> None:
    run(replace(CONFIG, budget="95-tokens", limit=3), tmp_path / "begun")
    run(replace(CONFIG, n=1), tmp_path / "all")
    finished = budget_use(read_run(tmp_path / "begun"))
    assert finished is not None
    (tmp_path / "begun" / "requests.jsonl").write_bytes((tmp_path / "all" / "requests.jsonl").read_bytes())
    begun = read_run(tmp_path / "begun")
    assert budget_use(begun) == replace(finished, expected=6)
    rows = {row[0].text: row[1].text for row in cost_table(summarise(begun)).rows}
    assert rows["Requests whose last step went over it"] == f"{finished.over} of 3 searched; 6 expected"
    assert budget_use(replace(begun, requests=begun.requests[3:])) is None
