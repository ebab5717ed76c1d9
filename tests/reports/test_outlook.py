"""What `plan` says a suite could show."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from typer.testing import CliRunner

from benchmarks.runner import run
from reports.frame import results_frame
from reports.outlook import outlook_of
from reports.read_run import read_run
from tts_eval.cli.app import app
from tts_eval.config import RunConfig
from tts_eval.types import Failure, FailureKind


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("outlook") / "run"
    run(RunConfig(synth="fake", n=4, verifier="fake", judge=("fake:2", "fake:3"), limit=12), path)
    return path


def test_it_is_the_spread_of_one_sample_against_the_chosen_at_the_suites_size(folder):
    table = results_frame(read_run(folder))
    first = table[table["index"] == 0].set_index("request_id")["fake:2#stray"]
    chosen = table[table["chosen"]].set_index("request_id")["fake:2#stray"]
    spread = float(np.std(chosen - first[chosen.index], ddof=1))
    for clusters in (12, 48, 1000):
        known = {one.judged.key: one.detectable for one in outlook_of(read_run(folder), clusters, clusters)}
        assert list(known) == ["fake:2#stray", "fake:3#stray"]  # of 'fake', which chose, nothing is said
        reach = stats.t.ppf(0.975, clusters - 1) + stats.t.ppf(0.8, clusters - 1)
        assert known["fake:2#stray"] == pytest.approx(reach * spread / np.sqrt(clusters))


def test_more_requests_of_each_speaker_show_more(folder):
    results = read_run(folder)
    spoken = tuple(replace(request, speaker=f"s{row % 4}") for row, request in enumerate(results.requests))
    few, as_many, many = (
        outlook_of(replace(results, requests=spoken), 4, requests)[0].detectable for requests in (4, 12, 400)
    )
    assert few > as_many > many


@pytest.mark.parametrize("is_made", [False, True])
def test_of_a_run_that_was_stopped_only_what_is_there_counts(folder, is_made: bool):
    results = read_run(folder)
    lacking = Failure(FailureKind.NOT_MADE, "Not generated yet.")
    stopped = tuple(
        replace(request, candidates=tuple(
            replace(one, scores={}, failure=None if is_made else lacking) for one in request.candidates
        ))
        if row >= 7 else request
        for row, request in enumerate(results.requests)
    )  # fmt: skip
    half, there = (replace(results, requests=requests) for requests in (stopped, results.requests[:7]))
    assert outlook_of(half, 12, 12) == outlook_of(there, 12, 12) != []
    assert outlook_of(replace(results, requests=stopped[6:]), 12, 12) == []


def test_where_nothing_was_chosen_nothing_is_said(tmp_path: Path):
    run(RunConfig(synth="fake", n=1, verifier="fake", judge=("fake:2",), limit=4), tmp_path)
    assert outlook_of(read_run(tmp_path), 48, 48) == []


def test_plan_says_it_of_the_suite_that_was_asked_about(folder, tmp_path: Path):
    grid = tmp_path / "grid.yaml"
    grid.write_text("synth: fake\nn: 4\nverifier: fake\njudge: ['fake:2']\nlimit: 30\n")
    result = CliRunner().invoke(app, ["plan", str(grid), "--like", str(folder), "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)["detectable"]["fake:2#stray"]
    assert found == outlook_of(read_run(folder), 30, 30)[0].detectable
    assert "With 30 independent draws" in result.stderr
    assert f"{found:.3f} of stray by fake:2" in " ".join(result.stderr.split())
