"""Workers crash, hang and are killed; the run goes on, and says what was lost."""

from dataclasses import replace
from pathlib import Path

import pandas
import pytest
import yaml

from benchmarks.filling import Filling
from benchmarks.runner import run
from benchmarks.suite import Suite, suites
from reports.frame import MEASURED_TIME, results_frame
from reports.read_run import read_run
from tts_eval.config import RunConfig
from tts_eval.errors import ConfigError, DataError, StoreError
from tts_eval.types import Request

pytestmark = pytest.mark.usefixtures("ray_cluster")

CONFIG = RunConfig(synth="fake", n=2, verifier="fake", judge=("fake:2",))


def frame(folder: Path) -> pandas.DataFrame:
    return results_frame(read_run(folder)).drop(columns=list(MEASURED_TIME))


@pytest.fixture
def on_ray(tmp_path: Path):
    def config(**rest: object) -> RunConfig:
        path = tmp_path / "resources.yaml"
        path.write_text(yaml.safe_dump({"rest": {"actors": 2, "threads": 1, **rest}}))
        return replace(CONFIG, executor="ray", resources=str(path))

    return config


@pytest.fixture
def ask(monkeypatch):
    def use(*requests: Request) -> None:
        suite = Suite(name="odd@1", requests=requests, judges=("fake:2",))
        monkeypatch.setitem(suites._objects, "mini", lambda **settings: suite)

    return use


FINE = [Request(id=f"fine-{number}", text="one two three") for number in range(5)]


def test_a_request_that_kills_every_worker_is_given_up_and_the_others_are_as_ever(tmp_path: Path, ask, on_ray, caplog):
    ask(*FINE)
    run(CONFIG, tmp_path / "serial")
    ask(*FINE[:2], Request(id="poison", text="one", metadata={"fake": "exit"}), *FINE[2:])
    run(on_ray(), tmp_path / "ray")
    table = frame(tmp_path / "ray")
    poisoned = table["request_id"] == "poison"
    assert table[poisoned]["failure"].tolist() == ["synthesis"] * 2
    fine = table[~poisoned].reset_index(drop=True)
    columns = ["request_id", "index", "audio_seconds", "chosen", "fake#stray", "fake:2#stray"]
    pandas.testing.assert_frame_equal(fine[columns], frame(tmp_path / "serial")[columns])
    assert "died" in caplog.text and "given up" in caplog.text


def test_a_model_that_hangs_is_cut_off(tmp_path: Path, ask, on_ray, caplog):
    ask(FINE[0], Request(id="slow", text="one", metadata={"fake": "hang"}))
    run(replace(on_ray(timeout=1.0), n=1), tmp_path / "ray")
    table = frame(tmp_path / "ray").set_index("request_id")
    assert table["failure"].to_dict() == {"fine-0": "", "slow": "synthesis"}
    assert "did not answer within 1 s" in caplog.text


def test_a_clip_that_kills_its_verifier_loses_that_score_alone(tmp_path: Path, ask, on_ray):
    ask(*FINE, Request(id="poison", text="one two", metadata={"fake_verifier": "exit"}))
    run(on_ray(), tmp_path / "ray")
    table = frame(tmp_path / "ray").set_index("request_id")
    assert (table["failure"] == "").all()
    assert table.loc["poison", "fake#failure"].tolist() == ["verifier"] * 2
    assert (table.drop("poison")["fake:2#failure"] == "").all()


def test_a_guided_search_survives_its_worker(tmp_path: Path, ask, on_ray):
    ask(*FINE, Request(id="poison", text="one two", metadata={"fake": "exit"}))
    run(replace(on_ray(), strategy="adaptive"), tmp_path / "ray")
    table = frame(tmp_path / "ray").set_index("request_id")
    assert table["failure"].to_dict() == {**{request.id: "" for request in FINE}, "poison": "synthesis"}


def test_what_was_given_up_is_tried_again_by_the_next_run(tmp_path: Path, ask, on_ray, monkeypatch):
    ask(Request(id="r", text="one", metadata={"fake": "exit"}))
    run(on_ray(), tmp_path / "ray")
    ask(Request(id="r", text="one"))  # what killed it is gone: more memory, another version
    run(on_ray(), tmp_path / "ray")
    assert frame(tmp_path / "ray")["failure"].tolist() == ["", ""]


def test_a_folder_that_cannot_be_written_ends_the_run_with_its_name(tmp_path: Path, ask, on_ray):
    ask(*FINE)
    (tmp_path / "run/candidates").mkdir(parents=True)
    (tmp_path / "run/candidates/audio").write_text("in the way")
    with pytest.raises(StoreError, match=r"candidates/audio.*worker rest-1"):
        run(on_ray(), tmp_path / "run")


def test_a_timeline_that_cannot_be_written_neither_ends_a_run_nor_hides_what_did(
    tmp_path: Path, ask, on_ray, caplog, monkeypatch
):
    (tmp_path / "run/candidates").mkdir(parents=True)
    (tmp_path / "run/report/timeline.json").mkdir(parents=True)
    ask(*FINE)
    run(on_ray(), tmp_path / "run")
    assert (frame(tmp_path / "run")["failure"] == "").all()
    assert "there is no new timeline" in caplog.text
    monkeypatch.setattr(Filling, "_take", lambda *arguments: (_ for _ in ()).throw(DataError("what ended it")))
    with pytest.raises(DataError, match="what ended it"):
        run(replace(on_ray(), n=3), tmp_path / "run")


def test_a_model_that_workers_do_not_find_is_named_with_the_worker(tmp_path: Path, ask, on_ray):
    ask(*FINE)
    with pytest.raises(ConfigError, match=r"nowhere.onnx.*worker rest-1"):
        run(replace(on_ray(), synth=f"piper:{tmp_path}/nowhere.onnx"), tmp_path / "run")
