from dataclasses import fields

import pytest

from benchmarks.grid import AXES, MOST_RUNS, WHOLE_SWEEP, parse_grid
from tts_eval.config import RunConfig
from tts_eval.errors import ConfigError

PER_CELL = ("top_k", "repetition_penalty", "max_seconds")
"""Settings of which a cell may have its own, and that are no axis."""


def problems(**values) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_grid(values)
    return "\n".join(caught.value.problems)


def test_lists_are_axes_and_every_combination_is_a_cell():
    cells = parse_grid({"n": [4, 8], "temperature": [0.5, 1.0], "judge": ["fake", "fake:2"], "seed": [3, 4]})
    assert {(c.config.seed, c.config.n, c.config.temperature) for c in cells} == {
        (seed, n, temperature) for seed in (3, 4) for n in (4, 8) for temperature in (0.5, 1.0)
    }  # fmt: skip
    assert len(cells) == 8
    assert all(c.config.judge == ("fake", "fake:2") for c in cells)
    assert [c.folder for c in cells] == ["seed-3"] * 4 + ["seed-4"] * 4
    assert cells[0].name == "n=4 temperature=0.5"


def test_entries_overrule_what_stands_above_and_have_joint_settings():
    cells = parse_grid(
        {
            "budget": ["1e3-tokens", "2e3-tokens"],
            "verifier": "fake",
            "cells": [
                {"name": "best-of-n", "n": 64},
                {"name": "beam", "strategy": "beam:keep=2", "budget": "1e3-tokens", "verifier": "fake:1"},
                {"name": "beam", "strategy": "beam:keep=4", "budget": "2e3-tokens"},
            ],
        }
    )
    found = [(c.name, c.config.budget, c.config.strategy, c.config.n, c.config.verifier) for c in cells]
    assert found == [
        ("best-of-n", "1e3-tokens", "best-of-n", 64, "fake"), ("best-of-n", "2e3-tokens", "best-of-n", 64, "fake"),
        ("beam", "1e3-tokens", "beam:keep=2", 8, "fake:1"), ("beam", "2e3-tokens", "beam:keep=4", 8, "fake"),
    ]  # fmt: skip
    assert [c.row for c in cells] == [
        "best-of-n-1e3-tokens", "best-of-n-2e3-tokens", "beam-1e3-tokens", "beam-2e3-tokens",
    ]  # fmt: skip


def test_a_single_setting_is_a_grid_of_one():
    (cell,) = parse_grid({"strategy": "beam"})
    assert (cell.name, cell.row, cell.folder) == ("beam", "beam", "seed-0")


def test_a_long_rule_still_has_a_file_name():
    rules = [" + ".join(f"fake:{number}" for number in range(start, start + 60)) for start in (1, 2)]
    first, second = parse_grid({"verifier": rules})
    assert first.row != second.row
    assert max(len(first.row), len(second.row)) < 200


def test_an_empty_axis_is_refused():
    assert "budget is an empty list" in problems(budget=[])
    assert "cells[0] (a): n is an empty list" in problems(cells=[{"name": "a", "n": []}])


def test_a_million_cells_are_refused_without_making_them():
    text = problems(seed=list(range(1000)), n=list(range(1, 1001)))
    assert "1,000,000 runs" in text
    assert f"{MOST_RUNS:,} are the most" in text
    assert len(parse_grid({"seed": list(range(MOST_RUNS))})) == MOST_RUNS


def test_the_same_search_twice_is_refused():
    assert "n has 4 more than once" in problems(n=[4, 4])
    assert "'a', 'b' are the same search" in problems(cells=[{"name": "a", "n": 4}, {"name": "b", "n": 4}])
    assert "more than one cell 'a'" in problems(cells=[{"name": "a", "n": 4}, {"name": "a", "n": 8}])


def test_the_same_budget_in_other_words_is_the_same_search():
    text = problems(budget=["500-tokens", "5e2-tokens"])
    assert "'best-of-n-500-tokens', 'best-of-n-5e2-tokens' are the same search" in text
    assert len(parse_grid({"budget": ["500-tokens", "500-seconds", "500-flops", ""]})) == 4
    assert "budget is 500; expected a text, e.g. 500-tokens." in problems(budget=[500])


def test_names_that_make_the_same_file_are_both_named():
    text = problems(cells=[{"name": "a/b", "n": 2}, {"name": "a b", "n": 4}])
    assert "'a/b', 'a b' would both be filed as 'a-b'" in text


def test_a_mistake_is_reported_once_and_makes_no_others():
    assert problems(cells=[{"name": "a", "top_k": [2]}, {"name": "b"}]).count("\n") == 0  # no "same search"
    assert problems(tempera=[1, 2]) == "Unknown setting 'tempera'. Did you mean 'temperature'?"
    assert problems(n=[4, 4]).count("\n") == 0


def test_typos_and_wrong_values_are_reported_together():
    text = problems(tempera=1, synth=["fake"], cells=[{"name": "a", "straregy": "beam"}, {"name": "b", "suite": "x"}])
    assert "'tempera'. Did you mean 'temperature'?" in text
    assert "synth is a list, and no axis" in text
    assert "cells[0] (a): Unknown setting 'straregy'. Did you mean 'strategy'?" in text
    assert "cells[1] (b): suite belongs above the cells" in text
    assert "seed" not in problems(cells=[{"name": "a", "xyz": 1}])
    text = problems(tempera=1, limit=[1], budget=[], n=0)
    assert all(part in text for part in ("'tempera'", "limit is a list", "budget is an empty", "n is 0")), text
    text = problems(n=[0, "many"], temperature=-1)
    assert "n is 0; expected 1 or more." in text
    assert "n is 'many'; expected a whole number." in text
    assert "temperature is -1" in text


@pytest.mark.parametrize("cells", [[], "beam", ["beam"], [{"n": 4}], [{"name": 3}], [{"name": " "}]])
def test_entries_need_a_name(cells):
    assert "expected" in problems(cells=cells)


def test_seeds_belong_to_the_whole_sweep():
    assert "seed belongs above the cells" in problems(cells=[{"name": "a", "seed": [0, 1]}])


def test_every_setting_is_an_axis_or_a_cells_own_or_the_whole_sweeps():
    """Whoever adds a setting decides here; what says which requests there are belongs to the whole sweep."""
    sorted_out = [*AXES, *WHOLE_SWEEP, *PER_CELL]
    assert sorted(sorted_out) == sorted(field.name for field in fields(RunConfig))
    for setting, value in (("sample", 2), ("official_skip", True)):
        assert f"{setting} belongs above the cells" in problems(cells=[{"name": "a", setting: value}])
    (cell,) = parse_grid({"cells": [{"name": "a"} | dict.fromkeys(PER_CELL, 2)]})
    assert [getattr(cell.config, setting) for setting in PER_CELL] == [2, 2, 2]
