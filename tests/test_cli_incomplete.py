"""`tts-eval report` and `transfer` of half a run say what is there and what is not, and end with 0; 2 without a run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from test_cli import cli, last_json


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 12 candidates; the part with one request's scores is cut short."""
    run = tmp_path_factory.mktemp("runs") / "run"
    flags = ["--verifier", "fake", "--judge", "fake:2", "--limit", 3, "--n", 4, "--out", run]
    assert cli("run", "--synth", "fake", *flags).returncode == 0
    part = max((run / "scores").glob("part-*.parquet"))
    part.write_bytes(part.read_bytes()[:-20])
    return run


def words(text: str) -> str:
    return " ".join(text.split())


def test_a_damaged_part_is_named_in_the_page_with_what_is_missing(damaged: Path) -> None:
    result = cli("report", damaged, "--audio", "none", "--json")
    assert result.returncode == 0, result.stderr
    assert last_json(result)["n_scored"] < last_json(result)["n_expected"] == 3
    page = (damaged / "report/report.html").read_text()
    banner = re.findall(r'<p class="banner" role="note">(.*?)</p>', page)[0]
    part = max((damaged / "scores").glob("part-*.parquet")).name
    assert re.match(rf"Damaged: scores/{part} cannot be read. \d+ scores are missing and count as worst.", banner)
    assert "makes what is missing again" in banner
    assert cli("transfer", damaged).returncode == 0


@pytest.mark.parametrize("command", ["report", "transfer", "ab"])
def test_where_there_is_no_run_it_says_what_was_expected(tmp_path: Path, command: str) -> None:
    result = cli(command, tmp_path / "nosuch.json")
    assert result.returncode == 2
    said = words(result.stderr)
    assert "nosuch.json is not" in said and ("does not exist" in said or "is not there" in said)
    assert "--out folder of 'tts-eval run'" in said or "the JSON files that the page of a blind test saves" in said


def test_a_folder_of_runs_is_no_run_but_they_are_named(damaged: Path) -> None:
    result = cli("transfer", damaged.parent)
    assert result.returncode == 2 and "Runs inside it: run." in words(result.stderr)
