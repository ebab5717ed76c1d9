"""Kill workers of a run at random moments, and see that it ends like one that was left alone.

    python -m benchmarks.perf.chaos [RUNS]

Prints a line per run and ends with one JSON line. Only processes that this one started are killed.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import tempfile
import threading
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pandas
import pyarrow.parquet
import yaml

from benchmarks.runner import run
from reports.frame import MEASURED_TIME, results_frame
from reports.read_run import read_run
from tts_eval.config import RunConfig
from tts_eval.workers.cluster import Cluster


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a disturbed run has come to."""

    kills: int
    rows: int
    lost: int
    """Candidates that are not in the store, or failed."""
    doubled: int
    """Candidates or scores of which the store has two different ones."""
    differing_columns: tuple[str, ...]
    """Columns of results.parquet in which it differs from the undisturbed run."""


def chaos(folder: Path, *, seed: int, requests: int, n: int, kills: int) -> Outcome:
    """Run fakes serially and with two workers that are killed now and then; returns how they differ."""
    config = RunConfig(synth="fake:0.02", n=n, verifier="fake", judge=("fake:2",), limit=requests)
    undisturbed, disturbed = folder / "undisturbed", folder / f"disturbed-{seed}"
    run(config, undisturbed)
    resources = folder / "chaos.yaml"
    resources.write_text(yaml.safe_dump({"rest": {"actors": 2, "cpus": 0.5, "timeout": 60}}))
    killer = Killer(random.Random(seed), kills)
    killer.start()
    try:
        run(replace(config, executor="ray", resources=str(resources)), disturbed)
    finally:
        killer.stop()
    before, after = (_results(each) for each in (undisturbed, disturbed))
    return Outcome(
        kills=killer.done,
        rows=len(after),
        lost=requests * n - int((after["failure"] == "").sum()),
        doubled=_doubled(disturbed),
        differing_columns=tuple(str(name) for name in before if not before[name].equals(after[name])),
    )


def _results(folder: Path) -> pandas.DataFrame:
    return results_frame(read_run(folder)).drop(columns=list(MEASURED_TIME))


class Killer:
    """A thread that kills one of this process's busy workers now and then."""

    def __init__(self, random: random.Random, kills: int) -> None:
        self._random, self._kills = random, kills
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self.done = 0

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, at once."""
        self._is_over.set()
        self._thread.join()

    def _work(self) -> None:
        while self.done < self._kills and not self._is_over.wait(0.05 + 0.2 * self._random.random()):
            if busy := [pid for pid, name in descendants(os.getpid()) if name.startswith("ray::Worker.call")]:
                os.kill(self._random.choice(sorted(busy)), signal.SIGKILL)
                self.done += 1
                self._is_over.wait(0.5)  # its successor has to load before it can be of use


def descendants(root: int) -> list[tuple[int, str]]:
    """Process id and title of everything below the process `root`."""
    parents, titles = {}, {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                stat = (folder / "stat").read_text()
                titles[int(folder.name)] = (folder / "cmdline").read_text().replace("\0", " ").strip()
            except OSError:  # it has just ended
                continue
            parents[int(folder.name)] = int(stat.rpartition(")")[2].split()[1])
    found = {root}
    while new := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= new
    return [(pid, titles[pid]) for pid in found - {root} if pid in titles]


def _doubled(folder: Path) -> int:
    """Keys under which the parts have rows that differ in more than the time they took."""
    count = 0
    for table, columns in (("candidates", ["key", "audio_sha256"]), ("scores", ["key", "values"])):
        parts = [pyarrow.parquet.read_table(part, columns=columns) for part in (folder / table).glob("part-*.parquet")]
        rows = {tuple(row.values()) for part in parts for row in part.to_pylist()}
        count += len(rows) - len({key for key, _ in rows})
    return count


def main() -> None:
    """As many runs as the command line says, each with a seed of its own."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    outcomes = []
    with Cluster():  # one for all
        for seed in range(runs):
            with tempfile.TemporaryDirectory() as folder:
                outcome = chaos(Path(folder), seed=seed, requests=8, n=6, kills=1 + seed % 5)
            print(f"seed {seed}: {outcome}", flush=True)
            outcomes.append(outcome)
    equal = sum(not (o.differing_columns or o.lost or o.doubled) for o in outcomes)
    record = {"runs": runs, "equal": equal, "kills": sum(o.kills for o in outcomes)}
    print(json.dumps(record | {"differing": [asdict(o) for o in outcomes if o.differing_columns or o.lost]}))


if __name__ == "__main__":
    main()
