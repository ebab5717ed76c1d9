import json
import subprocess
import sys
from pathlib import Path

import pytest

from tts_eval.cli.progress import Bars

GRID = """
synth: fake
limit: 4
judge: fake:2
verifier: fake
seed: [0, 1]
cells:
  - {name: pool, n: 4}
  - {name: beam, strategy: "beam:step=0.2,expand=3,keep=2", budget: [30-tokens, 60-tokens]}
"""


def cli(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tts_eval.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)


def test_plan_then_sweep_then_plan_again(tmp_path: Path):
    (tmp_path / "grid.yaml").write_text(GRID)
    planned = cli("plan", "grid.yaml", "--json", cwd=tmp_path)
    assert planned.returncode == 0, planned.stderr
    assert "No run of fake was found" in planned.stderr
    assert not (tmp_path / "runs").exists()
    result = cli("sweep", "grid.yaml", "--json", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert len(result.stdout.splitlines()) == 1
    record = json.loads(result.stdout)
    assert {row["row"] for row in record["rows"]} == {"pool", "beam-30-tokens", "beam-60-tokens"}
    assert Path(tmp_path / record["report"]).is_file()
    assert record["report"] == "runs/grid/report/sweep.md"
    plan = json.loads(cli("plan", "grid.yaml", "--json", cwd=tmp_path).stdout)
    assert plan["like"] == "runs/grid/seed-0"
    assert plan["clusters"] == 4
    spent = {row["row"]: row["tokens"] for row in record["rows"]}
    for row, tokens in spent.items():
        assert sum(run["tokens"] for run in plan["runs"] if run["row"] == row) / 8 == pytest.approx(tokens, rel=0.03)
    table = tmp_path / "runs/grid/report/sweep.csv"
    before = table.read_text()
    table.unlink()
    again = json.loads(cli("report", "runs/grid", "--json", cwd=tmp_path).stdout)
    assert (again, table.read_text()) == (record, before)
    elsewhere = cli("plan", "grid.yaml", "--out", "x", "--like", "runs/grid/seed-1", cwd=tmp_path)
    assert "measured on runs/grid/seed-1" in elsewhere.stdout


def test_a_failed_cell_ends_with_1_and_its_reason(tmp_path: Path):
    cells = "cells: [{name: bad, verifier: 'fake:loud'}, {name: good, n: 2}]\n"
    (tmp_path / "grid.yaml").write_text("synth: fake\nlimit: 2\njudge: fake:2\nverifier: fake\n" + cells)
    result = cli("sweep", "grid.yaml", "--out", "out", cwd=tmp_path)
    assert result.returncode == 1
    assert "Failed cells" in result.stdout
    assert (tmp_path / "out/report/sweep.csv").is_file()
    assert (tmp_path / "out/seed-0/cells/good.json").is_file()
    assert not (tmp_path / "out/seed-0/cells/bad.json").exists()


@pytest.mark.parametrize("command", ["sweep", "plan"])
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("synth: fake\nbudget: []\n", "budget is an empty list"),
        (f"synth: fake\nseed: {list(range(1000))}\nn: {list(range(1, 1001))}\n", "1,000,000 runs"),
        ("synth: piper\nstrategy: [best-of-n, beam]\n", "'piper' does not work step by step"),
        ("synth: fake\nstrategy: beam\nverifier: duration\n", "cannot judge unfinished speech"),
        ("synth: fake\nbudget: 9-tokens\nverifier: fake\n", "does not pay for one sample"),
        ("synth: fake\nstratgy: beam\n", "Did you mean 'strategy'"),
        ("[1, 2]", "expected 'setting: value' lines"),
    ],
)
def test_mistakes_end_with_2_before_anything_is_made(tmp_path: Path, command, text, message):
    (tmp_path / "grid.yaml").write_text(text)
    result = cli(command, "grid.yaml", cwd=tmp_path)
    assert result.returncode == 2
    assert message in " ".join(result.stderr.split())
    assert "Traceback" not in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["grid.yaml"]


def test_a_phase_that_begins_again_keeps_its_bar():
    bars = Bars()
    bars.start("generate", 3)
    bars.advance("generate", 2)
    bars.start("generate", 5)
    (task,) = bars._bars.tasks
    assert (task.total, task.completed) == (5, 0)


def test_nodes_predict_the_wall_time_of_each_number(tmp_path: Path):
    (tmp_path / "grid.yaml").write_text(GRID)
    cli("run", "--synth", "fake", "--n", 4, "--limit", 4, "--judge", "fake:2", "--out", "like", cwd=tmp_path)
    planned = cli("plan", "grid.yaml", "--like", "like", "--nodes", "1, 4,1000", "--json", cwd=tmp_path)
    assert planned.returncode == 0, planned.stderr
    assert "devices" in planned.stderr and "--resources" in planned.stderr
    record = json.loads(planned.stdout)
    one, four, many = record["nodes"]
    assert [entry["devices"] for entry in record["nodes"]] == [1, 4, 1000]
    assert one["alike"]["wall_seconds"] >= record["total"]["wall_seconds"]
    assert one["alike"]["wall_seconds"] > four["alike"]["wall_seconds"] >= many["alike"]["wall_seconds"]
    assert sum(four["divided"]["workers"].values()) == 4
    assert json.loads(cli("plan", "grid.yaml", "--like", "like", "--json", cwd=tmp_path).stdout)["nodes"] == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--nodes", "4"], "add --like RUN"),
        (["--nodes", "four"], "expected whole numbers"),
        (["--nodes", "0", "--like", "like"], "from 1 to 10,000"),
        (["--nodes", "4", "--like", "other"], "other is of another synthesizer"),
    ],
)
def test_nodes_that_cannot_be_planned(tmp_path: Path, arguments, message):
    (tmp_path / "grid.yaml").write_text(GRID)
    if "--like" in arguments:
        cli("run", "--synth", "fake", "--n", 1, "--limit", 2, "--judge", "fake:2", "--out", arguments[-1], cwd=tmp_path)
    if "other" in arguments:
        (tmp_path / "grid.yaml").write_text("synth: piper\nlimit: 4\njudge: fake:2\nverifier: fake\nn: [1, 4]\n")
    result = cli("plan", "grid.yaml", *arguments, cwd=tmp_path)
    assert result.returncode == 2
    assert message in result.stderr
