"""A run with workers ends like a serial one, whatever the strategy, the number of workers and the order."""

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas
import pytest
import yaml

from benchmarks import metering, remote_models
from benchmarks.grid import parse_grid
from benchmarks.progress import Quiet
from benchmarks.runner import run
from benchmarks.suite import Suite, suites
from benchmarks.sweep import run_sweep
from reports.frame import MEASURED_TIME, results_frame
from reports.read_run import read_run
from tts_eval.audio import Clip, write_audio
from tts_eval.config import RunConfig
from tts_eval.errors import ConfigError, RunLockedError
from tts_eval.store import RunStore
from tts_eval.types import Request
from tts_eval.workers import cluster as cluster_module
from tts_eval.workers import crew
from tts_eval.workers.cluster import Cluster
from tts_eval.workers.crew import Crew, Group
from tts_eval.workers.resources import Share

pytestmark = pytest.mark.usefixtures("ray_cluster")

CONFIG = RunConfig(synth="fake", n=4, verifier="fake", judge=("fake:2",), limit=6)
ONE = {"rest": {"actors": 1, "threads": 1}}


@pytest.fixture
def resources(tmp_path: Path):
    def write(**entries: object) -> str:
        path = tmp_path / "resources.yaml"
        path.write_text(yaml.safe_dump(entries))
        return str(path)

    return write


def frame(folder: Path) -> pandas.DataFrame:
    return results_frame(read_run(folder)).drop(columns=list(MEASURED_TIME))


def audio(folder: Path) -> dict[str, str]:
    """Digest of every audio file, by name."""
    files = sorted((folder / "candidates/audio").iterdir())
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def assert_same(first: Path, second: Path) -> None:
    pandas.testing.assert_frame_equal(frame(first), frame(second))
    assert audio(first) == audio(second)


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_any_number_of_workers_gives_what_a_serial_run_gives(tmp_path: Path, resources, workers):
    run(CONFIG, tmp_path / "serial")
    file = resources(rest={"actors": workers, "threads": 1})
    run(replace(CONFIG, executor="ray", resources=file), tmp_path / "ray")
    assert_same(tmp_path / "serial", tmp_path / "ray")


@pytest.mark.parametrize(
    "change",
    [
        {"verifier": "cascade(2 of fake:3, fake)"},
        {"strategy": "adaptive"},
        {"strategy": "rejection:threshold=-0.03"},
        {"strategy": "beam:expand=2,keep=2", "then": "fake:1"},
        {"strategy": "smc"},
        {"strategy": "best-of-n", "budget": "30-tokens"},
    ],
    ids=lambda change: change.get("strategy", "cascade"),
)
def test_every_strategy_gives_what_it_gives_in_a_serial_run(tmp_path: Path, resources, change):
    config = replace(CONFIG, **change)
    run(config, tmp_path / "serial")
    run(replace(config, executor="ray", resources=resources(rest={"actors": 2, "cpus": 1})), tmp_path / "ray")
    assert_same(tmp_path / "serial", tmp_path / "ray")


class Counter(Quiet):
    """Progress that adds up."""

    def __init__(self) -> None:
        self.totals: dict[str, int] = {}
        self.done: dict[str, int] = {}
        self.most_waiting = 0

    def start(self, phase: str, total: int) -> None:
        self.totals[phase] = total
        self.done[phase] = 0

    def advance(self, phase: str, amount: int) -> None:
        self.done[phase] += amount

    def waiting(self, phase: str, items: int) -> None:
        assert phase in self.totals
        self.most_waiting = max(self.most_waiting, items)


@pytest.fixture
def recorded(tmp_path: Path, monkeypatch) -> Suite:
    """Requests with a recording each, and one that says nothing."""
    time = np.arange(8000) / 16000
    requests = []
    for number in range(3):
        path = tmp_path / f"truth-{number}.wav"
        write_audio(path, Clip((0.3 * np.sin(2 * np.pi * (220 + number) * time)).astype(np.float32), 16000))
        requests.append(Request(id=f"r{number}", text="one two", ground_truth=path))
    requests.append(Request(id="empty", text="one", metadata={"fake": "empty"}))
    suite = Suite(name="recorded@1", requests=tuple(requests), judges=("fake:2",))
    monkeypatch.setitem(suites._objects, "mini", lambda **settings: suite)
    return suite


@pytest.mark.parametrize("change", [{}, {"verifier": "cascade(2 of fake:3, fake)"}, {"strategy": "adaptive"}])
def test_recordings_are_judged_and_progress_adds_up_at_first_and_again(tmp_path: Path, resources, recorded, change):
    config = replace(CONFIG, limit=None, **change)
    run(config, tmp_path / "serial")
    parallel = replace(config, executor="ray", resources=resources(rest={"actors": 2, "threads": 1}))
    for _ in range(2):
        progress = Counter()
        run(parallel, tmp_path / "ray", progress)
        assert progress.done == progress.totals
    assert_same(tmp_path / "serial", tmp_path / "ray")
    scores = RunStore.read(tmp_path / "ray").scores.values()
    judges = {row["judge"] for row in scores}
    assert sum(row["index"] == -1 for row in scores) == 3 * len(judges)


@pytest.fixture
def metrics(monkeypatch) -> Iterator[dict[tuple[str, str, str], float]]:
    """What Ray's metrics are told, by name, run and stage."""
    told: dict[tuple[str, str, str], float] = defaultdict(float)

    class Metric:
        def __init__(self, name: str, description: str, tag_keys: tuple[str, ...]) -> None:
            assert description and tag_keys == ("run", "stage")
            self._name = name

        def inc(self, value: float, tags: dict[str, str]) -> None:
            assert value > 0
            told[self._name, tags["run"], tags["stage"]] += value

        def set(self, value: float, tags: dict[str, str]) -> None:
            told[self._name, tags["run"], tags["stage"]] = value

    monkeypatch.setattr("ray.util.metrics.Counter", Metric)
    monkeypatch.setattr("ray.util.metrics.Gauge", Metric)
    metering._metrics.cache_clear()
    yield told
    metering._metrics.cache_clear()


def test_ray_is_told_what_was_made_heard_and_lost_and_who_was_busy(tmp_path: Path, resources, recorded, metrics):
    config = replace(CONFIG, limit=None, executor="ray", resources=resources(rest={"actors": 2, "threads": 1}))
    for name in ("a", "b", "b"):  # the second time nobody has anything to do
        run(config, tmp_path / name)
    for name in ("a", "b"):
        assert metrics["tts_eval_candidates", name, "synth"] == 16
        assert metrics["tts_eval_failures", name, "synth"] == 4
        for spec in ("fake", "fake:2"):
            assert metrics["tts_eval_judgements", name, spec] == 12 + 3  # the recordings are heard as well
            assert metrics["tts_eval_waiting", name, spec] == 0
        assert metrics["tts_eval_waiting", name, "synth"] == 0
        assert metrics["tts_eval_busy_seconds", name, "synth"] > 0
        assert metrics["tts_eval_busy_seconds", name, "fake + fake:2"] > 0


def test_a_finished_run_is_left_alone(tmp_path: Path, resources):
    config = replace(CONFIG, executor="ray", resources=resources(**ONE))
    run(config, tmp_path / "ray")
    parts = sorted((tmp_path / "ray").rglob("part-*"))
    run(config, tmp_path / "ray")
    run(replace(config, executor="serial", resources=""), tmp_path / "ray")
    assert sorted((tmp_path / "ray").rglob("part-*")) == parts


def test_a_run_goes_on_with_what_is_missing_whoever_began_it(tmp_path: Path, resources):
    run(CONFIG, tmp_path / "serial")
    run(replace(CONFIG, n=2), tmp_path / "both")
    progress = Counter()
    run(replace(CONFIG, executor="ray", resources=resources(**ONE)), tmp_path / "both", progress)
    assert progress.done == progress.totals
    assert_same(tmp_path / "serial", tmp_path / "both")
    assert len(RunStore.read(tmp_path / "both").candidates) == 24


def test_lost_and_damaged_audio_is_made_again(tmp_path: Path, resources):
    config = replace(CONFIG, executor="ray", resources=resources(**ONE))
    run(config, tmp_path / "ray")
    before = audio(tmp_path / "ray")
    lost, damaged, *_ = sorted((tmp_path / "ray/candidates/audio").iterdir())
    lost.unlink()
    damaged.write_text("not audio")
    run(replace(config, judge=("fake:7",)), tmp_path / "ray")  # somebody has to hear it
    assert audio(tmp_path / "ray") == before
    assert frame(tmp_path / "ray")["fake:7#stray"].notna().all()


def test_stages_have_workers_of_their_own_as_the_file_says(tmp_path: Path, resources, monkeypatch):
    shares = {}

    class Listening(Crew):
        def close(self) -> None:
            shares.update({name: (group.share, group._started) for name, group in self.groups.items()})
            super().close()

    monkeypatch.setattr(remote_models, "Crew", Listening)
    file = resources(
        **{"synth": {"actors": 1, "threads": 1}, "fake:2": {"actors": 2, "cpus": 0.5}, "rest": {"actors": 1, "cpus": 1}}
    )
    run(CONFIG, tmp_path / "serial")
    run(replace(CONFIG, executor="ray", resources=file), tmp_path / "ray")
    assert_same(tmp_path / "serial", tmp_path / "ray")
    assert {name: share.actors for name, (share, _) in shares.items()} == {"synth": 1, "fake:2": 2, "rest": 1}
    assert shares["synth"][1] == 1
    assert shares["fake:2"][1] in (1, 2)


def test_threads_are_what_models_in_a_worker_see(resources):
    share = Share(actors=1, cpus=1.0, threads=3)
    with Cluster() as cluster:
        group = Group(cluster, "g", "tests.tts_eval.workers.told:Told", share)
        try:
            told = group.prepare("environment", ["TTS_EVAL_THREADS", "OMP_NUM_THREADS"])
        finally:
            group.close()
    assert told == ["3", "3"]


def test_a_group_whose_workers_are_gone_still_answers():
    with Cluster() as cluster:
        group = Group(cluster, "g", "tests.tts_eval.workers.told:Told", Share(actors=1, cpus=1.0))
        try:
            group.prepare("environment", ["OMP_NUM_THREADS"])
            group.close()
            assert group.ask("environment", ["OMP_NUM_THREADS"]) == ["1"]
        finally:
            group.close()


def test_what_the_cluster_does_not_offer_is_refused_before_anything_is_loaded(tmp_path: Path, resources):
    file = resources(rest={"actors": 99, "threads": 1})
    with pytest.raises(ConfigError, match=r"takes 99 CPUs \(rest 99 x 1\), and Ray offers 4"):
        run(replace(CONFIG, synth="piper:/nowhere.onnx", executor="ray", resources=file), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_folder_that_nodes_do_not_share_is_refused(tmp_path: Path, resources, monkeypatch):
    monkeypatch.setattr(cluster_module, "_sees", lambda path, text: False)
    with pytest.raises(ConfigError, match="is not what these nodes have there"):
        run(replace(CONFIG, executor="ray", resources=resources(**ONE)), tmp_path / "run")
    assert not list((tmp_path / "run").glob(".probe-*"))


def test_nodes_that_cannot_be_asked_are_refused_with_advice(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(cluster_module, "_sees", lambda path, text: {}["no tts_eval here"])
    with (
        Cluster() as cluster,
        pytest.raises(ConfigError, match=r"Not every node.*no tts_eval here.*same tts-eval"),
    ):
        cluster.require_shared(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_worker_of_another_checkout_is_refused(tmp_path: Path, resources, monkeypatch):
    here = crew.identity()._replace(sources="of another checkout")
    monkeypatch.setattr(crew, "identity", lambda: here)
    with pytest.raises(ConfigError, match=r"Worker rest-1 cannot take part.*its sources differ"):
        run(replace(CONFIG, executor="ray", resources=resources(**ONE)), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_node_that_is_lost_while_it_is_asked_is_not_missed(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(cluster_module, "_sees", lambda path, text: {}["gone"])
    with Cluster() as cluster:
        monkeypatch.setattr(cluster, "_is_alive", lambda node_id: False)
        cluster.require_shared(tmp_path)


def test_a_second_process_is_refused(tmp_path: Path, resources):
    with RunStore.create(tmp_path / "run"), pytest.raises(RunLockedError):
        run(replace(CONFIG, executor="ray", resources=resources(**ONE)), tmp_path / "run")


def test_the_cells_of_a_sweep_share_their_workers(tmp_path: Path, resources, monkeypatch):
    started = []

    class Counting(Group):
        def _start(self) -> None:
            started.append(self.name)
            super()._start()

    monkeypatch.setattr(crew, "Group", Counting)
    settings = {"synth": "fake", "verifier": "fake", "judge": "fake:2", "limit": 4, "n": [2, 4, 6]}
    run_sweep(parse_grid(settings), tmp_path / "serial")
    run_sweep(parse_grid({**settings, "executor": "ray", "resources": resources(**ONE)}), tmp_path / "ray")
    assert started == ["rest"]
    assert_same(tmp_path / "serial/seed-0", tmp_path / "ray/seed-0")


def test_a_cell_that_fails_leaves_nothing_to_the_next_one(tmp_path: Path, resources):
    cells = [{"name": "no transcripts", "strategy": "consensus"}, {"name": "pool", "n": 6}]
    settings = {"synth": "fake", "verifier": "fake", "judge": "fake:2", "limit": 4, "cells": cells}
    run_sweep(parse_grid(settings), tmp_path / "serial")
    parallel = {**settings, "executor": "ray", "resources": resources(rest={"actors": 2, "threads": 1})}
    failed, fine = run_sweep(parse_grid(parallel), tmp_path / "ray")
    assert "the verifier gives none" in failed.failure and fine.failure == ""
    first, second = (read_run(tmp_path / name / "seed-0") for name in ("serial", "ray"))
    assert results_frame(first)["fake#stray"].equals(results_frame(second)["fake#stray"])
