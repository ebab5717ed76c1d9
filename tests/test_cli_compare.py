"""`tts-eval compare` as a user runs it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from test_cli import FAKE, cli, last_json


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the runs a and b (two seeds), `other` (another suite) and half (a run that was stopped)."""
    folder = tmp_path_factory.mktemp("compare")
    for name, flags in (("a", ["--seed", 0]), ("b", ["--seed", 1]), ("other", ["--suite", "mini-dev"])):
        result = cli("run", *FAKE, "--judge", "fake:2", "--limit", 8, "--n", 4, *flags, "--out", folder / name)
        assert result.returncode == 0, result.stderr
    shutil.copytree(folder / "b", folder / "half")
    sorted((folder / "half/candidates").glob("part-*.parquet"))[-1].unlink()
    shutil.copytree(folder / "b", folder / "elsewhere" / "a")
    (folder / "nothing").mkdir()
    return folder


def test_compare_prints_writes_and_ends_with_one_json_object(runs: Path, tmp_path: Path) -> None:
    result = cli("compare", runs / "a", runs / "b", "--out", tmp_path / "out", "--json")
    assert result.returncode == 0, result.stderr
    assert len(result.stdout.splitlines()) == 1
    record = last_json(result)
    assert record["n_expected"] == 8 and set(record["runs"]) == {"a", "b"}
    (one,) = record["comparisons"]
    assert set(one["metrics"]) == {"fake#stray", "fake:2#stray"}
    assert one["metrics"]["fake#stray"]["selected_in"] == ["a", "b"]
    assert {"difference", "difference_ci", "p", "p_holm", "n", "n_expected", "detectable"} <= set(
        one["metrics"]["fake:2#stray"]
    )
    for name in ("compare.html", "compare.md", "compare.json", "compare.parquet"):
        assert (tmp_path / "out" / name).is_file()
    assert json.loads((tmp_path / "out/compare.json").read_text()) == record
    assert "HELD OUT" in result.stderr


def test_a_judge_that_not_all_runs_have_is_named_and_each_note_is_said_once(runs: Path, tmp_path: Path) -> None:
    flags = (*FAKE, "--limit", 8, "--n", 4)
    for name, judges in (("one", ["--judge", "fake:2"]), ("two", ["--judge", "fake:2", "--judge", "fake:3"])):
        assert cli("run", *flags, *judges, "--seed", len(judges), "--out", tmp_path / name).returncode == 0
    result = cli("compare", tmp_path / "one", tmp_path / "two", runs / "a", "--out", tmp_path / "out")
    said = " ".join(result.stdout.split())
    assert "Not in every run, hence left out: two: fake:3#stray." in said
    assert said.count("Detectable: the least difference") == 1


def test_without_a_folder_it_is_named_after_the_runs(runs: Path, tmp_path: Path) -> None:
    result = cli("compare", runs / "a", runs / "b", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["b-vs-a"]
    assert "b against a: stray by fake:2" in " ".join(result.stdout.split())


def test_runs_of_one_name_are_told_apart_by_their_folders(runs: Path, tmp_path: Path) -> None:
    result = cli("compare", runs / "a", runs / "elsewhere" / "a", "--out", tmp_path, "--json")
    assert set(last_json(result)["runs"]) == {str(runs / "a"), str(runs / "elsewhere" / "a")}


def test_interval_and_audio_are_used(runs: Path, tmp_path: Path) -> None:
    found = {}
    for method in ("expanded", "percentile", "bca"):
        record = last_json(
            cli("compare", runs / "a", runs / "b", "--out", tmp_path, "--interval", method, "--audio", "none", "--json")
        )
        assert record["interval"] == method
        found[method] = tuple(record["comparisons"][0]["metrics"]["fake:2#stray"]["difference_ci"])
    assert len(set(found.values())) == 3
    assert "data:audio" not in (tmp_path / "compare.html").read_text()


def test_a_run_that_was_stopped_counts_as_failed_where_it_is_not_done(runs: Path, tmp_path: Path) -> None:
    flags = ["compare", runs / "a", runs / "half", "--out", tmp_path, "--json"]
    result = cli(*flags)
    assert result.returncode == 1
    half = last_json(result)["runs"]["half"]
    assert 0 < len(half["unscored"]) == 8 - half["n_scored"]
    assert half["unscored"][0] in result.stderr
    assert cli(*flags, "--fail-on", 1).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "messages"),
    [
        (["a"], ["takes two runs or more; got 1"]),
        (["a", "a"], ["is given 2 times; a run does not differ from itself"]),
        (["a", "nothing", "nowhere"], ["nothing is not a run", "nowhere is not a run"]),
        (["a", "other"], ["other is a run of mini-dev@1, a of mini@1"]),
        (["a", "b", "--interval", "wide"], ["'wide' is not one of: expanded, percentile, bca"]),
        (["a", "b", "--audio", "link"], ["'link' is not one of: embed, none"]),
    ],
)
def test_mistakes_end_with_2_and_a_way_out(runs: Path, arguments: list[str], messages: list[str]) -> None:
    before = sorted(runs.iterdir())
    result = cli("compare", *arguments, cwd=runs)
    assert result.returncode == 2
    for message in messages:
        assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert sorted(runs.iterdir()) == before
