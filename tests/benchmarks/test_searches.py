from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas
import pytest

from benchmarks.rescore import add_judges
from benchmarks.runner import run
from benchmarks.suite import Suite, suites
from reports.calibration import calibrate
from reports.frame import MEASURED_TIME, results_frame
from reports.read_run import read_run
from reports.summary import summarise
from search.strategy import load_strategy
from tts_eval.cli.run import default_folder
from tts_eval.cli.synth import search_one
from tts_eval.config import RunConfig, sampling_of
from tts_eval.errors import ConfigError
from tts_eval.scales import write_scales
from tts_eval.synthesizers.fake import FakeGeneration
from tts_eval.types import Request

BEAM = "beam:step=0.2,expand=3,keep=2"
CONFIG = RunConfig(synth="fake", strategy=BEAM, n=4, verifier="fake", judge=("fake:2",), limit=4)


def frame(folder: Path) -> pandas.DataFrame:
    return results_frame(read_run(folder)).drop(columns=list(MEASURED_TIME))


@pytest.mark.parametrize("strategy", [BEAM, "adaptive:price=0.001", "smc:particles=3,step=0.2", "early-rejection"])
def test_the_report_shows_what_the_search_chose_and_all_that_it_cost(tmp_path: Path, strategy):
    config = replace(CONFIG, strategy=strategy)
    run(config, tmp_path)
    results = read_run(tmp_path)
    assert [len(request.candidates) for request in results.requests] == [1] * 4
    assert {metric.verifier_key: metric.selected_on for metric in results.metrics} == {"fake:2": False, "fake": True}
    for request in results.requests:
        found = search_one(config, Request(id=request.id, text=request.text))
        assert request.chosen.seed == found.chosen.seed
        assert request.chosen.cost.tokens == found.cost.tokens > len(request.text.split())
        assert request.chosen.cost.judgements == found.cost.judgements > 1
        assert all(score.failure is None for score in request.chosen.scores.values())
    assert summarise(results).n == 1


def test_beam_search_beats_one_sample_by_the_judge_that_guided_it(tmp_path: Path):
    run(CONFIG, tmp_path / "beam")
    run(replace(CONFIG, strategy="best-of-n", n=1), tmp_path / "one")
    beam, one = (frame(tmp_path / name)["fake#stray"].mean() for name in ("beam", "one"))
    assert beam < 0.8 * one


def test_a_killed_search_ends_as_one_that_was_not(tmp_path: Path, monkeypatch):
    run(CONFIG, tmp_path / "whole")
    advance, left = FakeGeneration.advance, [4]

    def dying(self, steps):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        advance(self, steps)

    monkeypatch.setattr(FakeGeneration, "advance", dying)
    monkeypatch.setattr("search.process.ROWS_AT_ONCE", 1)
    with pytest.raises(KeyboardInterrupt):
        run(CONFIG, tmp_path / "killed")
    monkeypatch.setattr(FakeGeneration, "advance", advance)
    run(CONFIG, tmp_path / "killed")
    pandas.testing.assert_frame_equal(frame(tmp_path / "killed"), frame(tmp_path / "whole"))


def test_what_was_chosen_is_not_searched_again(tmp_path: Path, monkeypatch):
    run(CONFIG, tmp_path)
    table = frame(tmp_path)
    monkeypatch.setattr(FakeGeneration, "advance", None)
    run(CONFIG, tmp_path)
    pandas.testing.assert_frame_equal(frame(tmp_path), table)
    add_judges(tmp_path, ["fake:5"])
    assert frame(tmp_path)["fake:5#stray"].notna().all()


@pytest.mark.parametrize("change", [{"then": "fake:3"}, {"budget": "20-tokens"}, {"verifier": "fake:1"},
                                    {"strategy": "beam:step=0.2,expand=5,keep=2"}, {"temperature": 0.5}])  # fmt: skip
def test_every_setting_is_part_of_the_search(tmp_path: Path, change):
    run(CONFIG, tmp_path)
    before = frame(tmp_path)
    run(replace(CONFIG, **change), tmp_path)
    after = frame(tmp_path)
    assert not np.array_equal(before["seed"], after["seed"])


def test_the_numbers_in_a_file_of_scales_are_part_of_the_search(tmp_path: Path):
    run(replace(CONFIG, strategy="best-of-n"), tmp_path / "pool")
    file, folder = tmp_path / "scales.json", tmp_path / "run"
    scales = calibrate(tmp_path / "pool", file)
    config = replace(CONFIG, verifier=f"z(fake + fake:2, {file})")
    run(config, folder)
    before = frame(folder)
    write_scales(file, {**scales, "fake:2#stray": replace(scales["fake:2#stray"], deviation=1e-6)}, source="a test")
    run(config, folder)
    assert not np.array_equal(before["seed"], frame(folder)["seed"])


def test_what_a_cascade_spared_on_the_way_is_stored(tmp_path: Path):
    config = replace(CONFIG, verifier="cascade(2 of fake, fake:3)")
    run(config, tmp_path)
    for request in read_run(tmp_path).requests:
        found = search_one(config, Request(id=request.id, text=request.text))
        assert request.chosen.cost.spared_calls == found.cost.spared_calls > 0
        assert request.chosen.cost.spared_seconds > 0


def test_a_run_that_keeps_winners_only_is_no_measure(tmp_path: Path):
    run(CONFIG, tmp_path)
    with pytest.raises(ConfigError, match="best-of-n"):
        calibrate(tmp_path, tmp_path / "scales.json")
    assert not (tmp_path / "scales.json").exists()


def test_then_counts_as_selecting(tmp_path: Path):
    run(replace(CONFIG, then="fake:2", judge=("fake:2", "fake:4")), tmp_path)
    results = read_run(tmp_path)
    assert {metric.verifier_key: metric.selected_on for metric in results.metrics} == {
        "fake:4": False, "fake:2": True, "fake": True,
    }  # fmt: skip
    assert "then fake:2" in results.strategy


def test_failures_stay_in_the_denominator(tmp_path: Path, monkeypatch):
    fates = ("", "raise", "silent", "empty", "nan")
    requests = [Request(id=f"r-{fate or 'fine'}", text="one two", metadata={"fake": fate}) for fate in fates]
    requests.append(Request(id="r-shy", text="one two", metadata={"fake_verifier": "undecided"}))
    suite = Suite(name="troubled@1", requests=tuple(requests), judges=("fake:2",))
    monkeypatch.setitem(suites._objects, "mini", lambda **settings: suite)
    run(replace(CONFIG, limit=None), tmp_path)
    failures = frame(tmp_path).set_index("request_id")["failure"].to_dict()
    assert failures == {
        "r-fine": "", "r-raise": "synthesis", "r-silent": "", "r-empty": "empty", "r-nan": "not-finite", "r-shy": "",
    }  # fmt: skip


@pytest.mark.parametrize(("change", "message"), [({"strategy": "beam:stepp=1"}, "Did you mean 'step'"),
                                                 ({"budget": "many"}, "NUMBER-UNIT"),
                                                 ({"strategy": "best-of-n", "then": "fake:1"}, "drop --then"),
                                                 ({"then": "nobody"}, "Unknown verifier")])  # fmt: skip
def test_mistakes_are_found_before_anything_is_made(tmp_path: Path, change, message):
    with pytest.raises(ConfigError, match=message):
        run(replace(CONFIG, **change), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_folders_say_how_the_budget_was_spent():
    assert default_folder(CONFIG).name == "mini-fake-beam-step-0.2-expand-3-keep-2-n4"
    assert default_folder(replace(CONFIG, strategy="best-of-n")).name == "mini-fake-n4"
    limited = replace(CONFIG, strategy="best-of-n", budget="9e3-tokens")
    assert default_folder(limited).name == "mini-fake-best-of-n-n4-9e3-tokens"
    then = replace(CONFIG, then="asr:base")
    assert default_folder(then).name == "mini-fake-beam-step-0.2-expand-3-keep-2-n4-then-asr-base"
    assert load_strategy(BEAM, sampling=sampling_of(CONFIG), run_seed=0)


def test_the_default_folder_has_a_name_that_file_systems_take(tmp_path: Path):
    specs = [f"openai:http://127.0.0.1:8000/v1,model={'large-' * 50}{number}" for number in (1, 2)]
    names = {default_folder(replace(CONFIG, synth=spec)).name for spec in specs}
    assert len(names) == 2
    for name in names:
        (tmp_path / name).mkdir()
