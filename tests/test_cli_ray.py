"""The command with workers: interrupted, killed, resumed, and sent to clusters that are not there."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas
import pytest

from benchmarks.perf.small_cluster import descendants
from benchmarks.runner import run
from reports.frame import MEASURED_TIME, results_frame
from reports.read_run import read_run
from tts_eval.config import RunConfig

CONFIG = RunConfig(synth="fake", verifier="fake", judge=("fake:2",), limit=6, n=16)
SLOW = ["--synth", "fake:0.1", "--verifier", "fake", "--judge", "fake:2", "--limit", "6", "--n", "16"]
"""The same candidates, each of which takes its time."""


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "tts_eval.cli", *map(str, arguments)]


def start(*arguments: object) -> subprocess.Popen[str]:
    """In a process group of its own, as a shell would start it."""
    return subprocess.Popen(
        command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def wait_for_rows(folder: Path, process: subprocess.Popen[str], more_than: int = 0) -> None:
    """Until the run has stored something new."""
    for _ in range(1200):
        if len(list((folder / "candidates").glob("part-*.parquet"))) > more_than:
            return
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.05)
    raise AssertionError("nothing was stored within a minute")


def results(folder: Path) -> pandas.DataFrame:
    return results_frame(read_run(folder)).drop(columns=list(MEASURED_TIME))


def test_interrupted_and_killed_and_run_again_it_ends_like_a_serial_run(tmp_path: Path):
    calm, out = tmp_path / "calm", tmp_path / "run"
    run(CONFIG, calm)

    interrupted = start("run", *SLOW, "--out", out, "--executor", "ray")
    wait_for_rows(out, interrupted)
    os.killpg(interrupted.pid, signal.SIGINT)
    _, errors = interrupted.communicate(timeout=60)
    assert interrupted.returncode == 130
    assert "finishing what is under way" in errors and "run the same command again" in errors
    parts = len(list((out / "candidates").glob("part-*.parquet")))

    killed = start("run", *SLOW, "--out", out, "--executor", "ray")
    wait_for_rows(out, killed, parts)
    # Two agents of Ray's, which do nothing, look for their master for another minute.
    below = [pid for pid, name in descendants(killed.pid) if not name.endswith("Agent")]
    assert len(below) > 3  # Ray's own processes and the workers
    killed.kill()
    killed.communicate()
    deadline = time.monotonic() + 15
    while alive := [pid for pid in below if Path(f"/proc/{pid}").exists()]:
        assert time.monotonic() < deadline, alive
        time.sleep(0.2)

    finished = subprocess.run(
        command("run", *SLOW, "--out", out, "--executor", "ray", "--json"), capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stderr
    assert len(finished.stdout.splitlines()) == 1  # nothing of Ray's is on standard output
    pandas.testing.assert_frame_equal(results(out), results(calm))


def test_a_second_interrupt_stops_at_once(tmp_path: Path):
    out = tmp_path / "run"
    flags = ["--synth", "fake:3600", "--verifier", "fake", "--judge", "fake:2", "--limit", "2", "--n", "2"]
    process = start("run", *flags, "--out", out, "--executor", "ray")
    for _ in range(1200):
        busy = [pid for pid, name in descendants(process.pid) if name.startswith("ray::Worker.call")]
        if busy and (out / "requests.jsonl").exists():
            break
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.05)
    time.sleep(1.0)
    os.killpg(process.pid, signal.SIGINT)
    time.sleep(1.0)
    assert process.poll() is None  # it waits for what is under way
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "run the same command again" in errors


def test_an_address_is_where_the_work_is_done(tmp_path: Path, ray_cluster):
    import ray

    address = ray.get_runtime_context().gcs_address
    out = tmp_path / "run"
    flags = ["--synth", "fake", "--verifier", "fake", "--judge", "fake:2", "--limit", "2", "--n", "2", "--out", out]
    flags += ["--executor", "ray", "--address", address, "--progress", "json"]
    result = subprocess.run(command("run", *flags), capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    lines = [json.loads(line) for line in result.stderr.splitlines() if line.startswith("{")]
    assert {line["phase"] for line in lines if line["done"] == 4} == {"generate", "select fake", "judge fake:2"}
    assert len(results(out)) == 4
    jobs = ray._private.state.jobs()
    assert len(jobs) >= 2  # this process, and the command


@pytest.mark.parametrize(
    ("address", "message"),
    [("127.0.0.1:1", "Nothing answers at 127.0.0.1:1"), ("nonsense", "expected HOST:PORT of a cluster's head")],
)
def test_an_address_where_nobody_answers_is_an_error_at_once(tmp_path: Path, address, message):
    out = tmp_path / "run"
    started = time.monotonic()
    flags = ["--synth", "fake", "--verifier", "fake", "--executor", "ray", "--address", address, "--out", out]
    result = subprocess.run(command("run", *flags), capture_output=True, text=True, check=False)
    assert result.returncode == 2, result.stderr
    assert message in " ".join(result.stderr.split())
    assert time.monotonic() - started < 30
    assert not out.exists()


def test_doctor_shows_nodes_and_workers_and_what_does_not_fit(tmp_path: Path, ray_cluster):
    import ray

    file = tmp_path / "resources.yaml"
    file.write_text("synth: {actors: 2, threads: 2}\nrest: {actors: 1, cpus: 0, threads: 1}\n")
    address = ray.get_runtime_context().gcs_address
    flags = ("--address", address, "--resources", file)
    result = subprocess.run(command("doctor", *flags), capture_output=True, text=True, check=False)
    said = " ".join(result.stdout.replace("│", "").split())  # a line may be broken anywhere
    assert "4 CPUs" in said  # the cluster's, not this machine's
    assert "synth: 2 x (2 CPUs, 2 threads)" in said
    file.write_text("synth: {actors: 99}\n")
    result = subprocess.run(command("doctor", "--resources", file), capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "takes 99 CPUs" in " ".join(result.stdout.split())


def test_doctor_knows_a_mistyped_stage(tmp_path: Path):
    file = tmp_path / "resources.yaml"
    file.write_text("snyth: {actors: 1}\nasr:base: {actors: 1}\n")
    result = subprocess.run(command("doctor", "--resources", file), capture_output=True, text=True, check=False)
    assert result.returncode == 1
    said = " ".join(result.stdout.replace("│", "").split())
    assert "'snyth' is a stage of no run" in said and "'asr:base' is" not in said


def test_workers_are_no_use_to_a_serial_run(tmp_path: Path):
    (tmp_path / "resources.yaml").write_text("rest: {actors: 1}\n")
    for flag, value in (("--address", "auto"), ("--resources", str(tmp_path / "resources.yaml"))):
        result = subprocess.run(command("run", flag, value), capture_output=True, text=True, check=False)
        assert result.returncode == 2
        assert "none without executor: ray" in " ".join(result.stderr.split())
