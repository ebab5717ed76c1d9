import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas
import pytest
from interval_shorthands import paired_interval

from benchmarks.grid import parse_grid
from benchmarks.rescore import add_judges
from benchmarks.runner import run
from benchmarks.suite import Suite, suites
from benchmarks.sweep import run_sweep
from reports.figure_style import save_figure
from reports.frame import results_frame
from reports.multiple_comparisons import holm
from reports.permutation import permutation_p
from reports.read_run import read_run
from reports.statistics import Estimate, Interval, Sums
from reports.summary import summarise
from reports.sweep import SweepSummary, summarise_sweep
from reports.sweep_baseline import baseline_of
from reports.sweep_figures import pareto, pareto_figure, tradeoff_figure, tradeoff_labels
from reports.sweep_page import write_sweep_report
from reports.sweep_tables import sweep_frame, sweep_table
from tts_eval.cli.sweep import exit_code, finish_sweep
from tts_eval.config import RunConfig
from tts_eval.errors import DataError
from tts_eval.types import Request
from verifiers.fake import FakeVerifier

BASE = {"synth": "fake", "limit": 8, "judge": ["fake:2", "guards"], "verifier": "fake"}
CELLS = [
    {"name": "pool", "n": 6},
    {"name": "best-of-n", "n": 32, "budget": ["40-tokens", "80-tokens"]},
    {"name": "beam", "strategy": "beam:step=0.2,expand=3,keep=2", "budget": "40-tokens"},
    {"name": "then", "strategy": "smc:particles=4,step=0.2", "budget": "80-tokens", "then": "fake:3"},
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("sweep") / "sweep"
    run_sweep(parse_grid(BASE | {"seed": [0, 1], "cells": CELLS}), path)
    return path


@pytest.fixture(scope="module")
def summary(folder: Path) -> SweepSummary:
    return summarise_sweep(folder)


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> dict[tuple[str, int], Path]:
    """Every cell as a plain run in a folder of its own."""
    path = tmp_path_factory.mktemp("alone")
    found = {}
    for cell in parse_grid(BASE | {"seed": [0, 1], "cells": CELLS}):
        found[cell.row, cell.config.seed] = path / f"{cell.row}-{cell.config.seed}"
        run(cell.config, found[cell.row, cell.config.seed])
    return found


def chosen(folder: Path, column: str) -> np.ndarray:
    table = results_frame(read_run(folder))
    return table[table["chosen"]].set_index("request_id")[column].to_numpy(dtype=float)


def test_numbers_are_those_of_single_runs_averaged_over_seeds(summary, alone):
    for cell in summary.cells:
        first, second = (alone[cell.row, seed] for seed in (0, 1))
        for metric in cell.metrics:
            values = [chosen(one, metric.judged.key) for one in (first, second)]
            assert metric.value.value == pytest.approx(np.mean(values), abs=1e-12)
            assert (metric.value.n, metric.value.n_expected) == (16, 16)


def test_one_seed_says_what_the_report_of_its_run_says(tmp_path: Path, alone):
    run_sweep(parse_grid(BASE | {"cells": CELLS}), tmp_path)
    for cell in summarise_sweep(tmp_path).cells:
        expected = {m.judged.key: m for m in summarise(read_run(alone[cell.row, 0])).metrics}
        assert {m.judged.key for m in cell.metrics} == set(expected)
        for metric in cell.metrics:
            known = expected[metric.judged.key]
            assert metric.value.interval == pytest.approx(known.chosen.interval)
            assert metric.judged.selected_on == known.judged.selected_on


def test_costs_are_those_of_the_search_alone(summary, alone):
    for cell in summary.cells:
        tables = [results_frame(read_run(alone[cell.row, seed])) for seed in (0, 1)]
        assert cell.cost.tokens == pytest.approx(sum(table["tokens"].sum() for table in tables) / 16)
        if cell.row == "pool":
            assert cell.cost.verifier_calls == 6
            assert cell.cost.audio_seconds == pytest.approx(sum(t["audio_seconds"].sum() for t in tables) / 16)
    manifest = read_run(alone["pool", 0])
    everything = sum(c.cost.verifier_seconds for r in manifest.requests for c in r.candidates) / 8
    pool = next(cell for cell in summary.cells if cell.row == "pool")
    assert 0 < pool.cost.verifier_seconds < 0.6 * everything  # of three verifiers one selects


def test_a_cascade_costs_what_it_asked_whoever_else_heard_the_same_pool(tmp_path: Path, monkeypatch):
    """Each clip takes each verifier a second: 6 by the cheap one and 2 by the costly one, which also judges all 6."""
    score = FakeVerifier.score
    monkeypatch.setattr(
        FakeVerifier, "score", lambda self, items: [replace(one, seconds=1.0) for one in score(self, items)]
    )
    cells = [{"name": "cascade", "verifier": "cascade(2 of fake, fake:2)"}, {"name": "all", "verifier": "fake:2"}]
    run_sweep(parse_grid(BASE | {"n": 6, "cells": cells}), tmp_path)
    cascade, everything = summarise_sweep(tmp_path).cells
    assert (cascade.cost.verifier_seconds, cascade.cost.verifier_calls) == (6 + 2, 6)
    assert (everything.cost.verifier_seconds, everything.cost.verifier_calls) == (6, 6)


def test_differences_are_paired_with_best_of_n_at_the_same_budget(summary, alone):
    by_row = {cell.row: cell for cell in summary.cells}
    assert {row: cell.baseline for row, cell in by_row.items()} == {
        "pool": "", "best-of-n-40-tokens": "", "best-of-n-80-tokens": "",
        "beam-40-tokens": "best-of-n-40-tokens", "then-80-tokens": "best-of-n-80-tokens",
    }  # fmt: skip
    details = [row[0].detail.splitlines()[-1] for row in sweep_table(summary).rows]
    assert details[3:] == ["against best-of-n-40-tokens", "against best-of-n-80-tokens"]
    metric = by_row["beam-40-tokens"].metric("fake:2#stray")
    after, before = (
        np.mean([chosen(alone[row, seed], "fake:2#stray") for seed in (0, 1)], axis=0)
        for row in ("beam-40-tokens", "best-of-n-40-tokens")
    )
    assert metric.difference.value == pytest.approx((after - before).mean())
    clusters = [f"request {request.id}" for request in read_run(alone["pool", 0]).requests]
    low, high = paired_interval(before, after, clusters, np.random.default_rng([0, 0])).absolute
    assert metric.difference.interval == pytest.approx((low, high))
    p = permutation_p(*(Sums(side, np.ones(8)) for side in (before, after)), clusters, np.random.default_rng(0))
    assert metric.p == pytest.approx(p)


def test_p_values_are_corrected_among_all_differences_of_the_sweep(summary):
    """Two cells have a baseline; beam shares three metrics with it, the other as many."""
    differences = [metric for cell in summary.cells for metric in cell.metrics if metric.difference]
    assert len(differences) == 6
    assert [metric.p_corrected for metric in differences] == pytest.approx(holm([one.p for one in differences]))
    assert all(metric.p_corrected is None for cell in summary.cells for metric in cell.metrics if metric.p is None)


@pytest.mark.parametrize(
    ("change", "interval", "corrected", "verdict"),
    [
        (-1.0, (-2.0, -0.5), 0.05, "better"), (-1.0, (-2.0, -0.5), 0.06, "better alone"),
        (1.0, (0.5, 2.0), 0.001, "worse"), (1.0, (0.5, 2.0), 0.9, "worse alone"),
        (1.0, (-0.5, 2.0), 0.001, "unsettled"), (1.0, None, 0.001, "too few"), (None, None, None, ""),
    ],
)  # fmt: skip
def test_a_verdict_needs_its_interval_and_the_corrected_p_value(summary, change, interval, corrected, verdict):
    metric = next(metric for cell in summary.cells for metric in cell.metrics if metric.difference)
    assert not metric.judged.metric.higher_is_better
    interval = Interval(*interval) if interval else None
    difference = Estimate(value=change, interval=interval, n=16, n_expected=16)
    assert replace(metric, difference=difference, p_corrected=corrected, clusters=40).verdict == verdict


def test_a_baseline_has_the_same_sampling_and_without_a_budget_the_same_n():
    cells = parse_grid({"cells": [
        {"name": "pool", "n": [4, 8]}, {"name": "cold", "n": 8, "temperature": 0.5},
        {"name": "a", "strategy": "consensus", "n": 4}, {"name": "b", "strategy": "consensus", "temperature": 0.5},
        {"name": "c", "strategy": "consensus", "n": 16},
        {"name": "other", "n": 8, "verifier": "fake"},
        {"name": "d", "strategy": "beam", "verifier": "x", "then": "fake"},
    ]})  # fmt: skip
    found = {cell.name: baseline_of(cell, cells) for cell in cells}
    assert {name: base.name if base else None for name, base in found.items()} == {
        "pool n=4": None, "pool n=8": None, "cold": None, "a": "pool n=4", "b": "cold", "c": None, "other": None,
        "d": "other",
    }  # fmt: skip


def test_cells_that_nothing_is_there_to_compare_with_are_named(summary):
    assert not any("No best-of-n" in note for note in sweep_table(summary).notes)
    cells = [replace(cell, baseline="") for cell in summary.cells]
    (note,) = [note for note in sweep_table(replace(summary, cells=cells)).notes if "No best-of-n" in note]
    assert note.endswith("for: beam-40-tokens, then-80-tokens.")


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(
    ("pools", "expected"),
    [
        ([{"name": "one", "n": 1}, {"name": "capped", "n": 8}, {"name": "all", "n": 256}], "all"),
        ([{"name": "one", "n": 1}, {"name": "rule", "n": 16, "verifier": "fake:2"}], "rule"),
        ([{"name": "same rule", "n": 16}, {"name": "another", "n": 64, "verifier": "fake:2"}], "same rule"),
        ([{"name": "one", "n": 1}], "one"),
        ([{"name": "free", "n": 8, "budget": ""}, {"name": "richer", "n": 8, "budget": "501-tokens"}], None),
        ([{"name": "seconds", "n": 8, "budget": "500-seconds"}, {"name": "5e2", "n": 4, "budget": "5e2-tokens"}],
         "5e2"),
    ],
)  # fmt: skip
def test_under_a_budget_the_baseline_is_who_can_spend_most_of_it(pools, expected, turned):
    """Whatever the order in the file, and however the amount is written; the cell's own n says nothing there."""
    beam = {"name": "beam", "strategy": "beam", "n": 8, "verifier": "quality", "then": "fake"}
    entries = [beam, *pools][:: -1 if turned else 1]
    cells = parse_grid({"budget": "500-tokens", "verifier": "fake", "cells": entries})
    found = baseline_of(next(cell for cell in cells if cell.name == "beam"), cells)
    assert (found.name if found else None) == expected


def test_who_took_part_in_a_choice_is_marked_cell_by_cell(summary):
    roles = {cell.row: {m.judged.key: m.judged.selected_on for m in cell.metrics} for cell in summary.cells}
    assert roles["pool"] == {"fake:2#stray": False, "guards#clean": False, "fake#stray": True}
    assert roles["then-80-tokens"]["fake:3#stray"] is True
    assert summary.shown[0].key == "fake:2#stray"
    table = sweep_table(summary)
    pool = table.rows[0]
    assert "HELD OUT" in pool[2].detail
    assert "selected on" in pool[4].detail


def test_the_selecting_score_stands_beside_the_judges(summary, alone):
    for cell in summary.cells:
        scores = [chosen(alone[cell.row, seed], "selection_score") for seed in (0, 1)]
        assert cell.selection_score == pytest.approx(np.mean(scores))


def test_places_among_siblings_have_no_mean(tmp_path: Path):
    run_sweep(parse_grid(BASE | {"limit": 2, "n": 3, "verifier": "fake + fake:3"}), tmp_path)
    assert summarise_sweep(tmp_path).cells[0].selection_score is None


def test_the_front_is_what_nothing_beats(summary):
    for judged in summary.shown:
        points = pareto(summary, judged)
        sign = 1 if judged.metric.higher_is_better else -1
        for point in points:
            beaten = any(
                other.cost <= point.cost and sign * other.value >= sign * point.value
                and (other.cost, other.value) != (point.cost, point.value) for other in points
            )  # fmt: skip
            assert point.is_front is not beaten
        assert [point.cost for point in points] == sorted(point.cost for point in points)


def test_the_report_has_tables_figures_and_their_data(folder: Path, summary):
    write_sweep_report(folder)
    report = folder / "report"
    table = pandas.read_parquet(report / "sweep.parquet")
    pandas.testing.assert_frame_equal(table, sweep_frame(summary))
    assert len(pandas.read_csv(report / "sweep.csv")) == len(table)
    for name in ("pareto-fake-2-stray", "pareto-guards-clean", "pareto-fake-stray", "pareto-fake-3-stray"):
        assert (report / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert (report / f"{name}.pdf").read_bytes().startswith(b"%PDF")
    with (report / "pareto-fake-2-stray.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert {row["cell"] for row in rows} == {"pool", "best-of-n", "beam", "then"}
    assert {row["front"] for row in rows} == {"0", "1"}
    record = json.loads((report / "summary.json").read_text())
    assert len(record["rows"]) == len(table)
    page = (report / "sweep.md").read_text()
    assert "pareto-fake-2-stray.png" in page
    assert "Temperature" not in page
    assert not (report / "tradeoff.png").exists()


def test_temperatures_make_a_tradeoff(tmp_path: Path):
    grid = {"n": 2, "temperature": [0.2, 1.0, 3.0], "top_p": [1.0, 0.9], "budget": ["", "40-tokens"], "limit": 4}
    run_sweep(parse_grid(BASE | grid), tmp_path)
    summary = write_sweep_report(tmp_path)
    assert [len(line) for line in summary.tradeoffs] == [6, 6]
    with (tmp_path / "report" / "tradeoff.csv").open() as stream:
        rows = [row for row in csv.DictReader(stream) if row["top_p"] == "1.0" and not row["budget"]]
    assert [row["temperature"] for row in rows] == ["0.2", "1.0", "3.0"]
    values = [float(row["fake:2#stray"]) for row in rows]
    assert values == sorted(values)  # a fake strays more when it is warmer
    assert all(float(row["fake:2#stray low"]) <= value <= float(row["fake:2#stray high"])
               for row, value in zip(rows, values, strict=True))  # fmt: skip
    assert (tmp_path / "report" / "tradeoff.pdf").is_file()
    assert "Temperature trade-off" in (tmp_path / "report" / "sweep.md").read_text()


def test_a_value_outside_its_interval_by_the_last_digit_can_be_drawn(summary, tmp_path: Path):
    """Where every clip has the same value, sums in another order may lie beside it."""
    value = Estimate(value=np.nextafter(0.1, 0), interval=Interval(0.1, np.nextafter(0.1, 1)), n=8, n_expected=8)
    cells = tuple(
        replace(
            cell,
            config=replace(summary.cells[0].config, temperature=1.0 + place),
            metrics=tuple(replace(metric, value=value) for metric in cell.metrics),
        )
        for place, cell in enumerate(summary.cells)
    )
    same = replace(summary, cells=cells)
    save_figure(tradeoff_figure(same, *same.shown[:2]), tmp_path / "tradeoff.png")
    save_figure(pareto_figure(same, same.shown[0]), tmp_path / "pareto.png")
    assert (tmp_path / "tradeoff.png").read_bytes() and (tmp_path / "pareto.png").read_bytes()


def test_a_line_of_the_tradeoff_differs_in_nothing_but_temperature_and_top_p(summary):
    cells = parse_grid({"verifier": "fake", "cells": [
        {"name": "few", "top_k": 5, "temperature": [1.0, 0.5]},
        {"name": "many", "top_k": 50, "temperature": [0.5, 1.0]},
        {"name": "nucleus", "n": 4, "top_p": [0.9, 0.8]}, {"name": "short", "n": 16, "max_seconds": 5},
        {"name": "long", "n": 16, "max_seconds": 20}, {"name": "careful", "n": 16, "repetition_penalty": 1.5},
    ]})  # fmt: skip
    rows = tuple(replace(summary.cells[0], name=cell.name, config=cell.config) for cell in cells)
    lines = replace(summary, cells=rows).tradeoffs
    assert sorted([cell.name for cell in line] for line in lines) == [
        ["few temperature=0.5", "few temperature=1.0"], ["many temperature=0.5", "many temperature=1.0"],
        ["nucleus top_p=0.8", "nucleus top_p=0.9"],
    ]  # fmt: skip
    assert sorted(tradeoff_labels(lines)) == [
        "best-of-n n=4 top_k=0", "best-of-n n=8 top_k=5", "best-of-n n=8 top_k=50",
    ]  # fmt: skip


def test_a_seed_that_failed_is_named_and_stays_among_what_was_expected(tmp_path: Path):
    run_sweep(parse_grid(BASE | {"limit": 2, "n": 2, "seed": [0, 1]}), tmp_path)
    path = tmp_path / "sweep.json"
    record = json.loads(path.read_text())
    record["cells"][1]["failure"] = "no space"
    path.write_text(json.dumps(record))
    (cell,) = write_sweep_report(tmp_path).cells
    assert (cell.seeds, cell.failures) == ((0,), {1: "no space"})
    assert (cell.metrics[0].value.n, cell.metrics[0].value.n_expected) == (2, 4)
    assert "no space" in (tmp_path / "report" / "sweep.md").read_text()
    record["cells"][0]["failure"] = "no space"
    path.write_text(json.dumps(record))
    with pytest.raises(DataError, match="no space"):
        summarise_sweep(tmp_path)


@pytest.mark.parametrize("scored", [0, 1])
def test_a_judge_that_not_all_seeds_have_is_left_out_and_the_others_are_named(tmp_path: Path, capsys, scored: int):
    cells = parse_grid(BASE | {"limit": 2, "n": 2, "seed": [0, 1]})
    run_sweep(cells, tmp_path)
    before = summarise_sweep(tmp_path)
    add_judges(tmp_path / f"seed-{scored}", ["fake:7"])
    run_sweep(cells, tmp_path)
    summary = finish_sweep(tmp_path)
    assert summary.cells == before.cells
    assert summary.lacking == {"fake:7": (1 - scored,)}
    for shown in (capsys.readouterr().out, (tmp_path / "report" / "sweep.md").read_text()):
        assert f"tts-eval score DIR/seed-{1 - scored} --judge fake:7" in shown
    record = json.loads((tmp_path / "report" / "summary.json").read_text())
    assert record["lacking"] == [{"judge": "fake:7", "seed": 1 - scored}]
    add_judges(tmp_path / f"seed-{1 - scored}", ["fake:7"])
    run_sweep(cells, tmp_path)
    summary = summarise_sweep(tmp_path)
    assert not summary.lacking
    assert summary.cells[0].metric("fake:7#stray").value.n == 4


def test_a_single_sample_was_selected_by_nobody(tmp_path: Path):
    run_sweep(parse_grid(BASE | {"limit": 2, "n": 1}), tmp_path)
    (cell,) = summarise_sweep(tmp_path).cells
    assert not any(metric.judged.selected_on for metric in cell.metrics)
    assert cell.cost.verifier_calls == 0
    assert replace(cell.config, n=1) == RunConfig(**{**BASE, "judge": ("fake:2", "guards"), "limit": 2, "n": 1})


def test_a_clip_that_failed_counts_as_worst_and_shows_in_coverage_and_exit_code(tmp_path: Path, monkeypatch):
    requests = tuple(
        Request(id=f"r{i}", text="one two", metadata={"fake": "raise" if i == 3 else ""}) for i in range(4)
    )
    suite = Suite(name="troubled@1", requests=requests, judges=("fake:2",))
    monkeypatch.setitem(suites._objects, "mini", lambda **settings: suite)
    run_sweep(parse_grid({**BASE, "limit": None, "n": 1, "seed": [0, 1]}), tmp_path)
    summary = summarise_sweep(tmp_path)
    metric = summary.cells[0].metric("fake:2#stray")
    assert (metric.value.n, metric.value.n_expected) == (6, 8)
    assert metric.value.value > 0.25  # one of four is 1
    assert "6/8" in sweep_table(summary).rows[0][5].text
    assert (exit_code(summary, 0.1), exit_code(summary, 0.25)) == (1, 0)
