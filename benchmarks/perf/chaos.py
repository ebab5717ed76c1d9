"""Kill workers, nodes and drivers of runs at random moments, and see that they end like one that was left alone.

    python -m benchmarks.perf.chaos [RUNS]

    run on a small cluster -> blow -> blow -> ... -> the same results, candidates, scores and audio, each once

A blow is a SIGKILL of a busy worker; a node that is gone without a word, with a fresh one in its place half the
time; or a SIGKILL of the run's own process, which is started again. Each comes after a random share of the
candidates. Prints a line per run and ends with one JSON line. Only processes that this one started are killed.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path

import pandas
import pyarrow.parquet
import yaml

from benchmarks.perf.small_cluster import SmallCluster
from benchmarks.runner import run
from reports.frame import MEASURED_TIME, results_frame
from reports.read_run import read_run
from tts_eval.config import RunConfig
from tts_eval.errors import TTSEvalError

DRIVE = (
    "import json, sys; from pathlib import Path; from benchmarks.runner import run; "
    "from tts_eval.config import parse_config; run(parse_config(json.loads(sys.argv[1])), Path(sys.argv[2]))"
)
"""A run as a process of its own."""
PATIENCE_SECONDS = 300.0
"""How long a run may take to get on."""
TABLES = ("candidates", "scores")


class Blow(StrEnum):
    """What befalls a run."""

    WORKER = "worker"
    NODE = "node"
    DRIVER = "driver"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a disturbed run has come to, beside one that was left alone."""

    blows: Counter[Blow]
    """Those that hit: what comes after the end proves nothing."""
    lost: dict[str, int]
    """Candidates and scores that are not in the store, or failed."""
    doubled: dict[str, int]
    """Rows of candidates and scores that the store has too many."""
    differing_columns: tuple[str, ...]
    """Of results.parquet, measured times apart."""
    differing_audio: int
    """Files that only one of the runs has, or that differ in a byte."""
    seconds: float

    def __str__(self) -> str:
        """What hit it, and what it has come to."""
        hit = ", ".join(f"{count} x {blow}" for blow, count in sorted(self.blows.items())) or "nothing"
        if self.is_equal:
            return f"{hit}: equal"
        found = {name: getattr(self, name) for name in ("lost", "doubled", "differing_columns", "differing_audio")}
        return f"{hit}: {found}"

    @property
    def is_equal(self) -> bool:
        """Whether nothing came of it all."""
        lost, doubled = sum(self.lost.values()), sum(self.doubled.values())
        return not (lost or doubled or self.differing_columns or self.differing_audio)


def chaos(
    cluster: SmallCluster, config: RunConfig, undisturbed: Path, disturbed: Path, blows: Sequence[Blow], seed: int
) -> Outcome:
    """Run `config` on the cluster into `disturbed`, under blows whose moments are drawn from `seed`.

    Raises:
        TTSEvalError: the run ended before its time, or does not get on.
    """
    resources = disturbed.with_suffix(".yaml")
    resources.write_text(yaml.safe_dump({"rest": {"actors": 2, "cpus": 0.5, "threads": 1, "timeout": 60}}))
    remote = replace(config, executor="ray", address=cluster.address, resources=str(resources))
    started = time.monotonic()
    hit = _Storm(cluster, remote, disturbed, random.Random(seed)).rage(blows, total=_audio_count(undisturbed))
    seconds = time.monotonic() - started
    lost, doubled = {}, {}
    for table in TABLES:
        expected, found = (_keys(folder / table) for folder in (undisturbed, disturbed))
        lost[table] = len(set(expected) - set(found))
        doubled[table] = len(found) - len(set(found) & set(expected))
    before, after = (_results(folder) for folder in (undisturbed, disturbed))
    return Outcome(
        blows=hit,
        lost=lost,
        doubled=doubled,
        differing_columns=tuple(str(name) for name in before if not before[name].equals(after[name])),
        differing_audio=len(_audio(undisturbed).items() ^ _audio(disturbed).items()),
        seconds=seconds,
    )


def start_driver(config: RunConfig, folder: Path, log: Path) -> subprocess.Popen[bytes]:
    """A process that does what `config` says in `folder`; what it has to say goes into `log`."""
    settings = asdict(config) | {"judge": list(config.judge)}
    with log.open("ab") as file:
        return subprocess.Popen([sys.executable, "-c", DRIVE, json.dumps(settings), str(folder)], stderr=file)


class _Storm:
    """One run under blows."""

    def __init__(self, cluster: SmallCluster, config: RunConfig, folder: Path, random: random.Random) -> None:
        self._cluster, self._random = cluster, random
        self._config, self._folder, self._log = config, folder, folder.with_suffix(".log")
        self._driver = self._start()
        self._strays: set[int] = set()
        """Workers of drivers that are dead: Ray ends them in its own time, and to kill them is no blow."""

    def _start(self) -> subprocess.Popen[bytes]:
        return start_driver(self._config, self._folder, self._log)

    def rage(self, blows: Sequence[Blow], total: int) -> Counter[Blow]:
        """Deal the blows, see the run through, and return those that hit it."""
        hit: Counter[Blow] = Counter()
        moments = sorted(0.85 * self._random.random() for _ in blows)  # what comes late comes after the end
        try:
            for blow, moment in zip(blows, moments, strict=True):
                if not self._comes_to(moment * total) or not self._strike(blow):
                    break
                hit[blow] += 1
            if self._driver.wait(PATIENCE_SECONDS):
                raise TTSEvalError(f"The run ended with {self._driver.returncode}:\n{self._log.read_text()}")
        except subprocess.TimeoutExpired as error:
            raise TTSEvalError(f"The run does not end:\n{self._log.read_text()}") from error
        finally:
            self._driver.kill()
        return hit

    def _comes_to(self, candidates: float) -> bool:
        """Wait until so many have been made, and a little longer; returns whether the run is still on."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while _audio_count(self._folder) < candidates and self._driver.poll() is None:
            if time.monotonic() > deadline:
                raise TTSEvalError(f"The run does not get on:\n{self._log.read_text()}")
            time.sleep(0.02)
        time.sleep(0.5 * self._random.random())
        return self._driver.poll() is None

    def _strike(self, blow: Blow) -> bool:
        if blow is Blow.DRIVER:
            self._strays |= self._cluster.busy_workers()
            self._driver.kill()
            if self._driver.wait() != -signal.SIGKILL:  # it was faster
                return False
            self._driver = self._start()
            return True
        if not self._comes_to_work():
            return False
        busy = self._random.choice(sorted(self._busy()))
        if blow is Blow.WORKER:
            os.kill(busy, signal.SIGKILL)
        else:
            self._cluster.lose(self._cluster.node_of(busy), is_replaced=self._random.random() < 0.5)
        return True

    def _busy(self) -> set[int]:
        return self._cluster.busy_workers() - self._strays

    def _comes_to_work(self) -> bool:
        """Wait until a worker is busy; returns whether the run is still on."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self._driver.poll() is None and time.monotonic() < deadline:
            if self._busy():
                return True
            time.sleep(0.02)
        return False


def _results(folder: Path) -> pandas.DataFrame:
    return results_frame(read_run(folder)).drop(columns=list(MEASURED_TIME))


def _keys(folder: Path) -> list[str]:
    """Of every row in the parts of a table that did not fail."""
    parts = [pyarrow.parquet.read_table(part, columns=["key", "failure"]) for part in folder.glob("part-*.parquet")]
    return [row["key"] for part in parts for row in part.to_pylist() if not row["failure"]]


def _audio_count(folder: Path) -> int:
    return sum(1 for _ in (folder / "candidates/audio").glob("*.flac"))


def _audio(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "candidates/audio").glob("*.flac")}


def main() -> None:
    """As many runs as the command line says, each with a seed of its own."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    config = RunConfig(synth="fake:0.05", n=8, verifier="fake", judge=("fake:2",), limit=12)
    outcomes: list[Outcome] = []
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as name, SmallCluster() as cluster:
        folder = Path(name)
        run(config, folder / "undisturbed")
        for seed in range(runs):
            blows = random.Random(f"blows {seed}").choices(list(Blow), k=1 + seed % 3)
            cluster.restore()
            outcome = chaos(cluster, config, folder / "undisturbed", folder / f"run-{seed}", blows, seed)
            print(f"seed {seed:2}  {outcome.seconds:4.0f} s  {outcome}", flush=True)
            outcomes.append(outcome)
    print(json.dumps(_record(outcomes) | {"seconds": round(time.monotonic() - started)}))


def _record(outcomes: Sequence[Outcome]) -> dict[str, object]:
    record: dict[str, object] = {
        "runs": len(outcomes),
        "equal": sum(outcome.is_equal for outcome in outcomes),
        "blows": dict(sum((outcome.blows for outcome in outcomes), Counter[Blow]())),
    }
    for kind in ("lost", "doubled"):
        record[kind] = {table: sum(getattr(outcome, kind)[table] for outcome in outcomes) for table in TABLES}
    return record


if __name__ == "__main__":
    main()
