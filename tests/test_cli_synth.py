"""`tts-eval synth`, as a user runs it."""

from pathlib import Path

import numpy as np
import pytest
from test_cli import FAKE, GUIDED, cli, last_json

from search.strategy import SearchResult
from tts_eval.audio import Clip, read_audio, write_audio
from tts_eval.cli import synth
from tts_eval.config import RunConfig
from tts_eval.types import Request


def test_synth_writes_the_best_candidate(tmp_path: Path):
    result = cli("synth", "one two three", *FAKE, "--n", 5, "-o", "best.wav", "--json", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    record = last_json(result)
    scores = record["selection_scores"]
    assert len(scores) == 5
    assert record["chosen"] == scores.index(max(scores))
    assert read_audio(tmp_path / "best.wav").seconds == pytest.approx(record["seconds"])


def test_synth_says_that_the_text_was_cut(tmp_path: Path):
    whole, cut = (
        cli("synth", "one two three", *FAKE, "--n", 2, "-o", "x.wav", "--json", *flags, cwd=tmp_path)
        for flags in ([], ["--max-seconds", 0.1])
    )
    assert last_json(whole)["finish"] == ["eos", "eos"]
    assert last_json(cut)["finish"] == ["length", "length"]
    assert "chosen, length" in cut.stderr and "not finished when it was cut" in cut.stderr
    assert "cut" not in whole.stderr


@pytest.mark.parametrize(
    ("flags", "message"),
    [(["-o", "folder.wav"], "cannot be written"), (["-o", "file.txt/x.wav"], "cannot be written"),
     (["--prompt-text", "Hi."], "there is no --prompt")],
)  # fmt: skip
def test_synth_says_at_once_what_it_cannot_do(tmp_path: Path, flags, message):
    (tmp_path / "folder.wav").mkdir()
    (tmp_path / "file.txt").touch()
    result = cli("synth", "hello", "--synth", "no-such-model", *flags, cwd=tmp_path)  # nothing is looked up before
    assert (result.returncode, message in result.stderr) == (2, True), result.stderr


def test_synth_has_nothing_to_compare_a_single_candidate_with_and_writes_it(tmp_path: Path):
    flags = [*FAKE, "--verifier", "fake + fake:1", "--n", 1, "-o", "only.wav", "--json"]
    result = cli("synth", "one two three", *flags, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    record = last_json(result)
    assert (record["selection_scores"], record["failures"]) == ([None], ["undecided"])
    assert (tmp_path / "only.wav").exists()


def test_a_single_candidate_has_a_score_by_the_scales_of_a_run(tmp_path: Path):
    assert cli("run", *FAKE, "--judge", "fake:1", "--limit", 2, "--n", 2, "--out", "run", cwd=tmp_path).returncode == 0
    result = cli("calibrate", "run", "--out", "scales.json", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "fake:1#stray" in result.stdout
    flags = [*FAKE, "--verifier", "z(fake + fake:1, scales.json)", "--n", 1, "-o", "only.wav", "--json"]
    (score,) = last_json(cli("synth", "one two three", *flags, cwd=tmp_path))["selection_scores"]
    assert isinstance(score, float)


def test_synth_says_what_a_cascade_spared(tmp_path: Path):
    flags = [*FAKE, "--verifier", "cascade(2 of fake, fake:1)", "--n", 5, "-o", "best.wav", "--json"]
    result = cli("synth", "one two three", *flags, cwd=tmp_path)
    assert last_json(result)["spared_calls"] == 3
    assert "spared 3 verifier calls" in result.stderr


def test_synth_is_reproducible_and_listens_to_its_flags(tmp_path: Path):
    def sha(*flags: object) -> str:
        result = cli("synth", "one two three", *FAKE, "--n", 2, "-o", "x.wav", *flags, cwd=tmp_path)
        assert result.returncode == 0, result.stderr
        return read_audio(tmp_path / "x.wav").sha256

    same = sha()
    assert sha() == same
    assert sha("--seed", 1) != same
    assert sha("--temperature", 0.2) != same
    assert sha("--max-seconds", 0.1) != same


def test_synth_chooses_by_then_and_keeps_its_budget(tmp_path: Path):
    def record(*flags: object) -> dict:
        return last_json(cli("synth", "one two three four", *GUIDED, "-o", "x.wav", "--json", *flags, cwd=tmp_path))

    free, other, poor = record(), record("--then", "fake:9"), record("--budget", "9-tokens")
    assert other["selection_scores"] != free["selection_scores"]
    assert len(poor["selection_scores"]) < len(free["selection_scores"]) == 4


def test_synth_that_cannot_speak_fails_and_keeps_the_old_file(tmp_path: Path):
    (tmp_path / "x.wav").write_bytes(b"precious")
    result = cli("synth", "hello", "--synth", f"wavs:{tmp_path}", "--verifier", "fake", "-o", "x.wav", cwd=tmp_path)
    assert result.returncode == 2
    assert "No candidate could be made" in result.stderr
    assert (tmp_path / "x.wav").read_bytes() == b"precious"


def test_synth_hands_language_and_prompt_to_the_search(tmp_path: Path, monkeypatch):
    asked: list[Request] = []

    def search(config: RunConfig, request: Request) -> SearchResult:
        asked.append(request)
        raise KeyboardInterrupt

    monkeypatch.setattr(synth, "search_one", search)
    write_audio(tmp_path / "voice.wav", Clip(np.full(800, 0.25, dtype=np.float32), 8000))
    with pytest.raises(KeyboardInterrupt):
        synth.synth_command("hallo", language="de", prompt=tmp_path / "voice.wav", prompt_text="so klingt es")
    with pytest.raises(KeyboardInterrupt):
        synth.synth_command("今天", prompt=None)
    request, told = asked
    assert (request.text, request.language, told.language) == ("hallo", "de", "zh")
    assert request.prompt.transcript == "so klingt es"
    assert request.prompt.audio.samples[0] == pytest.approx(0.25, abs=1e-4)


def test_a_prompt_that_is_not_there_is_said_at_once(tmp_path: Path):
    result = cli("synth", "hello", *FAKE, "--prompt", tmp_path / "none.wav", "-o", tmp_path / "x.wav")
    assert result.returncode == 2
    assert "none.wav" in result.stderr
