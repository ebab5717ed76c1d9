"""`tts-eval again` as a user runs it: a clip of a run comes back sample by sample."""

from __future__ import annotations

import json
from pathlib import Path

import pandas
import pytest
import soundfile
from test_cli import FAKE, cli

from reports.read_run import read_run

GUIDED = ["--strategy", "beam:step=0.2,expand=3,keep=2", "--then", "fake:2"]


@pytest.mark.parametrize(("strategy", "index"), [(["--n", 3], 2), (["--n", 3], 0), (GUIDED, 0)])
def test_a_clip_of_a_run_is_made_again(strategy: list[object], index: int, tmp_path: Path) -> None:
    assert cli("run", *FAKE, "--judge", "fake:2", "--limit", 3, *strategy, "--out", tmp_path / "run").returncode == 0
    identifier = json.loads((tmp_path / "run/requests.jsonl").read_text().splitlines()[1])["id"]
    result = cli("again", tmp_path / "run", identifier, "--index", index, "--out", tmp_path / "again.flac")
    assert result.returncode == 0, result.stderr
    assert "the same audio as in the run" in result.stdout
    again, _ = soundfile.read(tmp_path / "again.flac", dtype="int16")
    (stored,) = (tmp_path / "run/candidates/audio").glob(f"{identifier}_{index}_*.flac")
    assert (soundfile.read(stored, dtype="int16")[0] == again).all()
    traces = [request.read_trace() for request in read_run(tmp_path / "run").requests]
    assert all(trace.startswith("[[0,null,") for trace in traces) if strategy is GUIDED else set(traces) == {""}


def test_what_cannot_be_compared_is_said(tmp_path: Path) -> None:
    assert cli("run", *FAKE, "--judge", "fake:2", "--limit", 2, "--n", 2, "--out", tmp_path / "run").returncode == 0
    record = json.loads((tmp_path / "run/run.json").read_text())
    (tmp_path / "run/run.json").write_text(json.dumps(record | {"synthesizer": "fake:0"}))
    identifier = json.loads((tmp_path / "run/requests.jsonl").read_text().splitlines()[0])["id"]
    more = cli("again", tmp_path / "run", identifier, "--index", 7, "--out", tmp_path / "a.wav")
    assert "no such clip" in more.stdout
    other = cli("again", tmp_path / "run", identifier, "--out", tmp_path / "a.wav")
    assert "no such clip" in other.stdout  # whoever fake:0 is, it made nothing here
    misspelt = cli("again", tmp_path / "run", identifier + "x", "--out", tmp_path / "a.wav")
    assert misspelt.returncode == 2
    assert f"Did you mean '{identifier}'?" in " ".join(misspelt.stderr.split())


def test_how_near_it_comes_is_said(tmp_path: Path) -> None:
    assert cli("run", *FAKE, "--judge", "fake:2", "--limit", 2, "--n", 1, "--out", tmp_path / "run").returncode == 0
    identifier = json.loads((tmp_path / "run/requests.jsonl").read_text().splitlines()[0])["id"]
    (stored,) = (tmp_path / "run/candidates/audio").glob(f"{identifier}_0_*.flac")
    samples, rate = soundfile.read(stored, dtype="int16")
    (part,) = (tmp_path / "run/candidates").glob("*.parquet")
    frame = pandas.read_parquet(part)
    frame["audio_sha256"] = "of another clip"
    frame.to_parquet(part)
    for change, said in ((3, "but for rounding: samples differ by 3/32768"), (30, "not the same audio")):
        altered = samples.copy()
        altered[len(samples) // 2] += change
        soundfile.write(stored, altered, rate)
        assert said in cli("again", tmp_path / "run", identifier, "--out", tmp_path / "a.wav").stdout


def test_what_a_search_chose_is_as_long_as_its_clip(tmp_path: Path) -> None:
    flags = ["--judge", "fake:2", "--limit", 2, *GUIDED, "--out", tmp_path / "run"]
    assert cli("run", *FAKE, *flags).returncode == 0
    for request in read_run(tmp_path / "run").requests:
        info = soundfile.info(tmp_path / "run" / str(request.chosen.audio))
        assert request.chosen.seconds == pytest.approx(info.duration)
        assert request.chosen.cost.audio_seconds > info.duration  # what was said in all
