"""What `plan --nodes` predicts beside what workers on this machine take: fakes that sleep, through the real executor.

    python -m benchmarks.perf.cluster_prediction [--n 12] [--repeat 3]

A short run with one worker is the measure: seconds of each stage, what reading and writing audio adds, the driver's
share, what a run takes in which nothing is left to do, and a worker's getting ready. From that it is predicted how
long a larger run takes with 1 to 4 workers, alike and divided among the stages; then it is run. Prints a table and
ends with one JSON line. Cold: workers have to be started; warm: they are there, and of several repeats the middle one
counts. Hindsight: predicted again with the seconds that the workers' batches took in those very runs; what is left of
the error then is the simulation's own, and the rest is other work on the machine.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import yaml

from benchmarks.cluster_plan import Overhead, simulate
from benchmarks.executors import open_models
from benchmarks.grid import parse_grid
from benchmarks.pieces import Piece
from benchmarks.plan import plan_sweep
from benchmarks.runner import run
from tts_eval.config import RunConfig
from tts_eval.execution import available_cores
from tts_eval.store import RunStore
from tts_eval.workers.timeline import FILE, loading_seconds

SELECT, JUDGE = "fake:1:0.02", "fake:2:0.01"
CONFIG = RunConfig(suite="mini", limit=40, synth="fake:0.03", verifier=SELECT, judge=(JUDGE,))
LAYOUTS: tuple[Mapping[str, int], ...] = (
    {"rest": 1},
    {"rest": 2},
    {"rest": 4},
    {"synth": 1, "rest": 1},
    {"synth": 2, SELECT: 1, JUDGE: 1},
)


def on_ray(config: RunConfig, workers: Mapping[str, int], folder: Path) -> RunConfig:
    """The same with these workers, which Ray may place on any number of cores."""
    path = folder / "resources.yaml"
    cpus = min(1.0, available_cores() / sum(workers.values()))
    path.write_text(yaml.safe_dump({name: {"actors": count, "cpus": cpus} for name, count in workers.items()}))
    return replace(config, executor="ray", resources=str(path))


def like(folder: Path) -> tuple[Path, Overhead]:
    """A short run with one worker, and what it took beside its models."""
    out = folder / "like"
    config = on_ray(replace(CONFIG, n=4, seed=9), {"rest": 1}, folder)
    with open_models([config]) as models:
        started = time.process_time()
        run(config, out, None, models)
        driver = time.process_time() - started
        again, started = time.perf_counter(), time.process_time()
        run(config, out, None, models)  # there is nothing left to do but what every run does
        again, driver = time.perf_counter() - again, driver - (time.process_time() - started)
    items, seconds = worked(out)
    store = RunStore.read(out)
    made = sum(row["generator_seconds"] for row in store.candidates.values())
    heard = sum(row["verifier_seconds"] for row in store.scores.values())
    return out, Overhead(
        made=(seconds["generate"] - made) / items["generate"],
        heard=(seconds["judge"] - heard) / items["judge"],
        batch=between_batches(out),
        driver=driver / sum(items.values()),
        run=again,
        loading=statistics.median(loading_seconds(out / "report")),
    )


def between_batches(out: Path) -> float:
    """Seconds from a batch's end to the next one's beginning, in the middle: at the end a worker waits for batches."""
    events = json.loads((out / "report" / FILE).read_text())["traceEvents"]
    batches = [event for event in events if event["ph"] == "X" and event["args"]["items"]]
    gaps = [max(after["ts"] - before["ts"] - before["dur"], 0) / 1e6 for before, after in pairwise(batches)]
    return float(statistics.median(gaps))


def worked(out: Path) -> tuple[dict[str, int], dict[str, float]]:
    """Items and seconds of the workers' batches, by what they did, in all runs since the workers were started."""
    items: dict[str, int] = {}
    seconds: dict[str, float] = {}
    for event in json.loads((out / "report" / FILE).read_text())["traceEvents"]:
        if event["ph"] == "X":
            items[event["name"]] = items.get(event["name"], 0) + event["args"]["items"]
            seconds[event["name"]] = seconds.get(event["name"], 0.0) + event["dur"] / 1e6
    return items, seconds


def in_hindsight(out: Path, pieces: Sequence[Piece], overhead: Overhead) -> Overhead:
    """The overhead with what workers took for these pieces in truth, when others were at work on the machine too."""
    items, seconds = worked(out)
    runs = items["generate"] / len(pieces)
    made = runs * sum(piece.made or 0.0 for piece in pieces)
    heard = runs * sum(seconds for piece in pieces for _, seconds in piece.heard)
    return replace(
        overhead,
        made=(seconds["generate"] - made) / items["generate"],
        heard=(seconds["judge"] - heard) / items["judge"],
    )


def pieces_of(config: RunConfig, folder: Path, source: Path) -> tuple[Piece, ...]:
    """What the plan of that run says is to be done."""
    cell = {"suite": config.suite, "limit": config.limit, "synth": config.synth, "n": config.n}
    grid = cell | {"verifier": config.verifier, "judge": list(config.judge), "cells": [{"name": "pool"}]}
    (planned,) = plan_sweep(parse_grid(grid), folder / "nothing", source).runs
    return planned.pieces


def taken(config: RunConfig, workers: Mapping[str, int], folder: Path, repeat: int) -> tuple[float, float, Path]:
    """Wall seconds with workers that have to be started, and the middle of the repeats with those that are there."""
    config = on_ray(config, workers, folder)
    seconds = []
    with open_models([config]) as models:
        for seed in range(repeat + 1):
            out = folder / f"{'-'.join(map(str, workers.values()))}-{len(workers)}-{seed}"
            started = time.perf_counter()
            run(replace(config, seed=seed), out, None, models)
            seconds.append(time.perf_counter() - started)
    return seconds[0], statistics.median(seconds[1:]), out


def main() -> None:
    """All layouts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=12)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    config = replace(CONFIG, n=options.n)
    rows: list[dict[str, object]] = []
    worst = {"cold": 0.0, "warm": 0.0, "hindsight": 0.0}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source, overhead = like(folder)
        print(f"measured: {overhead}", flush=True)
        pieces = pieces_of(config, folder, source)
        print(f"{'workers':48} {'':9} {'predicted':>10} {'taken':>8} {'error':>7}")
        for workers in LAYOUTS:
            shown = ", ".join(f"{group} {count}" for group, count in workers.items())
            cold, warm, out = taken(config, workers, folder, options.repeat)
            there = replace(overhead, loading=0.0)
            true = in_hindsight(out, pieces, there)
            for state, found, known in (("cold", cold, overhead), ("warm", warm, there), ("hindsight", warm, true)):
                expected = simulate([pieces], workers, known).wall_seconds
                error = expected / found - 1.0
                print(f"{shown:48} {state:9} {expected:8.1f} s {found:6.1f} s {error:+7.1%}", flush=True)
                worst[state] = max(worst[state], abs(error))
                rows.append({"workers": dict(workers), "state": state, "predicted": expected, "taken": found})
    print(json.dumps({"cores": available_cores(), "rows": rows, "worst": worst}))


if __name__ == "__main__":
    main()
