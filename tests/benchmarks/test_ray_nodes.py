"""Two nodes on this machine: a run on them ends like a serial one, whatever becomes of one of them."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pandas
import pytest
import yaml

from benchmarks.measured import measure
from benchmarks.perf.chaos import descendants
from benchmarks.runner import run
from reports.frame import MEASURED_TIME, results_frame
from reports.read_run import read_run
from tts_eval.config import RunConfig
from tts_eval.workers.cluster import STORE_BYTES, keep_quiet

CONFIG = RunConfig(synth="fake:0.02", n=8, verifier="fake", judge=("fake:2",), limit=12)
DRIVE = (
    "import json, sys; from pathlib import Path; from benchmarks.runner import run; "
    "from tts_eval.config import parse_config; run(parse_config(json.loads(sys.argv[1])), Path(sys.argv[2]))"
)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head and another node of one core each, beside whatever this process is connected to."""
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    keep_quiet()
    made = Cluster()
    try:
        for _ in range(2):
            made.add_node(num_cpus=1, include_dashboard=False, object_store_memory=STORE_BYTES)
    except Exception as error:
        made.shutdown()
        pytest.skip(f"several nodes cannot be started here: {error}")
    yield made
    made.shutdown()


@pytest.fixture(scope="module")
def serial(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("serial")
    run(replace(CONFIG, synth="fake"), path)
    return path


@pytest.fixture
def start(tmp_path: Path, cluster):
    """Starts a driver of its own with two workers of a whole core: one on each node."""

    def begin(config: RunConfig) -> subprocess.Popen[str]:
        path = tmp_path / "resources.yaml"
        path.write_text(yaml.safe_dump({"rest": {"actors": 2, "cpus": 1}}))
        settings = asdict(replace(config, executor="ray", address=cluster.address, resources=str(path)))
        settings["judge"] = list(settings["judge"])
        command = [sys.executable, "-c", DRIVE, json.dumps(settings), str(tmp_path / "run")]
        return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)

    return begin


def assert_same_results(folder: Path, serial: Path) -> None:
    columns = ["request_id", "index", "seed", "failure", "audio_seconds", "chosen", "fake#stray", "fake:2#stray"]
    found, expected = (
        results_frame(read_run(path)).drop(columns=list(MEASURED_TIME))[columns] for path in (folder, serial)
    )
    pandas.testing.assert_frame_equal(found, expected)


def busy_workers() -> int:
    return sum(name.startswith("ray::Worker.call") for _, name in descendants(os.getpid()))


def events(folder: Path) -> list[dict[str, Any]]:
    return json.loads((folder / "report/timeline.json").read_text())["traceEvents"]


def test_a_run_on_two_nodes_gives_what_a_serial_run_gives(tmp_path: Path, serial, start):
    driver = start(CONFIG)
    _, log = driver.communicate(timeout=120)
    assert driver.returncode == 0, log
    assert_same_results(tmp_path / "run", serial)
    made = [event for event in events(tmp_path / "run") if event["name"] == "generate"]
    assert sum(event["args"]["items"] for event in made) == 12 * 8
    assert len({event["tid"] for event in made}) == 2  # a core is a node here, so both nodes had a share
    assert all(event["dur"] >= 0.02 * 1e6 * event["args"]["items"] for event in made)
    loading = measure(tmp_path / "run", "fake").loading_seconds
    assert loading is not None and loading > 0.02


def test_a_node_that_is_lost_in_the_middle_loses_nothing(tmp_path: Path, serial, start, cluster):
    driver = start(replace(CONFIG, synth="fake:0.15"))
    audio = tmp_path / "run/candidates/audio"
    deadline = time.monotonic() + 90
    while not (any(audio.glob("*.flac")) and busy_workers() == 2):
        assert driver.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)
    _, log = driver.communicate(timeout=120)
    assert driver.returncode == 0, log
    assert "died" in log
    assert_same_results(tmp_path / "run", serial)
    assert [event["name"] for event in events(tmp_path / "run")].count("lost") >= 1
