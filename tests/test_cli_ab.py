"""`tts-eval ab` as a user runs it: a run becomes a page, results become a win rate."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

from test_cli import FAKE, cli, last_json

from reports.blind_test import KIND


def test_a_run_becomes_a_page_and_results_become_a_win_rate(tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert cli("run", *FAKE, "--judge", "fake:2", "--limit", 12, "--n", 4, "--out", run).returncode == 0
    made = cli("ab", run, "--pairs", 3, "--seed", 5, "--json")
    assert made.returncode == 0, made.stderr
    record = last_json(made)
    assert record["page"] == str(run / "report/ab.html") and record["pairs"] == 3 < record["eligible"]
    text = (run / "report/ab.html").read_text()
    test = json.loads(re.findall(r'<script type="application/json" id="test">(.*?)</script>', text)[0])
    assert (test["seed"], len(test["questions"])) == (5, 3)
    answers = [{"request": one["request"], "order": one["order"], "answer": "b"} for one in test["questions"]]
    saved = tmp_path / "saved.json"
    saved.write_text(json.dumps({"kind": KIND, "a": test["a"], "b": test["b"], "answers": answers}))
    said = cli("ab", saved, "--json")
    assert last_json(said)["rate"] == 1.0 and last_json(said)["requests"] == 3
    assert "Fewer than 6 requests" in said.stderr


def test_two_runs_are_compared_by_their_choices(tmp_path: Path) -> None:
    for seed in (0, 1):
        flags = ["--judge", "fake:2", "--limit", 2, "--n", 2, "--seed", seed, "--out", tmp_path / f"run{seed}"]
        assert cli("run", *FAKE, *flags).returncode == 0
    result = cli("ab", tmp_path / "run0", tmp_path / "run1", "--out", tmp_path / "ab")
    assert "2 of 2 pairs that differ: run0 against run1" in result.stdout
    assert (tmp_path / "ab.html").is_file()
    assert cli("ab", tmp_path / "run0", tmp_path / "run1", tmp_path / "run0").returncode == 2
    assert "No request has two different clips" in cli("ab", tmp_path / "run0", tmp_path / "run0").stderr


def test_clips_that_are_the_same_or_gone_are_no_pairs(tmp_path: Path) -> None:
    run, again = tmp_path / "run", tmp_path / "again"
    assert cli("run", *FAKE, "--judge", "fake:2", "--limit", 3, "--n", 4, "--out", run).returncode == 0
    shutil.copytree(run, again)
    same = cli("ab", run, again)
    assert same.returncode == 2 and "No request has two different clips" in " ".join(same.stderr.split())
    before = last_json(cli("ab", run, "--json"))["eligible"]
    assert before > 0
    for clip in (run / "candidates/audio").iterdir():
        clip.unlink()
    gone = cli("ab", run)
    assert gone.returncode == 2 and "whose files are gone" in " ".join(gone.stderr.split())


def test_a_page_that_asks_about_other_pairs_is_kept(tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert cli("run", *FAKE, "--judge", "fake:2", "--limit", 12, "--n", 4, "--out", run).returncode == 0
    pages = [last_json(cli("ab", run, "--pairs", 3, "--seed", seed, "--json"))["page"] for seed in (0, 1, 0, 2, 1)]
    names = [Path(page).name for page in pages]
    assert names == ["ab.html", "ab-2.html", "ab.html", "ab-3.html", "ab-2.html"]
    kept = (run / "report/ab.html").read_bytes()
    again = cli("ab", run, "--pairs", 3, "--seed", 3, "--out", run / "report/ab.html")
    assert "which asks about other pairs" in " ".join(again.stdout.split())
    assert (run / "report/ab.html").read_bytes() == kept


def test_results_and_runs_are_not_mixed(tmp_path: Path) -> None:
    (tmp_path / "saved.json").write_text("{}")
    result = cli("ab", tmp_path, tmp_path / "saved.json")
    assert result.returncode == 2 and "saved.json is a file among folders" in " ".join(result.stderr.split())
