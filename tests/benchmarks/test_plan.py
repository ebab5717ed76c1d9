import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import scale
from benchmarks.grid import parse_grid
from benchmarks.plan import plan_sweep
from benchmarks.runner import run
from benchmarks.suite import Suite, suites
from benchmarks.sweep import run_sweep
from reports.sweep import summarise_sweep
from tts_eval.audio import Clip, write_audio
from tts_eval.config import RunConfig
from tts_eval.errors import ConfigError, StoreError
from tts_eval.synthesizers.fake import FakeSynthesizer
from tts_eval.types import Cost, Request

BASE = {"synth": "fake", "limit": 8, "judge": "fake:2", "verifier": "fake"}
CELLS = [
    {"name": "pool", "n": [4, 8]},
    {"name": "best-of-n", "n": 32, "budget": "80-tokens"},
    {"name": "adaptive", "strategy": "adaptive", "n": 16},
    {"name": "rejection", "strategy": "rejection:threshold=-0.03", "n": 16},
    {"name": "consensus", "strategy": "best-of-n", "n": 16, "temperature": 0.5, "budget": "40-tokens"},
    {"name": "beam", "strategy": "beam:step=0.2,expand=3,keep=2", "budget": ["40-tokens", "200-tokens"]},
    {"name": "dvts", "strategy": "dvts:step=0.2,expand=2,trees=3"},
    {"name": "smc", "strategy": "smc:particles=5,step=0.2", "then": "fake:3"},
    {"name": "early", "strategy": "early-rejection:after=0.3", "n": 6},
]


class Codec(FakeSynthesizer):
    """Samples tokens, which no codec does."""

    name = "codec-resynthesis"

    def generate(self, jobs):
        return [replace(made, cost=Cost(tokens=1000, audio_seconds=3.0)) for made in super().generate(jobs)]


@pytest.fixture(scope="module")
def like(tmp_path_factory) -> Path:
    """A run of the same synthesizer with another seed."""
    path = tmp_path_factory.mktemp("like")
    run(RunConfig(synth="fake", n=16, verifier="fake", judge=("fake:2",), limit=8, seed=9), path)
    return path


def test_predicted_tokens_are_those_that_the_sweep_takes(tmp_path: Path, like, monkeypatch):
    cells = parse_grid(BASE | {"seed": [0, 1], "cells": CELLS})
    plan = plan_sweep(cells, tmp_path / "sweep", like)
    assert not (tmp_path / "sweep").exists()
    jobs: list[int] = []
    generate = FakeSynthesizer.generate
    monkeypatch.setattr(
        FakeSynthesizer, "generate", lambda self, batch: jobs.append(len(batch)) or generate(self, batch)
    )
    run_sweep(cells, tmp_path / "sweep")
    for cell in summarise_sweep(tmp_path / "sweep").cells:
        predicted = sum(run.tokens for run in plan.runs if run.row == cell.row) / 16
        # What stops by its scores depends on them; everything else on lengths alone.
        close = 0.25 if cell.name in ("adaptive", "rejection") else 0.03
        assert predicted == pytest.approx(cell.cost.tokens, rel=close), cell.row
    assert plan.total("new_samples") == pytest.approx(sum(jobs), rel=0.03)
    assert plan.like == str(like)
    assert plan.cells == 11


def test_what_the_folder_holds_is_the_measure_by_default(tmp_path: Path):
    cells = parse_grid(BASE | {"seed": [0, 1], "cells": CELLS[:5]})
    run_sweep(cells, tmp_path)
    plan = plan_sweep(cells, tmp_path)
    assert plan.like == str(tmp_path / "seed-0")
    for cell in summarise_sweep(tmp_path).cells:
        assert sum(run.tokens for run in plan.runs if run.row == cell.row) == pytest.approx(16 * cell.cost.tokens)


def test_what_is_stored_is_not_new(tmp_path: Path, like):
    grid = BASE | {"seed": [0, 1], "cells": [{"name": "pool", "n": 6}]}
    run_sweep(parse_grid(grid), tmp_path)
    more = {"cells": [*grid["cells"], {"name": "large", "n": 10}, {"name": "beam", "strategy": "beam:step=0.2,keep=2"}]}
    for source in (None, like):
        plan = plan_sweep(parse_grid(grid | more), tmp_path, source)
        new = {
            (run.row, run.seed): (run.new_samples, run.new_tokens > 0, run.verifier_seconds > 0) for run in plan.runs
        }
        for seed in (0, 1):
            assert new["pool", seed] == (0, False, False)
            assert new["large", seed] == (8 * 4, True, True)
            assert new["beam", seed] == (0, True, True)
    run_sweep(parse_grid(grid | more), tmp_path)
    after = plan_sweep(parse_grid(grid | more), tmp_path)
    assert after.total("new_tokens") == after.wall_seconds == 0
    assert after.total("tokens") > 0


def test_shared_samples_count_once(tmp_path: Path, like):
    grid = BASE | {
        "cells": [{"name": "a", "n": 4}, {"name": "b", "n": 12}, {"name": "c", "n": 8, "verifier": "fake:7"}]
    }
    plan = plan_sweep(parse_grid(grid), tmp_path, like)
    assert [run.new_samples for run in plan.runs] == [8 * 4, 8 * 8, 0]
    assert plan.runs[0].tokens == plan.runs[0].new_tokens
    assert plan.runs[2].new_tokens == 0 < plan.runs[2].tokens


def test_seconds_are_those_of_the_run_that_it_is_like(tmp_path: Path, like):
    """Of the fake, a candidate takes a millisecond; each verifier hears each candidate once."""
    (run_plan,) = plan_sweep(parse_grid(BASE | {"n": 4}), tmp_path, like).runs
    assert run_plan.generator_seconds == pytest.approx(8 * 4 * 0.001)
    (twice,) = plan_sweep(parse_grid(BASE | {"n": 4, "judge": "fake"}), tmp_path, like).runs
    assert 0 < twice.verifier_seconds < run_plan.verifier_seconds


def test_without_a_measure_it_says_what_it_does_not_know(tmp_path: Path):
    cells = parse_grid(BASE | {"cells": [{"name": "adaptive", "strategy": "adaptive", "n": 5}]})
    plan = plan_sweep(cells, tmp_path)
    notes = "\n".join(plan.assumptions)
    assert "15 characters and 10 tokens a second" in notes
    assert "counted as 0 seconds: fake, fake:2" in notes
    assert "adaptive stops by scores" in notes
    assert plan.like == ""
    assert plan.wall_seconds is None  # and not the verifiers' alone
    record = plan.as_json()
    assert record["total"]["generator_seconds"] is record["runs"][0]["generator_seconds"] is None
    assert plan.runs[0].new_samples == 8 * 5  # as if it never stopped
    assert "no tokens" in "\n".join(plan_sweep(parse_grid(BASE | {"synth": "piper"}), tmp_path).assumptions)


def test_a_codec_that_scaled_the_run_is_no_measure_of_its_synthesizer(tmp_path: Path, monkeypatch):
    requests = [Request(id=f"r{i}", text="one two three", ground_truth=tmp_path / "truth.flac") for i in range(4)]
    write_audio(tmp_path / "truth.flac", Clip(np.full(48_000, 0.5, dtype=np.float32), 16_000))
    suite = Suite(name="recorded@1", requests=tuple(requests), judges=("fake:2",))
    monkeypatch.setitem(suites._objects, "mini", lambda **settings: suite)
    run(RunConfig(synth="fake", n=2, verifier="fake", judge=("fake:2",)), tmp_path / "like")
    cells = parse_grid({**BASE, "limit": None, "n": 2})
    before = plan_sweep(cells, tmp_path / "out", tmp_path / "like")
    monkeypatch.setattr(scale, "load_synthesizer", lambda spec: Codec())
    scale.add_resyntheses(tmp_path / "like", "any")
    after = plan_sweep(cells, tmp_path / "out", tmp_path / "like")
    assert after.total("new_tokens") == before.total("new_tokens") > 0


def test_a_run_with_settings_of_another_version_is_no_measure_and_is_named_where_it_is_asked_for(tmp_path: Path, like):
    folder = tmp_path / "sweep/seed-0"
    shutil.copytree(like, folder)
    record = json.loads((folder / "run.json").read_text())
    record["config"]["patience"] = 3
    (folder / "run.json").write_text(json.dumps(record))
    assert plan_sweep(parse_grid(BASE), tmp_path / "sweep").like == ""
    with pytest.raises(ConfigError, match=r"sweep/seed-0/run\.json: Unknown setting 'patience'"):
        plan_sweep(parse_grid(BASE), tmp_path / "sweep", folder)


def test_a_budget_in_flops_is_planned_by_a_run_and_refused_without_one(tmp_path: Path, like):
    cells = parse_grid(BASE | {"n": 16, "budget": "1e9-flops"})
    with pytest.raises(ConfigError, match="'1e9-flops' is in: give a run"):
        plan_sweep(cells, tmp_path)
    with pytest.raises(ConfigError, match="counts no FLOPs"):  # as this synthesizer's own sweep says
        plan_sweep(cells, tmp_path, like)


def test_requests_that_were_not_measured_are_reckoned_by_their_text(tmp_path: Path, like):
    cells = parse_grid(BASE | {"suite": "mini-dev", "n": 2})
    plan = plan_sweep(cells, tmp_path / "out", like)
    run_sweep(cells, tmp_path / "out")
    (cell,) = summarise_sweep(tmp_path / "out").cells
    assert plan.runs[0].tokens / 8 == pytest.approx(cell.cost.tokens, rel=0.15)


def test_a_plan_refuses_what_a_sweep_would(tmp_path: Path):
    with pytest.raises(ConfigError, match="does not work step by step"):
        plan_sweep(parse_grid(BASE | {"synth": "piper", "strategy": "beam"}), tmp_path)
    with pytest.raises(StoreError, match="not a run"):
        plan_sweep(parse_grid(BASE), tmp_path, tmp_path / "nowhere")


def test_a_search_phrase_by_phrase_is_reckoned_in_seconds_and_in_its_speakers_tokens(tmp_path: Path, like):
    path = tmp_path / "run"
    run(RunConfig(synth="phrases:fake", n=4, verifier="fake", judge=("fake:2",), limit=8), path)
    grid = BASE | {"synth": "phrases:fake", "cells": [{"name": "beam", "strategy": "beam:step=0.5,expand=2,keep=2"}]}
    (cell,) = plan_sweep(parse_grid(grid), tmp_path / "out", path).runs
    assert cell.verifier_seconds > 0
    for synth, counts_tokens in (("phrases:fake", True), ("phrases:piper", False)):
        (cell,) = plan_sweep(parse_grid(grid | {"synth": synth}), tmp_path / "out").runs
        assert (cell.tokens > 0) is counts_tokens
    one = plan_sweep(parse_grid(BASE | {"synth": "phrases:fake", "n": 1}), tmp_path / "out", path).runs[0]
    beam = plan_sweep(parse_grid(grid), tmp_path / "out", path).runs[0]
    assert 2 * one.generator_seconds < beam.generator_seconds < 4 * one.generator_seconds + 1e-9


def test_consensus_of_embeddings_can_be_planned(tmp_path: Path, like):
    grid = {"n": 4, "strategy": ["consensus:by=embedding"]}
    assert plan_sweep(parse_grid(BASE | grid), tmp_path, like).runs[0].new_samples == 32


def test_a_run_of_another_voice_is_no_measure_of_samples(tmp_path: Path, like):
    plan = plan_sweep(parse_grid(BASE | {"synth": "llasa-nano", "n": 2}), tmp_path, like)
    assert "25 tokens a second" in "\n".join(plan.assumptions)
    assert plan.total("verifier_seconds") > 0


def test_pieces_are_what_workers_can_share(tmp_path: Path, like):
    grid = {"cells": [{"name": "pool", "n": 4}, {"name": "more", "n": 6}, *CELLS[5:6]]}
    pool, more, beam, _ = plan_sweep(parse_grid(BASE | grid), tmp_path, like).runs
    assert [len(run.pieces) for run in (pool, more, beam)] == [8 * 4, 8 * 2, 8]
    for run_plan in (pool, more, beam):
        made = sum(piece.made or 0.0 for piece in run_plan.pieces)
        heard = sum(seconds for piece in run_plan.pieces for _, seconds in piece.heard)
        assert made + heard == pytest.approx(run_plan.generator_seconds + run_plan.verifier_seconds)
    assert {spec for spec, _ in pool.pieces[0].heard} == {"fake", "fake:2"}
    assert pool.pieces[0].audio_seconds > 0.1


def test_pieces_of_a_new_judge_are_only_heard(tmp_path: Path):
    run_sweep(parse_grid(BASE | {"cells": [{"name": "pool", "n": 4}]}), tmp_path)
    (run_plan,) = plan_sweep(
        parse_grid(BASE | {"judge": "fake:3", "cells": [{"name": "other", "n": 4}]}), tmp_path
    ).runs
    assert [piece.made for piece in run_plan.pieces] == [None] * 32
    assert {spec for piece in run_plan.pieces for spec, _ in piece.heard} == {"fake:3"}
