"""Two nodes on this machine: a run on them ends like a serial one, whatever becomes of one of them."""

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

import pandas
import pytest
import yaml

from benchmarks.measured import measure
from benchmarks.perf.chaos import DRIVE, Blow, chaos, start_driver
from benchmarks.perf.small_cluster import SmallCluster
from benchmarks.runner import run
from reports.frame import MEASURED_TIME, results_frame
from reports.read_run import read_run
from tests.benchmarks.spies import noted
from tts_eval.config import RunConfig

CONFIG = RunConfig(synth="fake:0.02", n=8, verifier="fake", judge=("fake:2",), limit=12)


@pytest.fixture(scope="module")
def all_nodes() -> Iterator[SmallCluster]:
    """Nodes beside whatever this process is connected to."""
    pytest.importorskip("ray")
    try:
        cluster = SmallCluster()
    except Exception as error:
        pytest.skip(f"several nodes cannot be started here: {error}")
    with cluster:
        yield cluster


@pytest.fixture
def cluster(all_nodes: SmallCluster) -> SmallCluster:
    """Two nodes of a core each and a head without any, whatever became of them before."""
    all_nodes.restore()
    return all_nodes


@pytest.fixture(scope="module")
def serial(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("serial")
    run(replace(CONFIG, synth="fake"), path)
    return path


@pytest.fixture
def start(tmp_path: Path, cluster):
    """Starts a driver of its own with two workers of a whole core: one on each node."""

    def begin(config: RunConfig) -> Driver:
        path = tmp_path / "resources.yaml"
        path.write_text(yaml.safe_dump({"rest": {"actors": 2, "cpus": 1}}))
        settings = replace(config, executor="ray", address=cluster.address, resources=str(path))
        return Driver(start_driver(settings, tmp_path / "run", tmp_path / "log"), tmp_path / "log")

    return begin


class Driver(NamedTuple):
    process: subprocess.Popen[bytes]
    log: Path

    def finish(self) -> str:
        """What it has logged in all."""
        assert self.process.wait(timeout=180) == 0, self.log.read_text()
        return self.log.read_text()


def assert_same_results(folder: Path, serial: Path) -> None:
    columns = ["request_id", "index", "seed", "failure", "audio_seconds", "chosen", "fake#stray", "fake:2#stray"]
    found, expected = (
        results_frame(read_run(path)).drop(columns=list(MEASURED_TIME))[columns] for path in (folder, serial)
    )
    pandas.testing.assert_frame_equal(found, expected)


def events(folder: Path) -> list[dict[str, Any]]:
    return json.loads((folder / "report/timeline.json").read_text())["traceEvents"]


def test_a_run_on_two_nodes_gives_what_a_serial_run_gives(tmp_path: Path, serial, start):
    start(CONFIG).finish()
    assert_same_results(tmp_path / "run", serial)
    made = [event for event in events(tmp_path / "run") if event["name"] == "generate"]
    assert sum(event["args"]["items"] for event in made) == 12 * 8
    assert len({event["tid"] for event in made}) == 2  # a core is a node here, so both nodes had a share
    assert all(event["dur"] >= 0.02 * 1e6 * event["args"]["items"] for event in made)
    loading = measure(tmp_path / "run", "fake").loading_seconds
    assert loading is not None and loading > 0.02


def test_what_is_placed_together_is_made_and_heard_on_one_node(tmp_path: Path, cluster, serial):
    """Each node has room for one team of a speaker and a listener."""
    entry = {"actors": 2, "cpus": 0.5, "threads": 1, "together": True}
    (tmp_path / "resources.yaml").write_text(yaml.safe_dump({"synth": entry, "rest": entry}))
    resources = str(tmp_path / "resources.yaml")
    settings = replace(CONFIG, synth="fake:0.1", executor="ray", address=cluster.address, resources=resources)
    noting = "import benchmarks.remote_models as r; r.STAGE = 'tests.benchmarks.spies:NotingStage'; "
    arguments = [json.dumps(asdict(settings) | {"judge": list(settings.judge)}), str(tmp_path / "run")]
    subprocess.run([sys.executable, "-c", noting + DRIVE, *arguments], check=True, timeout=180)
    assert_same_results(tmp_path / "run", serial)
    made, heard = noted(tmp_path, "made"), noted(tmp_path, "heard")
    assert len(made) == 12 * 8 and heard == made
    assert len(set(made.values())) == 2


def test_a_node_that_is_lost_in_the_middle_loses_nothing(tmp_path: Path, serial, start, cluster):
    driver = start(replace(CONFIG, synth="fake:0.15"))
    audio = tmp_path / "run/candidates/audio"
    deadline = time.monotonic() + 90
    while not (any(audio.glob("*.flac")) and len(busy := cluster.busy_workers()) == 2):
        assert driver.process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    cluster.lose(cluster.node_of(min(busy)), is_replaced=False)
    assert "died" in driver.finish()
    assert_same_results(tmp_path / "run", serial)
    assert [event["name"] for event in events(tmp_path / "run")].count("lost") >= 1


def test_a_worker_a_node_and_the_driver_itself_die_and_nothing_is_lost_or_doubled(tmp_path: Path, cluster):
    config = replace(CONFIG, synth="fake:0.05")
    run(config, tmp_path / "undisturbed")
    outcome = chaos(cluster, config, tmp_path / "undisturbed", tmp_path / "run", list(Blow), seed=4)
    assert outcome.blows == Counter(Blow)
    assert outcome.is_equal, str(outcome)
