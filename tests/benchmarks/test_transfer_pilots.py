import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.perf import transfer_pilots
from benchmarks.runner import run
from reports.read_run import read_run
from tts_eval.config import RunConfig


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("pilots")
    run(RunConfig(synth="fake", n=6, verifier="fake", judge=("fake:2",), limit=8), folder)
    return folder


def test_a_pilot_is_part_of_the_run_and_ranks_as_the_run_did(finished):
    results = read_run(finished)
    pilot = transfer_pilots.kept(results, [4, 1, 3])
    assert pilot.n == 3
    for request, whole in zip(pilot.requests, results.requests, strict=True):
        assert [candidate.seed for candidate in request.candidates] == [whole.candidates[i].seed for i in (4, 1, 3)]
        assert [candidate.index for candidate in request.candidates] == [0, 1, 2]
        before = [whole.candidates[i].rank for i in (4, 1, 3)]
        assert np.argsort([candidate.rank for candidate in request.candidates]).tolist() == np.argsort(before).tolist()


def test_pilot_and_rest_share_no_candidate_and_the_last_line_is_json(finished, capsys, monkeypatch):
    cuts = []
    monkeypatch.setattr(transfer_pilots, "kept", lambda results, indices: cuts.append(indices) or results)
    transfer_pilots.repeats(read_run(finished), 2, 4, 1, seed=0)
    rest, pilot = cuts
    assert sorted([*pilot, *rest]) == list(range(6)) and len(pilot) == 2
    monkeypatch.undo()
    transfer_pilots.main([str(finished), "--pilot", "2", "--foresee", "4", "--repeats", "2"])
    record = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert {(pair["verifier"], pair["judge"]) for pair in record["pairs"]} == {("fake#stray", "fake:2#stray")}
    assert record["pairs"][0]["pilots"] <= 2


def test_too_small_a_run_is_an_error(finished, capsys):
    with pytest.raises(SystemExit):
        transfer_pilots.main([str(finished), "--pilot", "4", "--foresee", "8"])
    assert "has 6 candidates; 4 + 8 are needed" in capsys.readouterr().err
