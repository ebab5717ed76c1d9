"""Commands on run folders at file:// URLs; two machines are two cache homes."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

from tts_eval import lease
from tts_eval.cli import folders
from tts_eval.cli.app import app
from tts_eval.cli.folders import local_path, read_folder, reported_on, worked_on
from tts_eval.errors import ConfigError, RunLockedError, StoreError
from tts_eval.remote_folder import RemoteFolder

REQUESTS, N = 12, 4
FLAGS = ["--synth", "fake", "--verifier", "fake", "--judge", "fake:2", "--limit", REQUESTS, "--n", N]
# As the command line, but pushing ten times a second.
EAGER = "import tts_eval.cli.folders as folders; folders.PUSHED_EVERY = 0.1; from tts_eval.cli import main; main()"


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-c", EAGER, *map(str, arguments)]


@pytest.fixture
def cli(tmp_path, monkeypatch) -> Callable[..., Any]:
    """The command line as a machine has it, in this process."""
    monkeypatch.setattr(lease, "SETTLING_SECONDS", 0.0)
    monkeypatch.chdir(tmp_path)

    def invoke(machine: str, *arguments: object) -> Any:
        monkeypatch.setenv("TTS_EVAL_HOME", str(tmp_path / machine))
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    return invoke


def wait_for(what, seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)


def without_times(path: Path) -> pd.DataFrame:
    frame = pd.read_parquet(path)
    return frame.drop(columns=[name for name in frame.columns if "seconds" in name])


def test_a_run_that_was_killed_goes_on_on_another_machine(tmp_path, monkeypatch, cli):
    """And ends as one that nobody disturbed; then score takes the URL too."""
    there = tmp_path / "there" / "x"
    url = f"file://{there}"
    slow, quiet = ["--synth", "fake:0.15", *FLAGS[2:]], subprocess.DEVNULL
    home = os.environ | {"TTS_EVAL_HOME": str(tmp_path / "a")}
    running = subprocess.Popen(command("run", *slow, "--out", url), env=home, stderr=quiet, stdout=quiet)
    try:
        wait_for(lambda: (there / "run.json").exists() and list(there.glob("candidates/part-*")))
        monkeypatch.setenv("TTS_EVAL_HOME", str(tmp_path / "b"))
        with pytest.raises(RunLockedError, match=f"written by process {running.pid}"), worked_on(url):
            pass
        assert running.poll() is None
    finally:
        running.send_signal(signal.SIGKILL)
        running.wait()
    assert 0 < len(list(there.glob("candidates/audio/*.flac"))) < REQUESTS * N
    claim = json.loads((there / lease.NAME).read_text())
    (there / lease.NAME).write_text(json.dumps(claim | {"lapses": time.time() - 1}))
    went_on = cli("b", "run", *FLAGS, "--out", url)
    assert went_on.exit_code == 0, went_on.output
    assert f"{url} is worked on in" in went_on.stderr
    assert f"pushed to {url}" in went_on.stderr
    assert not (there / lease.NAME).exists()
    undisturbed = cli("c", "run", *FLAGS, "--out", tmp_path / "plain" / "x")
    assert undisturbed.exit_code == 0, undisturbed.output
    expected = without_times(tmp_path / "plain/x/report/results.parquet")
    pd.testing.assert_frame_equal(without_times(there / "report/results.parquet"), expected)
    names = {path.name for path in (tmp_path / "plain/x/candidates/audio").iterdir()}
    assert {path.name for path in there.glob("candidates/audio/*")} == names

    scored = cli("d", "score", url, "--judge", "fake:3", "--json")
    assert scored.exit_code == 0, scored.output
    assert "fake:3#stray" in json.loads(scored.stdout.splitlines()[-1])["metrics"]
    assert "fake:3" in (there / "report/report.md").read_text()


def test_a_sweep_goes_to_a_url(tmp_path, cli):
    grid = "synth: fake\nlimit: 2\njudge: fake:2\nverifier: fake\ncells: [{name: a, n: 2}]\n"
    (tmp_path / "grid.yaml").write_text(grid)
    done = cli("a", "sweep", "grid.yaml", "--out", f"file://{tmp_path}/there")
    assert done.exit_code == 0, done.output
    for name in ("sweep.json", "seed-0/run.json", "seed-0/cells/a.json", "report/sweep.md"):
        assert (tmp_path / "there" / name).is_file(), name
    assert len(list((tmp_path / "there/seed-0/candidates/audio").iterdir())) == 4


@pytest.fixture
def url(tmp_path, monkeypatch) -> str:
    monkeypatch.setenv("TTS_EVAL_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(lease, "SETTLING_SECONDS", 0.0)
    return f"file://{tmp_path}/there/x"


def test_a_path_is_left_alone(tmp_path):
    with worked_on(tmp_path / "x") as folder:
        assert folder == tmp_path / "x"
    with reported_on([str(tmp_path)]) as paths:
        assert paths == [tmp_path]
    assert read_folder("runs/x") == local_path("runs/x") == Path("runs/x")


def test_reports_that_are_written_of_a_url_are_pushed(url, tmp_path, monkeypatch):
    with worked_on(url, is_new=True) as folder:
        folder.mkdir()
        (folder / "run.json").write_text("{}")
    monkeypatch.setenv("TTS_EVAL_HOME", str(tmp_path / "other"))
    with reported_on([url, str(tmp_path)]) as (copy, local):
        assert (copy / "run.json").read_text() == "{}" and copy.is_relative_to(tmp_path / "other")
        assert local == tmp_path
        (copy / "report").mkdir()
        (copy / "report/report.md").write_text("r")
    assert (tmp_path / "there/x/report/report.md").read_text() == "r"


@pytest.mark.parametrize("end", [typer.Exit(130), ConfigError(["wrong"]), KeyboardInterrupt()])
def test_whatever_ends_the_work_what_was_made_is_pushed(url, tmp_path, end):
    expected = typer.Exit if isinstance(end, KeyboardInterrupt) else type(end)
    with pytest.raises(expected) as raised, worked_on(url, is_new=True) as folder:
        folder.mkdir()
        (folder / "run.json").write_text("{}")
        raise end
    assert (tmp_path / "there/x/run.json").read_text() == "{}"
    assert not (tmp_path / "there/x" / lease.NAME).exists()
    assert getattr(raised.value, "exit_code", 130) == 130


def test_it_is_pushed_while_the_work_goes_on(url, tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "PUSHED_EVERY", 0.01)
    with worked_on(url, is_new=True) as folder:
        folder.mkdir()
        (folder / "run.json").write_text("{}")
        wait_for((tmp_path / "there/x/run.json").exists)
    assert threading.active_count() == 1 or "pushing" not in {thread.name for thread in threading.enumerate()}


def failing(monkeypatch, times: float) -> list[int]:
    """Let so many pushes fail; returns a list with an entry for each try."""
    tried: list[int] = []
    push = RemoteFolder.push

    def fail(self: RemoteFolder) -> None:
        tried.append(1)
        if len(tried) <= times:
            raise StoreError("the line is dead.")
        push(self)

    monkeypatch.setattr(RemoteFolder, "push", fail)
    return tried


def test_failing_pushes_are_said_once_and_tried_again(url, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(folders, "PUSHED_EVERY", 0.01)
    tried = failing(monkeypatch, times=3)
    with worked_on(url, is_new=True) as folder:
        folder.mkdir()
        (folder / "run.json").write_text("{}")
        wait_for(lambda: len(tried) > 4)
    assert capsys.readouterr().err.count("the line is dead") == 1
    assert (tmp_path / "there/x/run.json").exists()


def test_a_last_push_that_fails_is_an_error_that_names_the_folder(url, monkeypatch):
    failing(monkeypatch, times=99)
    said = r"the line is dead\. What was made is in .*/home/runs/x-\w+/x; the same"
    with pytest.raises(StoreError, match=said), worked_on(url, is_new=True):
        pass


def test_a_last_push_that_fails_does_not_hide_what_went_wrong(url, monkeypatch, capsys):
    failing(monkeypatch, times=99)
    with pytest.raises(ConfigError, match="wrong"), worked_on(url, is_new=True):
        raise ConfigError(["wrong"])
    assert "the line is dead. What was made is in" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["report", "URL"], ["compare", "URL", "URL"], ["transfer", "URL"], ["scale", "URL"], ["view", "URL"],
        ["ab", "URL"], ["again", "URL", "r"], ["calibrate", "URL"], ["replicate", "URL"],
        ["plan", "x", "--like", "URL"], ["score", "URL", "--judge", "fake"],
    ],
    ids=lambda arguments: arguments[0],
)  # fmt: skip
def test_every_command_on_runs_takes_a_url(url, arguments):
    """Of a run that is not there: as a path it would be a folder `file:`."""
    result = CliRunner().invoke(app, [url if argument == "URL" else argument for argument in arguments])
    assert isinstance(result.exception, StoreError)
    assert f"no run at {url}" in str(result.exception)


@pytest.mark.parametrize(
    "arguments",
    [
        ["report", "a", "b", "--out", "URL"], ["compare", "a", "b", "--out", "URL"],
        ["again", "a", "r", "--out", "URL"], ["ab", "a", "--out", "URL"], ["calibrate", "a", "--out", "URL"],
        ["replicate", "--out", "URL"], ["plan", "a", "--out", "URL"],
    ],
    ids=lambda arguments: arguments[0],
)  # fmt: skip
def test_what_is_only_written_here_takes_no_url(url, arguments):
    result = CliRunner().invoke(app, [url if argument == "URL" else argument for argument in arguments])
    assert isinstance(result.exception, ConfigError)
    assert "Give a path" in str(result.exception)


def test_memory_is_no_place_for_a_run():
    with pytest.raises(ConfigError, match="gone with this process"), worked_on("memory://x"):
        pass
