"""Recordings that requests bring along: judged by everybody, part of no search, counted with their failures."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.progress import Quiet
from benchmarks.rescore import add_judges
from benchmarks.runner import run
from benchmarks.suite import Suite, suites
from reports.read_run import read_run
from reports.results import RunResults
from reports.summary import Summary, summarise
from reports.tables import metrics_table
from tts_eval.audio import Clip, write_audio
from tts_eval.config import RunConfig
from tts_eval.ground_truth import ground_truth_items
from tts_eval.types import Request
from verifiers import load_verifier

CONFIG = RunConfig(synth="fake", n=4, verifier="fake", judge=("fake:2",), limit=4)


@pytest.fixture
def recorded(monkeypatch, tmp_path: Path) -> Suite:
    """Three requests with a recording each; the last one breaks off behind its header."""
    tone = np.sin(np.arange(16_000, dtype=np.float32) / 20)
    for number in range(3):
        write_audio(tmp_path / f"truth-{number}.flac", Clip(tone / (2 + number), 16_000))
    (tmp_path / "truth-2.flac").write_bytes((tmp_path / "truth-2.flac").read_bytes()[:200])
    requests = tuple(Request(id=f"r{i}", text="one two", ground_truth=tmp_path / f"truth-{i}.flac") for i in range(3))
    suite = Suite(name="recorded@1", requests=requests, judges=("fake:2",))
    monkeypatch.setitem(suites._objects, "mini", lambda **settings: suite)
    return suite


def test_ground_truths_are_judged_and_take_no_part_in_the_search(tmp_path: Path, recorded):
    run(replace(CONFIG, limit=None), tmp_path / "run")
    add_judges(tmp_path / "run", ["fake:3"])
    results = read_run(tmp_path / "run")
    for metric in results.metrics:
        truths = [request.ground_truth for request in results.requests]
        assert [truth.is_scored(metric) for truth in truths] == [True, True, False]
        expected = load_verifier(metric.verifier_key).score(ground_truth_items(recorded.requests[:2]))
        assert [truth.value(metric) for truth in truths[:2]] == [score.value for score in expected]
        assert truths[2].value(metric) == metric.metric.worst
    assert all(len(request.candidates) == 4 for request in results.requests)
    summary = summarise(results)
    for entry in summary.metrics:
        assert (entry.ground_truth.n, entry.ground_truth.n_expected) == (2, 3)
        values = [request.ground_truth.value(entry.judged) for request in results.requests]
        assert entry.ground_truth.value == pytest.approx(np.mean(values))
    table = metrics_table(summary)
    column = [column.title for column in table.columns].index("Truth")
    assert all(row[column].text.endswith("(2/3)") for row in table.rows)
    assert all(record["ground_truth_n_expected"] == 3 for record in summary.as_json()["metrics"].values())
    assert "Truth" not in [column.title for column in metrics_table(without_recordings(results)).columns]


def without_recordings(results: RunResults) -> Summary:
    requests = tuple(replace(request, ground_truth=None) for request in results.requests)
    return summarise(replace(results, requests=requests))


def test_recordings_count_in_the_progress_and_are_judged_on_resume(tmp_path: Path, recorded, caplog):
    class Counter(Quiet):
        def __init__(self):
            self.totals: dict[str, int] = {}
            self.done: dict[str, int] = {}

        def start(self, phase: str, total: int) -> None:
            self.totals[phase] = total

        def advance(self, phase: str, amount: int) -> None:
            self.done[phase] = self.done.get(phase, 0) + amount

    for _ in range(2):
        counter = Counter()
        run(replace(CONFIG, limit=None), tmp_path / "run", counter)
        assert counter.done == counter.totals == {"generate": 12, "select fake": 15, "judge fake:2": 15}
        assert "the recording of 'r2' cannot be judged" in caplog.text
        caplog.clear()


def test_a_recording_in_memory_is_reported_too(tmp_path: Path, monkeypatch):
    tone = np.sin(np.arange(16_000, dtype=np.float32) / 20)
    request = Request(id="r", text="one two", ground_truth=Clip(tone / 2, 16_000))
    suite = Suite(name="recorded@1", requests=(request,), judges=("fake:2",))
    monkeypatch.setitem(suites._objects, "mini", lambda **settings: suite)
    run(replace(CONFIG, limit=None), tmp_path)
    (result,) = read_run(tmp_path).requests
    assert result.ground_truth.scores.keys() == {"fake", "fake:2"}


def test_a_limit_beyond_the_suite_is_not_mentioned(tmp_path: Path, recorded):
    run(replace(CONFIG, limit=10), tmp_path / "run")
    assert read_run(tmp_path / "run").suite == "recorded@1"
