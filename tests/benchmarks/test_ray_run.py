"""A run with workers ends like a serial one, whatever the strategy, the number of workers and the order."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pandas
import pytest
import yaml

from benchmarks.runner import run
from reports.frame import MEASURED_TIME, results_frame
from reports.read_run import read_run
from tts_eval.config import RunConfig

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
        {"strategy": "beam", "then": "fake:1"},
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
