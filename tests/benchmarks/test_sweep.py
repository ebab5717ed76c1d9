import importlib
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas
import pytest

from benchmarks.grid import parse_grid
from benchmarks.runner import run
from benchmarks.sweep import run_sweep
from reports.sweep import summarise_sweep
from reports.sweep_tables import sweep_frame
from tts_eval import sweep_folder
from tts_eval.errors import ConfigError, RunLockedError, StoreError
from tts_eval.store import RunStore
from tts_eval.sweep_folder import read_sweep
from tts_eval.synthesizers.fake import FakeGeneration, FakeSynthesizer
from verifiers.fake import FakeVerifier

BASE = {"synth": "fake", "limit": 3, "judge": "fake:2", "verifier": "fake"}
BEAM = "beam:step=0.2,expand=3,keep=2"
MEASURED_TIME = ["generator_seconds", "verifier_seconds"]


def frame(folder: Path) -> pandas.DataFrame:
    return sweep_frame(summarise_sweep(folder)).drop(columns=MEASURED_TIME)


@pytest.fixture
def begun(monkeypatch) -> Counter:
    """How often each (seed, temperature) was begun."""
    counts: Counter = Counter()
    begin = FakeSynthesizer.begin

    def counting(self, jobs):
        counts.update((job.seed, job.sampling.temperature) for job in jobs)
        return begin(self, jobs)

    monkeypatch.setattr(FakeSynthesizer, "begin", counting)
    return counts


def test_overlapping_cells_make_nothing_twice(tmp_path: Path, begun):
    """Best of 4, 16 and 64, budgets, another verifier and other strategies for whole candidates: one pool."""
    cells = [
        {"name": "pool", "n": [4, 64, 16]}, {"name": "limited", "n": 64, "budget": ["30-tokens", "60-tokens"]},
        {"name": "adaptive", "strategy": "adaptive", "n": 16}, {"name": "other", "n": 8, "verifier": "fake:3"},
    ]  # fmt: skip
    outcomes = run_sweep(parse_grid(BASE | {"seed": [0, 1], "cells": cells}), tmp_path)
    assert not any(outcome.failure for outcome in outcomes)
    assert len(begun) == 2 * 3 * 64
    assert set(begun.values()) == {1}


def test_verifiers_hear_a_whole_candidate_once(tmp_path: Path, monkeypatch):
    heard: Counter = Counter()
    judge = FakeVerifier._one

    def counting(self, item):
        heard[self.judge, item.candidate.clip.sha256] += 1
        return judge(self, item)

    monkeypatch.setattr(FakeVerifier, "_one", counting)
    cells = [{"name": "pool", "n": 8}, {"name": "limited", "n": 16, "budget": "60-tokens"},
             {"name": "rejection", "strategy": "rejection:threshold=-0.05", "n": 8}]  # fmt: skip
    run_sweep(parse_grid(BASE | {"cells": cells}), tmp_path)
    assert set(heard.values()) == {1}


def test_embeddings_are_not_stored_so_they_are_asked_for_again(tmp_path: Path, monkeypatch):
    judge = FakeVerifier._one
    vector = np.ones(2)
    monkeypatch.setattr(FakeVerifier, "_one", lambda self, item: replace(judge(self, item), embedding=vector))
    cells = [{"name": "pool", "n": 4}, {"name": "consensus", "strategy": "consensus:by=embedding", "n": 4}]
    outcomes = run_sweep(parse_grid(BASE | {"cells": cells}), tmp_path)
    assert [outcome.failure for outcome in outcomes] == ["", ""]


def test_models_are_loaded_once(tmp_path: Path, monkeypatch):
    loaded: list[str] = []
    for name in ("benchmarks.models.load_synthesizer", "verifiers.requirements.load_verifier"):
        module, _, function = name.rpartition(".")
        real = getattr(importlib.import_module(module), function)
        monkeypatch.setattr(name, lambda spec, real=real: loaded.append(spec) or real(spec))
    run_sweep(parse_grid(BASE | {"n": [2, 3], "verifier": ["fake", "fake:1"], "seed": [0, 1]}), tmp_path)
    assert sorted(loaded) == ["fake", "fake", "fake:1", "fake:2"]


@pytest.mark.parametrize("left", [1, 5, 9])
def test_a_killed_sweep_ends_as_one_that_was_not(tmp_path: Path, monkeypatch, left):
    cells = parse_grid(BASE | {"seed": [0, 1], "cells": [{"name": "pool", "n": 4}, {"name": "beam", "strategy": BEAM}]})
    run_sweep(cells, tmp_path / "whole")
    advance, calls = FakeGeneration.advance, [left]

    def dying(self, steps):
        calls[0] -= 1
        if calls[0] < 0:
            raise KeyboardInterrupt
        advance(self, steps)

    with monkeypatch.context() as patch:
        patch.setattr(FakeGeneration, "advance", dying)
        with pytest.raises(KeyboardInterrupt):
            run_sweep(cells, tmp_path / "killed")
    run_sweep(cells, tmp_path / "killed")
    pandas.testing.assert_frame_equal(frame(tmp_path / "killed"), frame(tmp_path / "whole"))
    assert read_sweep(tmp_path / "killed") == read_sweep(tmp_path / "whole")


def test_a_finished_sweep_is_not_done_again(tmp_path: Path, monkeypatch, begun):
    cells = parse_grid(BASE | {"cells": [{"name": "pool", "n": 4}, {"name": "beam", "strategy": BEAM}]})
    run_sweep(cells, tmp_path)
    before, table = begun.total(), frame(tmp_path)
    monkeypatch.setattr(FakeVerifier, "_judge", None)
    run_sweep(cells, tmp_path)
    assert begun.total() == before
    pandas.testing.assert_frame_equal(frame(tmp_path), table)


def test_a_kill_while_a_finished_sweep_is_gone_through_again_loses_no_cell(tmp_path: Path, monkeypatch):
    cells = parse_grid(BASE | {"cells": [{"name": "one", "n": 2}, {"name": "two", "n": 3}, {"name": "three", "n": 4}]})
    run_sweep(cells, tmp_path)
    killed = iter([False, True])
    record = sweep_folder.write_text_atomically

    def stop(path, text):
        record(path, text)
        if path.name == "sweep.json" and next(killed):
            raise KeyboardInterrupt

    monkeypatch.setattr(sweep_folder, "write_text_atomically", stop)
    with pytest.raises(KeyboardInterrupt):
        run_sweep(cells, tmp_path)
    assert [outcome.cell for outcome in read_sweep(tmp_path)] == list(cells)


def test_a_damaged_record_is_written_anew(tmp_path: Path, caplog):
    cells = parse_grid(BASE | {"cells": [{"name": "one", "n": 2}]})
    run_sweep(cells, tmp_path)
    (tmp_path / "sweep.json").write_text("{")
    run_sweep(cells, tmp_path)
    assert [outcome.cell for outcome in read_sweep(tmp_path)] == list(cells)
    assert "no record of a sweep" in caplog.text


def test_a_run_folder_is_taken_over(tmp_path: Path, begun):
    """What `tts-eval run` made with the same settings is found by the sweep."""
    cells = parse_grid(BASE | {"cells": [{"name": "pool", "n": 4}, {"name": "beam", "strategy": BEAM}]})
    for cell in cells:
        run(cell.config, tmp_path / "seed-0")
    before = begun.total()
    run_sweep(cells, tmp_path)
    assert begun.total() == before


def test_a_failing_cell_is_recorded_and_the_others_go_on(tmp_path: Path):
    cells = parse_grid(BASE | {"n": 2, "cells": [{"name": "bad", "verifier": "fake:loud"}, {"name": "good"}]})
    outcomes = run_sweep(cells, tmp_path)
    assert "takes a number" in outcomes[0].failure
    assert outcomes[1].failure == ""
    assert read_sweep(tmp_path) == outcomes
    summary = summarise_sweep(tmp_path)
    assert [(cell.name, bool(cell.metrics)) for cell in summary.cells] == [("bad", False), ("good", True)]
    assert summary.has_failures


def test_problems_of_all_cells_are_found_before_anything_is_made(tmp_path: Path):
    cells = parse_grid(BASE | {"cells": [{"name": "a", "strategy": "beam:stepp=1"}, {"name": "b", "budget": "3-tokens"},
                                         {"name": "c", "strategy": "beam", "verifier": "duration"}]})  # fmt: skip
    with pytest.raises(ConfigError) as caught:
        run_sweep(cells, tmp_path / "out")
    assert [problem.split(":")[0] for problem in caught.value.problems] == ["a", "b-3-tokens", "c"]
    assert not (tmp_path / "out").exists()


def test_a_sweep_stops_where_another_process_writes(tmp_path: Path):
    run_sweep(parse_grid(BASE | {"n": 2}), tmp_path)
    before = (tmp_path / "sweep.json").read_text()
    with RunStore.create(tmp_path / "seed-0"), pytest.raises(RunLockedError, match="Another process"):
        run_sweep(parse_grid(BASE | {"n": 3}), tmp_path)
    assert (tmp_path / "sweep.json").read_text() == before


def test_a_folder_of_something_else_is_refused(tmp_path: Path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(StoreError, match="no sweep"):
        run_sweep(parse_grid(BASE), tmp_path)
    with pytest.raises(StoreError, match="no record of a sweep"):
        read_sweep(tmp_path)
    (tmp_path / "sweep.json").write_text(json.dumps({"format": "another"}))
    with pytest.raises(StoreError, match="another"):
        read_sweep(tmp_path)
