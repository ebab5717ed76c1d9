import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import typer

from reports.read_run import read_run
from tts_eval import weights
from tts_eval.audio import Clip, write_audio
from tts_eval.cli import report

FAKE = ["--synth", "fake", "--verifier", "fake"]


def cli(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The command as a user runs it, in a process of its own."""
    command = [sys.executable, "-m", "tts_eval.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)


def last_json(result: subprocess.CompletedProcess[str]) -> dict:
    return json.loads(result.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    folder = tmp_path_factory.mktemp("cli") / "run"
    flags = ["--judge", "fake:2", "--limit", 4, "--n", 4, "--out", folder, "--json"]
    return folder, cli("run", *FAKE, *flags)


def test_run_ends_with_one_json_object(finished):
    _, result = finished
    assert result.returncode == 0, result.stderr
    assert len(result.stdout.splitlines()) == 1
    record = last_json(result)
    assert {"run", "suite", "n_expected", "n_scored", "n", "metrics", "best_at_k", "cost", "report"} <= set(record)
    assert (record["n_expected"], record["n_scored"], record["n"]) == (4, 4, 4)
    held_out = record["metrics"]["fake:2#stray"]
    assert {"value", "ci", "n", "n_expected", "protocol", "judge", "selected_on"} <= set(held_out)
    assert held_out["selected_on"] is False
    assert record["metrics"]["fake#stray"]["selected_on"] is True
    assert set(record["best_at_k"]["fake:2#stray"]) == {"1", "2", "3", "4"}
    assert Path(record["report"]).is_file()


def test_run_writes_every_artefact(finished):
    folder, _ = finished
    for name in ("run.json", "requests.jsonl", "report/report.html", "report/report.md", "report/results.parquet"):
        assert (folder / name).is_file(), name
    assert len(list((folder / "candidates/audio").glob("*.flac"))) == 16


def test_report_can_be_made_again_from_the_folder_alone(finished):
    folder, _ = finished
    before = (folder / "report/results.parquet").read_bytes()
    for path in (folder / "report").iterdir():
        path.unlink()
    result = cli("report", folder)
    assert result.returncode == 0, result.stderr
    assert "4 of 4" in result.stdout
    assert "report.html" in result.stdout.splitlines()[-2]
    assert (folder / "report/results.parquet").read_bytes() == before


def test_report_audio_modes(finished):
    folder, _ = finished
    sizes = {}
    for mode in ("none", "link", "embed"):
        assert cli("report", folder, "--audio", mode).returncode == 0
        sizes[mode] = len((folder / "report/report.html").read_bytes())
    assert sizes["none"] < sizes["link"] < sizes["embed"]
    assert "not one of: embed, link, none" in cli("report", folder, "--audio", "loud").stderr


def test_score_adds_a_judge_to_a_run(finished):
    folder, _ = finished
    result = cli("score", folder, "--judge", "fake:9", "--json")
    assert result.returncode == 0, result.stderr
    assert last_json(result)["metrics"]["fake:9#stray"]["selected_on"] is False


def test_transfer_shows_which_verifier_agrees_with_which_judge(finished):
    folder, _ = finished
    result = cli("transfer", folder)
    assert result.returncode == 0, result.stderr
    assert "Gain in stray by fake:2" in result.stdout and "too few" in result.stdout
    record = last_json(cli("transfer", folder, "--json"))
    assert {(pair["verifier"], pair["judge"]) for pair in record["pairs"]} >= {("fake#stray", "fake:2#stray")}
    turned = last_json(cli("transfer", folder, "--judge", "fake", "--json"))
    assert {pair["judge"] for pair in turned["pairs"]} == {"fake#stray"}
    unknown = cli("transfer", folder, "--judge", "nobody")
    assert unknown.returncode == 2 and "has no judge 'nobody'" in unknown.stderr
    nobody = cli("transfer", folder.parent)
    assert nobody.returncode == 2 and "is not a run" in nobody.stderr


def test_transfer_of_a_run_without_pools_says_what_to_run(tmp_path: Path):
    flags = ["--judge", "fake:2", "--limit", 2, "--n", 1, "--out", tmp_path / "run"]
    assert cli("run", *FAKE, *flags).returncode == 0
    result = cli("transfer", tmp_path / "run")
    assert result.returncode == 2
    assert "tts-eval run --n 4" in result.stderr


def test_score_judges_a_folder_of_audio_and_counts_what_is_missing(tmp_path: Path):
    wavs = tmp_path / "wavs"
    wavs.mkdir()
    seconds = np.arange(8000) / 16000
    write_audio(wavs / "a.wav", Clip((0.3 * np.sin(2 * np.pi * 220 * seconds)).astype(np.float32), 16000))
    (tmp_path / "meta.lst").write_text("a|p|p.wav|one two\nb|p|p.wav|three four\n")
    flags = ["--list", tmp_path / "meta.lst", "--judge", "fake", "--out", tmp_path / "run", "--json"]
    result = cli("score", wavs, *flags)
    record = last_json(result)
    assert result.returncode == 1  # half is missing, a tenth is allowed
    assert (record["n_expected"], record["n_scored"]) == (2, 1)
    value = record["metrics"]["fake#stray"]["value"]
    assert value == pytest.approx(0.5, abs=0.05)  # one clean clip, one missing one at its worst of 1
    assert cli("score", wavs, *flags[:-1], "--fail-on", 0.5).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["score", "nowhere"], "No folder at nowhere"),
        (["score", "."], "say what it says: --list meta.lst"),
        (["report", "."], "is not a run"),
        (["run", "--n", "0", "--temperature", "-1"], "n is 0; expected 1 or more."),
        (["run", "--n", "0", "--temperature", "-1"], "temperature is -1.0; expected a number from 0 to 10."),
        (["run", "--top-p", "2"], "top_p is 2.0; expected a share above 0, up to 1."),
        (["run", "--top-k", "-1"], "top_k is -1; expected 0 or more."),
        (["run", "--repetition-penalty", "0"], "repetition_penalty is 0.0; expected a number above 0"),
        (["synth", "hello", "--top-p", "0", *FAKE], "top_p is 0.0"),
        (["synth", "hello", "--top-k", "-1", *FAKE], "top_k is -1"),
        (["synth", "hello", "--repetition-penalty", "99", *FAKE], "repetition_penalty is 99.0"),
        (["run", "--suite", "mimi"], "Unknown suite 'mimi'. Did you mean 'mini'"),
        (["run", "nowhere.yaml"], "nowhere.yaml cannot be read"),
        (["synth", "hello", "-o", "out.txt", *FAKE], "ends in .wav, .flac or .ogg"),
        (["synth", "  ", *FAKE], "TEXT is empty"),
        (["synth", "hello", "--prompt", "nowhere.wav", *FAKE], "No audio file at nowhere.wav"),
        (
            ["synth", "hello", "--synth", "fake", "--verifier", "speaker"],
            "'speaker' can judge none of the requests.",
        ),
        (
            ["synth", "hallo", "--language", "de", "--synth", "fake", "--verifier", "asr:tiny.en"],
            "'asr:tiny.en' can judge none of the requests.",
        ),
        (["run", "--synth", "fake", "--strategy", "adaptive"], "'adaptive' reckons with scores"),
        (["synth", "hello", "--synth", "fake", "--strategy", "smc"], "'smc' reckons with scores"),
        (["run", "--synth", "fake", "--verifier", ""], "names no verifier"),
        (["synth", "hello", "--synth", "fake", "--verifier", ""], "names no verifier"),
        (["ls", "modles"], "Unknown kind 'modles'"),
        (["fetch", "whisper-huge"], "Unknown model 'whisper-huge'"),
    ],
)
def test_mistakes_end_with_2_and_a_way_out(tmp_path: Path, arguments, message):
    result = cli(*arguments, cwd=tmp_path)
    assert result.returncode == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert not list(tmp_path.iterdir())


def test_flags_win_over_the_file(tmp_path: Path):
    (tmp_path / "run.yaml").write_text("synth: fake\nverifier: fake\njudge: fake:2\nn: 5\nlimit: 2\n")
    result = cli("run", "run.yaml", "--n", 3, "--out", "out", "--json", cwd=tmp_path)
    record = last_json(result)
    assert (record["n"], record["n_expected"]) == (3, 2)


def test_the_default_folder_names_the_run(tmp_path: Path):
    result = cli("run", *FAKE, "--judge", "fake:2", "--limit", 1, "--n", 2, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["mini-fake-n2"]


GUIDED = [*FAKE, "--strategy", "beam:step=0.2,expand=2,keep=4"]


def test_run_chooses_by_then_and_keeps_its_budget(tmp_path: Path):
    flags = [*GUIDED, "--judge", "fake:2", "--limit", 2, "--then", "fake:9", "--budget", "30-tokens"]
    result = cli("run", *flags, "--out", "run", "--json", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert last_json(result)["metrics"]["fake:9#stray"]["selected_on"] is True
    results = read_run(tmp_path / "run")
    assert "then fake:9" in results.strategy and "30-tokens" in results.strategy
    assert all(request.chosen.cost.tokens <= 34 for request in results.requests)


def test_an_interrupt_keeps_what_was_made_and_says_how_to_go_on(tmp_path: Path):
    flags = [*FAKE, "--judge", "fake:2", "--n", "64", "--out", str(tmp_path / "run")]
    command = [sys.executable, "-m", "tts_eval.cli", "run", *flags]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not list((tmp_path / "run").rglob("part-*.parquet")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    assert process.returncode == 130
    assert "run the same command again" in errors
    assert "Traceback" not in errors
    assert list((tmp_path / "run/candidates").glob("part-*.parquet"))


def test_ls_lists_every_kind():
    text = cli("ls").stdout
    models = ("whisper-tiny.en", "Apache-2.0", "emotion-nano", "CC BY-NC-SA 4.0")
    for word in ("piper", "asr", "emotion:", "best-of-n", "librispeech", "seed-tts@1", *models):
        assert word in text
    assert "piper" not in cli("ls", "verifiers").stdout


def test_ls_says_what_can_be_set_of_a_strategy():
    text = cli("ls", "strategies").stdout
    assert "step=0.5, until=2.0, lookahead=0.0, expand=16, keep=16" in text
    assert "by=transcript" in text


def test_doctor_is_content_here_and_says_when_weights_are_missing(tmp_path: Path, monkeypatch):
    assert cli("doctor").returncode == 0
    monkeypatch.setenv("TTS_EVAL_HOME", str(tmp_path))
    result = cli("doctor")
    assert result.returncode == 1
    assert "tts-eval fetch whisper-base" in " ".join(result.stdout.split())


def test_version():
    from tts_eval import __version__

    assert cli("--version").stdout.strip() == __version__


def test_a_terminal_gets_progress_and_standard_output_stays_clean(tmp_path: Path):
    ours, theirs = os.openpty()
    command = [sys.executable, "-m", "tts_eval.cli", "run", *FAKE, "--judge", "fake:2", "--limit", "2", "--n", "2"]
    process = subprocess.Popen([*command, "--json", "--out", tmp_path / "run"], stdout=subprocess.PIPE, stderr=theirs)
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # Linux ends a terminal that nobody writes to any more with an error
        while part := os.read(ours, 4096):
            shown += part
    output, _ = process.communicate()
    os.close(ours)
    assert process.returncode == 0
    assert b"generate" in shown and b"judge fake:2" in shown and b"4/4" in shown
    assert len(output.splitlines()) == 1


def test_an_interrupt_while_the_report_is_written_says_what_to_do(tmp_path: Path, monkeypatch, capsys):
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(report, "read_run", interrupted)
    with pytest.raises(typer.Exit) as ended:
        report.finish(tmp_path / "a run")
    assert ended.value.exit_code == 130
    assert f"tts-eval report {tmp_path / 'a run'}" in capsys.readouterr().err


def test_a_kept_back_share_decides_the_exit_code(tmp_path: Path):
    sound = Clip(np.sin(np.arange(16_000, dtype=np.float32) / 20) / 4, 16_000)
    (tmp_path / "audio").mkdir()
    write_audio(tmp_path / "audio/a.wav", sound)
    (tmp_path / "meta.lst").write_text("a|||one two\nb|||three four\n")
    flags = ["--suite", f"list:{tmp_path}/meta.lst", "--synth", f"wavs:{tmp_path}/audio", "--n", 1]
    flags += ["--verifier", "fake", "--judge", "fake:2"]
    strict = cli("run", *flags, "--fail-on", 0.4, "--out", tmp_path / "strict")
    assert strict.returncode == 1
    assert "1 of 2 requests lack a score by fake or fake:2 and --fail-on 0.4 allows no more than 0" in strict.stderr
    assert cli("run", *flags, "--fail-on", 0.5, "--out", tmp_path / "mild").returncode == 0


@pytest.mark.parametrize("command", [["run"], ["synth", "hello"]])
def test_the_strategy_is_looked_up(tmp_path: Path, command):
    result = cli(*command, *FAKE, "--strategy", "best-of-m", "--out", tmp_path / "x.wav")
    assert result.returncode == 2
    assert "best-of-n" in result.stderr


def test_doctor_reads_the_weights_it_vouches_for(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("TTS_EVAL_HOME", str(tmp_path))
    asset = weights.asset("ge2e-resemblyzer")
    folder = tmp_path / "weights" / f"{asset.name}-{weights.fingerprint(asset.name)}"
    folder.mkdir(parents=True)
    for file in asset.sha256:
        (folder / file).write_bytes(b"not the weights")
    lines = " ".join(cli("doctor").stdout.split())
    assert f"{next(iter(asset.sha256))} damaged" in lines.replace("│ ", "")
