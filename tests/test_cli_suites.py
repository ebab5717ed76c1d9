import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from reports.read_run import read_run
from tts_eval.audio import Clip, write_audio


def cli(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The command as a user runs it, in a process of its own."""
    command = [sys.executable, "-m", "tts_eval.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)


def last_json(result: subprocess.CompletedProcess[str]) -> dict:
    assert result.stdout, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """Seed-TTS-Eval with four rows, and audio of somebody's system for three of them."""
    tone = Clip((0.3 * np.sin(np.arange(8000) * 0.0864)).astype(np.float32), 16000)
    (tmp_path / "data/en/prompt-wavs").mkdir(parents=True)
    write_audio(tmp_path / "data/en/prompt-wavs/p.wav", tone)
    rows = [f"{name}|hello|prompt-wavs/p.wav|one two" for name in "abcd"]
    (tmp_path / "data/en/meta.lst").write_text("\n".join(rows))
    (tmp_path / "wavs").mkdir()
    for name in ("a", "b", "d"):
        write_audio(tmp_path / f"wavs/{name}.wav", tone)
    return tmp_path


SCORE = ["score", "wavs", "--suite", "seed-tts-eval:en", "--data-dir", "data", "--judge", "fake", "--json"]


def test_somebodys_audio_is_judged_by_a_suite(theirs: Path):
    whole = cli(*SCORE, "--out", "whole", cwd=theirs)
    record = last_json(whole)
    assert whole.returncode == 1  # a quarter is missing, a tenth is allowed
    assert (record["n_expected"], record["n_scored"]) == (4, 3)
    assert record["suite"].startswith("seed-tts-eval-en-part-")
    limited = last_json(cli(*SCORE, "--limit", 2, "--out", "limited", cwd=theirs))
    assert (limited["n_expected"], limited["suite"].split(", ")[1]) == (2, "first 2 of 4 requests")
    sampled = last_json(cli(*SCORE, "--sample", 3, "--out", "sampled", cwd=theirs))
    assert (sampled["n_expected"], sampled["suite"].split(", ", 1)[1]) == (3, "sample of 3 of 4 requests, seed 0")


def test_the_official_denominator_is_had_by_name_only(theirs: Path):
    result = cli(*SCORE, "--official-skip", "--out", "skipped", cwd=theirs)
    assert result.returncode == 0, result.stderr
    record = last_json(result)
    assert (record["n_expected"], record["n_scored"]) == (3, 3)
    note = "official skip: 1 of 4 requests without audio left out"
    assert record["suite"].endswith(note)
    assert note in (theirs / "skipped/report/report.md").read_text()
    assert note in (theirs / "skipped/report/report.html").read_text()
    assert record["metrics"]["fake#stray"]["value"] < 0.1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["score", "wavs"], "say what it says: --list meta.lst, or --suite NAME"),
        (["score", "wavs", "--suite", "mini", "--list", "data/en/meta.lst"], "Give --list or --suite, not both"),
        (["score", "nowhere", "--suite", "mini"], "No folder at nowhere"),
        (["run", "--sample", "2", "--limit", "2"], "either a sample or a limit, not both"),
        (["run", "--suite", "seed-tts-eval:en", "--data-dir", "data/en"], "is too deep"),
        (["prepare", "mini"], "nothing to prepare for suite 'mini'"),
        (["prepare", "esd:en", "--check"], "Give --data-dir DIR"),
    ],
)
def test_wrong_usage_says_what_to_do(theirs: Path, arguments, message):
    result = cli(*arguments, cwd=theirs)
    assert result.returncode == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_a_run_on_a_sample_says_so_and_grows(tmp_path: Path):
    flags = ["--synth", "fake", "--verifier", "fake", "--judge", "fake:2", "--n", 2, "--out", "run"]
    assert cli("run", *flags, "--sample", 6, cwd=tmp_path).returncode == 0
    results = read_run(tmp_path / "run")
    assert results.suite == "mini@1, sample of 6 of 48 requests, seed 0"
    assert len({request.group for request in results.requests}) == 6
    made = set((tmp_path / "run/candidates/audio").iterdir())
    assert cli("run", *flags, "--sample", 12, cwd=tmp_path).returncode == 0
    assert len(read_run(tmp_path / "run").requests) == 12
    assert made < set((tmp_path / "run/candidates/audio").iterdir())
    assert len(list((tmp_path / "run/candidates/audio").iterdir())) == 24


def test_prepare_says_where_data_come_from_and_what_is_there(theirs: Path):
    card = cli("prepare", "esd:en")
    assert card.returncode == 0
    for word in ("https://github.com/HLTSingapore/Emotional-Speech-Data", "signed licence", "fetched: nothing"):
        assert word in card.stdout
    result = cli("prepare", "seed-tts-eval:en", "--data-dir", "data", cwd=theirs)
    assert result.returncode == 1  # four rows are a part
    assert "4 requests" in " ".join(result.stdout.split())
    missing = cli("prepare", "librispeech", "--data-dir", "data", "--check", cwd=theirs)
    assert missing.returncode == 1
    assert "WRONG" in missing.stdout
    assert not (theirs / "data/test-clean.tar.gz.part").exists()
