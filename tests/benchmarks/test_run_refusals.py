"""What a run refuses before models are loaded, and that nothing is left behind or lost."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.rescore import add_judges
from benchmarks.runner import run
from benchmarks.suite import Suite, suites
from reports.read_run import read_run
from reports.summary import summarise
from tts_eval.audio import Clip, read_audio, write_audio
from tts_eval.config import RunConfig
from tts_eval.errors import ConfigError, DataError, RunLockedError
from tts_eval.store import RunStore
from tts_eval.types import FailureKind, Prompt, Request
from verifiers.fake import FakeVerifier

CONFIG = RunConfig(synth="fake", n=4, verifier="fake", judge=("fake:2",), limit=4)


def test_a_second_process_is_refused_before_models_are_loaded(tmp_path: Path, monkeypatch):
    run(CONFIG, tmp_path)
    for module in ("models", "rescore"):
        monkeypatch.setattr(f"benchmarks.{module}.load_verifiers", lambda specs: pytest.fail("loaded"))
    with RunStore.create(tmp_path):
        with pytest.raises(RunLockedError, match="Another process"):
            run(CONFIG, tmp_path)
        with pytest.raises(RunLockedError, match="Another process"):
            add_judges(tmp_path, ["fake:3"])


def test_a_run_of_one_folder_of_audio_is_not_begun_again_with_another(tmp_path: Path, tone: Clip, monkeypatch):
    for system in ("a", "b"):
        (tmp_path / system / "wavs").mkdir(parents=True)
        write_audio(tmp_path / system / "wavs" / "plain-1.wav", tone)
    monkeypatch.chdir(tmp_path)
    config = replace(CONFIG, synth="wavs:a/wavs", n=1, limit=1)
    run(config, tmp_path / "run")
    before = (tmp_path / "run/run.json").read_bytes()
    with pytest.raises(ConfigError, match=r"was begun with wavs:a/wavs, now it is wavs:b/wavs\. Give another --out"):
        run(replace(config, synth="wavs:b/wavs"), tmp_path / "run")
    assert (tmp_path / "run/run.json").read_bytes() == before

    mended = Clip(tone.samples / 2, tone.rate)
    write_audio(tmp_path / "a/wavs/plain-1.wav", mended)
    run(replace(config, synth=f"wavs: {tmp_path}/b/../a/wavs"), tmp_path / "run")
    (request,) = read_run(tmp_path / "run").requests
    assert request.chosen.audio_sha256 == read_audio(tmp_path / "a/wavs/plain-1.wav").quantised().sha256


def test_workers_for_a_stage_that_the_run_has_not_are_refused_before_ray_is_started(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("benchmarks.remote_models.Cluster", lambda address: pytest.fail("started"))
    (tmp_path / "workers.yaml").write_text("snyth: {actors: 2}\n")
    with pytest.raises(ConfigError, match=r"'snyth' has workers.*Did you mean 'synth'"):
        run(replace(CONFIG, executor="ray", resources=str(tmp_path / "workers.yaml")), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("change", [{"judge": ("fake:x",)}, {"judge": ("speaker",)}, {"verifier": "fake#none"}])
def test_a_run_that_is_refused_leaves_nothing_behind(tmp_path: Path, monkeypatch, change):
    suite = Suite(name="odd@1", requests=(Request(id="r", text="one two"),), judges=("fake:2",))
    monkeypatch.setitem(suites._objects, "mini", lambda **settings: suite)
    monkeypatch.setattr("benchmarks.models.load_synthesizer", lambda spec: pytest.fail("went on"))
    with pytest.raises(ConfigError):
        run(replace(CONFIG, **change), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    (tmp_path / "mine").mkdir()
    with pytest.raises(ConfigError):
        run(replace(CONFIG, **change), tmp_path / "mine")
    assert not list((tmp_path / "mine").iterdir())


def test_prompts_and_recordings_that_a_list_names_must_be_there_for_who_speaks(tmp_path: Path, tone: Clip):
    for name in ("p.wav", "a.wav"):
        write_audio(tmp_path / name, tone)
    path = tmp_path / "meta.lst"
    path.write_text("a|hello|p.wav|one two\nb|hello|lost.wav|one two\nc|hello|p.wav|one two|gone.wav\n")
    config = replace(CONFIG, suite=f"list:{path}", n=1, limit=None)
    with pytest.raises(DataError) as caught:
        run(config, tmp_path / "run")
    assert "'b': no prompt at" in str(caught.value) and "'c': no ground truth at" in str(caught.value)
    assert "'a'" not in str(caught.value) and not (tmp_path / "run").exists()
    run(replace(config, limit=1), tmp_path / "first")
    run(replace(config, synth=f"wavs:{tmp_path}"), tmp_path / "scored")
    assert summarise(read_run(tmp_path / "scored")).coverage.scored == 1


def test_prompts_and_recordings_that_are_no_audio_are_refused_before_anything_is_said(tmp_path: Path, tone: Clip):
    write_audio(tmp_path / "p.wav", tone)
    write_audio(tmp_path / "silent.wav", Clip(tone.samples[:0], tone.rate))
    (tmp_path / "note.wav").write_text("not here yet")
    path = tmp_path / "meta.lst"
    path.write_text("a|hello|p.wav|one two\nb|hello|silent.wav|one two\nc|hello|p.wav|one two|note.wav\n")
    with pytest.raises(DataError) as caught:
        run(replace(CONFIG, suite=f"list:{path}", n=1, limit=None), tmp_path / "run")
    said = str(caught.value)
    assert f"'b': its prompt {tmp_path / 'silent.wav'} holds no audio" in said
    assert f"'c': its ground truth {tmp_path / 'note.wav'} cannot be read as audio" in said
    assert "'a'" not in said and not (tmp_path / "run").exists()


def test_a_judge_that_can_judge_nothing_is_not_added(tmp_path: Path, monkeypatch):
    suite = Suite(name="odd@1", requests=(Request(id="r", text="one two"),), judges=("fake:2",))
    monkeypatch.setitem(suites._objects, "mini", lambda **settings: suite)
    run(CONFIG, tmp_path)
    before = (tmp_path / "run.json").read_text()
    with pytest.raises(ConfigError, match=r"'speaker' can judge none of the requests\. 'r': The request has neither"):
        add_judges(tmp_path, ["speaker"])
    assert (tmp_path / "run.json").read_text() == before


@pytest.mark.parametrize("settings", [{}, {"strategy": "beam:step=0.2,expand=3,keep=2"}])
@pytest.mark.parametrize(("name", "value"), [("judge", "fake 2.0"), ("version", "2")])
def test_a_verifier_that_chose_may_not_judge_the_run_once_it_is_another(
    tmp_path: Path, monkeypatch, settings, name, value
):
    run(replace(CONFIG, **settings), tmp_path)
    before = (tmp_path / "run.json").read_bytes()
    was = read_run(tmp_path).requests[0].chosen.audio
    monkeypatch.setattr(FakeVerifier, "__init__", _other(name, value))
    with pytest.raises(ConfigError, match=rf"'fake' is now .*{value}.*; the run was searched with fake@.*new run"):
        add_judges(tmp_path, ["fake:3", "fake"])
    assert (tmp_path / "run.json").read_bytes() == before
    assert read_run(tmp_path).requests[0].chosen.audio == was
    add_judges(tmp_path, ["fake:2", "fake:3"])  # which chose nothing


def test_a_judge_that_changed_may_hear_a_run_in_which_nothing_was_chosen(tmp_path: Path, monkeypatch):
    run(replace(CONFIG, n=1), tmp_path)
    monkeypatch.setattr(FakeVerifier, "__init__", _other("judge", "fake 2.0"))
    add_judges(tmp_path, ["fake"])
    results = read_run(tmp_path)
    assert {one.judge for one in results.metrics if one.verifier_key == "fake"} == {"fake 2.0"}
    assert all("fake" in request.chosen.scores for request in results.requests)


def _other(name: str, value: str):
    made = FakeVerifier.__init__

    def make(self, *arguments, **settings):
        made(self, *arguments, **settings)
        setattr(self, name, value)

    return make


def test_a_judge_that_cannot_judge_all_is_a_warning_and_stays_in_the_denominator(tmp_path: Path, monkeypatch, caplog):
    tone = np.sin(np.arange(48_000, dtype=np.float32) / 20)
    requests = (
        Request(id="with", text="one two", prompt=Prompt(audio=Clip(tone, 16_000))),
        Request(id="without", text="one two"),
    )
    suite = Suite(name="odd@1", requests=requests, judges=("speaker",))
    monkeypatch.setitem(suites._objects, "mini", lambda **settings: suite)
    run(replace(CONFIG, judge=("speaker",), n=1), tmp_path)
    assert "'speaker' cannot judge 1 of 2 requests" in caplog.text
    metric = next(metric for metric in read_run(tmp_path).metrics if metric.metric.name == "sim")
    (without,) = (request.candidates[0] for request in read_run(tmp_path).requests if request.id == "without")
    assert without.scores[metric.verifier_key].failure.kind is FailureKind.NO_REFERENCE
    assert summarise(read_run(tmp_path)).metrics[0].chosen.n_expected == 2
