"""A suite against a real server on 127.0.0.1, from the first request to the report."""

import json
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from speech_server import Reply, SpeechServer, serving

from benchmarks.runner import run
from reports.frame import results_frame
from reports.read_run import read_run
from tts_eval.audio import Clip, encode_audio
from tts_eval.cli.report import finish
from tts_eval.cli.synth import search_one
from tts_eval.config import RunConfig
from tts_eval.synthesizers.fake import FakeSynthesizer
from tts_eval.synthesizers.openai import client
from tts_eval.types import Job, Prompt, Request, Sampling

SECRET = "sk-not-to-be-seen-0123456789"


@pytest.fixture(autouse=True)
def settings(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    monkeypatch.setattr(client, "FIRST_WAIT", 0.01)


def tones(body: dict, number: int) -> Reply:
    """What the fake synthesizer says of the text; seeds count up where none is sent."""
    job = Job(request=Request(id="x", text=body["input"]), index=0, seed=body.get("seed", number), sampling=Sampling())
    (made,) = FakeSynthesizer().generate([job])
    return Reply(encode_audio(made.clip, "WAV"))


def config(server: SpeechServer, more: str = "") -> RunConfig:
    return RunConfig(
        suite="mini", limit=3, n=2, synth=f"openai:{server.url},model=m{more}", verifier="fake", judge=("fake:2",)
    )


def everything_in(folder: Path) -> str:
    """All that a run keeps, also inside compressed files."""
    frame = results_frame(read_run(folder)).to_csv()
    return frame + "".join(path.read_bytes().decode("latin-1") for path in folder.rglob("*") if path.is_file())


def test_a_run_has_as_many_requests_under_way_as_it_may(tmp_path):
    together = threading.Barrier(20)

    def answer(body, number):
        together.wait(timeout=20)  # breaks, and with it all candidates, where fewer come at a time
        return tones(body, number)

    with serving(answer) as server:
        more = ",concurrency=20,retries=0"
        run(replace(config(server, more), limit=5, n=4), tmp_path / "run")
    results = read_run(tmp_path / "run")
    assert all(candidate.failure is None for request in results.requests for candidate in request.candidates)
    assert server.most_under_way == 20


def test_a_suite_runs_on_a_server_and_says_what_is_not_so(tmp_path, capsys):
    def answer(body, number):
        return Reply(b"busy", 503) if number == 2 else tones(body, number)

    with serving(answer) as server:
        run(config(server), tmp_path / "run")
        first = len(server.bodies)
        run(config(server), tmp_path / "run")
    assert first == len(server.bodies) == 7, "six candidates, one asked for twice, and none of them again"
    summary = finish(tmp_path / "run", as_json=True)
    assert summary.coverage.scored == 3
    assert summary.cost.total.retries == 1
    printed = capsys.readouterr()
    record = json.loads(printed.out)
    assert record["cost"]["retries"] == 1
    report = tmp_path / "run/report"
    for text in (printed.err, (report / "report.md").read_text(), (report / "report.html").read_text()):
        flat = " ".join(text.replace("&#39;", "'").split())
        assert "'openai' is not reproducible" in flat
        assert "'openai' does not clone here: it ignores the prompt audio of 3 of 3 requests" in flat
    assert len(record["limits"]) == 2
    assert "Attempts that were made again | 1" in (report / "report.md").read_text()


def test_what_is_sent_is_not_said_to_be_missing(tmp_path):
    with serving(tones) as server:
        run(config(server, ",send=seed+prompt"), tmp_path / "run")
    assert read_run(tmp_path / "run").limits == ()
    assert all(body["ref_audio"].startswith("data:audio/wav;base64,") for body in server.bodies)


def test_a_run_keeps_no_key_whatever_the_server_says(tmp_path):
    def answer(body, number):
        return Reply(f"wrong key {SECRET}".encode(), 401) if number % 2 else tones(body, number)

    with serving(answer) as server:
        run(config(server), tmp_path / "run")
    finish(tmp_path / "run", as_json=True)
    assert set(server.keys) == {f"Bearer {SECRET}"}
    kept = everything_in(tmp_path / "run")
    assert "HTTP 401" in kept
    assert SECRET not in kept


def test_a_single_text_warns_of_an_ignored_prompt(capsys):
    prompt = Prompt(audio=Clip(np.zeros(800), 8000))
    with serving(tones) as server:
        result = search_one(config(server, ",send=seed"), Request(id="one", text="Good morning.", prompt=prompt))
    assert result.chosen.clip is not None
    assert "does not clone here: it ignores the prompt" in capsys.readouterr().err
