"""Bounds that no schedule can beat, cases that can be worked out by hand, and each setting's own effect."""

from dataclasses import replace
from itertools import product

import pytest

from benchmarks.cluster_plan import DRIVER, Overhead, balanced, scaled_plans, simulate, stage_loads
from benchmarks.pieces import Piece
from tts_eval.errors import ConfigError

NOTHING = Overhead(made=0.0, heard=0.0, batch=0.0, driver=0.0, run=0.0)
PIECE = Piece(0.02, (("asr:tiny", 0.01), ("speaker", 0.005)), 3.0)


@pytest.mark.parametrize("count", [1, 2, 3, 7, 64, 1000])
def test_no_cluster_is_faster_than_its_work_and_large_runs_keep_it_busy(count):
    pieces = [Piece(0.01 * (1 + number % 5), (("asr:tiny", 0.02),), 3.0) for number in range(2000)]
    work = sum((piece.made or 0.0) + 0.02 for piece in pieces)
    found = simulate([pieces], {"rest": count}, NOTHING)
    assert found.wall_seconds >= work / count - 1e-9
    assert found.wall_seconds >= 0.07
    assert found.busy["rest"] == pytest.approx(work / count / found.wall_seconds)
    if count <= 7:
        assert found.wall_seconds == pytest.approx(work / count, rel=0.02)


def test_one_piece_is_never_shared_out():
    assert simulate([[PIECE]], {"rest": 1000}, NOTHING).wall_seconds == pytest.approx(0.035)


def test_what_is_there_is_only_heard():
    heard = Piece(None, (("asr:tiny", 0.01),), 3.0)
    assert simulate([[heard] * 128], {"rest": 1}, NOTHING).wall_seconds == pytest.approx(1.28)
    assert simulate([[heard] * 4000], {"synth": 5, "asr": 2}, NOTHING).wall_seconds == pytest.approx(20.0, rel=0.03)


def test_runs_come_one_after_the_other():
    assert simulate([[PIECE], [], [PIECE]], {"rest": 2}, NOTHING).wall_seconds == pytest.approx(0.07)
    assert simulate([[PIECE] * 20], {"rest": 2}, NOTHING).wall_seconds < 0.5
    assert simulate([[PIECE]] * 20, {"rest": 2}, NOTHING).wall_seconds == pytest.approx(0.7)
    assert simulate([[], []], {"rest": 2}, Overhead(loading=5.0)).wall_seconds == 0.0


@pytest.mark.parametrize("slow", ["synth", "asr", "speaker"])
def test_the_slowest_stage_sets_the_pace_and_is_named(slow):
    workers = {"synth": 8, "asr": 4, "speaker": 2} | {slow: 1}
    load = {"synth": 0.02, "asr": 0.01, "speaker": 0.005}[slow] * 4000
    found = simulate([[PIECE] * 4000], workers, NOTHING)
    assert found.wall_seconds == pytest.approx(load, rel=0.05)
    assert found.bottleneck == slow
    assert found.busy[slow] > 0.95


def test_stages_overlap_but_a_batch_is_heard_after_it_is_made():
    found = simulate([[PIECE] * 16], {"synth": 1, "asr": 1, "speaker": 1}, NOTHING).wall_seconds
    assert 16 * 0.02 + 0.01 <= found < 16 * 0.035


def test_each_overhead_costs_what_it_says():
    pieces = [PIECE] * 320
    base = simulate([pieces], {"rest": 1}, NOTHING).wall_seconds
    for name, seconds in (("made", 320 * 0.1), ("heard", 320 * 0.1), ("run", 0.1), ("loading", 0.1)):
        assert simulate([pieces], {"rest": 1}, replace(NOTHING, **{name: 0.1})).wall_seconds == pytest.approx(
            base + seconds
        )
    crowd = simulate([pieces], {"rest": 1000}, replace(NOTHING, driver=0.1))
    assert crowd.wall_seconds == pytest.approx(640 * 0.1, rel=0.01)
    assert crowd.bottleneck == DRIVER


def test_each_batch_costs_what_lies_between_them():
    """Of one worker: 8 + 4 + 2 + 1 + 1 candidates, and what was made is heard before more is made."""
    base = simulate([[Piece(0.02)] * 16], {"rest": 1}, NOTHING).wall_seconds
    found = simulate([[Piece(0.02)] * 16], {"rest": 1}, replace(NOTHING, batch=1.0)).wall_seconds
    assert found == pytest.approx(base + 5.0)


def test_further_workers_load_while_the_first_one_works():
    pieces = [PIECE] * 2000
    alone = simulate([pieces], {"rest": 1}, replace(NOTHING, loading=20.0)).wall_seconds
    both = simulate([pieces], {"rest": 2}, replace(NOTHING, loading=20.0)).wall_seconds
    assert alone == pytest.approx(20 + 70)
    assert both == pytest.approx(20 + (70 + 20) / 2, rel=0.02)


@pytest.mark.parametrize("devices", range(3, 12))
def test_the_division_is_the_best_there_is(devices):
    loads = {"synth": 40.0, "asr:tiny": 21.0, "speaker": 9.0}
    splits = (split for split in product(range(1, devices), repeat=3) if sum(split) == devices)
    best = min(max(load / count for load, count in zip(loads.values(), split, strict=True)) for split in splits)
    found = balanced(loads, devices)
    assert sum(found.values()) == devices
    assert max(loads[stage] / found[stage] for stage in loads) == pytest.approx(best)


def test_too_few_devices_or_stages_are_not_divided():
    assert balanced({"synth": 1.0, "asr": 1.0, "speaker": 1.0}, 2) == {"rest": 2}
    assert balanced({"synth": 1.0, "asr": 0.0}, 9) == {"rest": 9}


def test_loads_are_counted_with_what_comes_along():
    done = Piece(None, (("speaker", 0.5),))
    assert stage_loads([[PIECE], [PIECE, done]], Overhead(made=1.0, heard=2.0)) == pytest.approx(
        {"synth": 2.04, "asr:tiny": 4.02, "speaker": 6.51}
    )


def test_scaled_plans_compare_alike_with_divided():
    one, few, many = scaled_plans([[PIECE] * 3000], [1, 2, 7], NOTHING)
    assert one.efficiency == 1.0
    assert few.divided == few.alike
    assert many.divided.workers == {"synth": 4, "asr:tiny": 2, "speaker": 1}
    assert many.alike.wall_seconds == pytest.approx(3000 * 0.035 / 7, rel=0.02)
    assert many.efficiency == pytest.approx(one.alike.wall_seconds / 7 / many.alike.wall_seconds)
    assert many.as_json()["divided"]["workers"] == many.divided.workers


@pytest.mark.parametrize("devices", [[], [0], [1, 20_000]])
def test_numbers_of_devices_that_cannot_be(devices):
    with pytest.raises(ConfigError, match="expected numbers from 1 to 10,000"):
        scaled_plans([[PIECE]], devices)
