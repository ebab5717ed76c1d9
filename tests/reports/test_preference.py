from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from results_factory import make_results

from reports.blind_test import KIND, first_against_chosen, render_blind_test, run_against_run
from reports.preference import preference, wilson
from reports.shelf import Shelf
from tts_eval.errors import DataError


def save(path: Path, answers: list[tuple[str, str]], **changes: object) -> Path:
    record = {
        "kind": KIND, "a": "N = 1", "b": "chosen",
        "answers": [{"request": request, "order": "ab", "answer": answer} for request, answer in answers],
    }  # fmt: skip
    path.write_text(json.dumps(record | changes))
    return path


def test_wins_ties_and_losses_become_a_rate(tmp_path: Path) -> None:
    answers = [(f"r{number}", "b") for number in range(7)] + [("r7", "tie"), ("r8", "tie"), ("r9", "a")]
    said = preference([save(tmp_path / "one.json", answers)])
    assert (said.wins, said.ties, said.losses, said.requests) == (7, 2, 1, 10)
    assert said.rate == pytest.approx(0.8)
    assert said.interval.low < 0.8 < said.interval.high
    assert said.p == pytest.approx(2 * (8 + 1) / 2**8)  # 7 or 8 of 8, either way


@pytest.mark.parametrize(("rate", "n", "low", "high"), [(0.5, 10, 0.2366, 0.7634), (0.0, 10, 0.0, 0.2775),
                                                        (1.0, 1, 0.2065, 1.0), (0.9, 100, 0.8256, 0.9448)])  # fmt: skip
def test_wilson_solves_its_equation(rate: float, n: int, low: float, high: float) -> None:
    interval = wilson(rate, n)
    assert interval.low == pytest.approx(low, abs=1e-4) and interval.high == pytest.approx(high, abs=1e-4)
    for bound in interval:
        if 0 < bound < 1:  # a bound is the truth from which `rate` is 1.96 standard errors away
            assert abs(rate - bound) / math.sqrt(bound * (1 - bound) / n) == pytest.approx(1.95996, abs=1e-4)


def test_the_interval_covers_the_truth_with_ties_and_without() -> None:
    random = np.random.default_rng(0)
    for truth, ties in ((0.5, 0.0), (0.7, 0.3), (0.9, 0.0)):
        answers = random.random((2000, 24))
        worth = np.where(answers < ties, 0.5, (random.random((2000, 24)) < truth).astype(float))
        expected = ties * 0.5 + (1 - ties) * truth
        covered = [
            interval.low <= expected <= interval.high for interval in (wilson(float(m), 24) for m in worth.mean(axis=1))
        ]
        assert np.mean(covered) > 0.93


def test_listeners_of_one_request_count_once(tmp_path: Path) -> None:
    first = save(tmp_path / "1.json", [("x", "b"), ("y", "b")])
    second = save(tmp_path / "2.json", [("x", "a"), ("y", "b")])
    said = preference([first, second])
    assert (said.requests, said.listeners, said.wins, said.losses) == (2, 2, 3, 1)
    assert said.rate == pytest.approx(0.75)
    assert said.interval == wilson(0.75, 2)
    assert said.p == 1.0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "cannot be read"),
        ("[]", "no results file"),
        ('{"kind": "other"}', "no results file"),
        (json.dumps({"kind": KIND, "a": "x", "b": "y", "answers": []}), "no answers"),
        (json.dumps({"kind": KIND, "a": 1, "answers": [{"request": "r", "answer": ["b"]}]}), "'a'.*'b'.*answer 1"),
    ],
)
def test_other_files_are_refused(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(DataError, match=said):
        preference([tmp_path / "x.json"])


def test_results_of_two_tests_are_not_mixed(tmp_path: Path) -> None:
    one = save(tmp_path / "1.json", [("x", "b")])
    with pytest.raises(DataError, match="results of one test"):
        preference([one, save(tmp_path / "2.json", [("x", "b")], b="another")])


def test_a_listener_is_not_counted_twice(tmp_path: Path) -> None:
    path = save(tmp_path / "1.json", [("x", "b")])
    with pytest.raises(DataError, match="is given 2 times"):
        preference([path, tmp_path / "." / "1.json"])


def test_pairs_are_requests_whose_clips_differ(tmp_path: Path) -> None:
    results = make_results(tmp_path, requests=12, n=4)
    pairs = first_against_chosen(results)
    assert [pair.request.id for pair in pairs] == [
        request.id for request in results.requests if request.chosen.index and request.chosen.audio
    ]
    assert all(pair.a.index == 0 and pair.b.rank == 0 for pair in pairs)
    other = make_results(tmp_path, requests=5, n=2, seed=3)
    assert len(run_against_run(results, other)) == 5


def test_runs_without_a_common_request_and_pairs_that_are_none_are_refused(tmp_path: Path) -> None:
    one = make_results(tmp_path, requests=2, n=1)
    shelves = (Shelf(tmp_path, "embed", tmp_path), Shelf(tmp_path, "embed", tmp_path))
    with pytest.raises(DataError, match="two different clips"):
        render_blind_test(first_against_chosen(one), ("a", "b"), shelves, most=5, seed=0)
    with pytest.raises(DataError, match="share no request"):
        run_against_run(one, make_results(tmp_path, requests=0))
