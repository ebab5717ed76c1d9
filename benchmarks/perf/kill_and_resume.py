"""Kill a run again and again, let it finish, and compare it with one that nobody disturbed.

    python -m benchmarks.perf.kill_and_resume                      # real models
    python -m benchmarks.perf.kill_and_resume --kills 30 --limit 12

Each kill is a SIGKILL at a random moment after the run has stored something new. The two
results.parquet must be equal but for the columns of measured time. Prints a table; the last line
is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas

from reports.frame import MEASURED_TIME
from tts_eval.errors import TTSEvalError

LONGEST_WAIT_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it."""

    kills: int
    """Kills that hit a running process."""
    rows: int
    differing_columns: tuple[str, ...]


def kill_and_resume(flags: Sequence[str], folder: Path, *, kills: int, seed: int) -> Outcome:
    """Run `tts-eval run FLAGS` undisturbed and under fire; compare the results.

    Raises:
        TTSEvalError: a run did not finish.
    """
    random = np.random.default_rng(seed)
    calm, disturbed = folder / "calm", folder / "disturbed"
    _finish(flags, calm)
    hits = sum(_kill_once(flags, disturbed, random) for _ in range(kills))
    _finish(flags, disturbed)
    first, second = (_results(run) for run in (calm, disturbed))
    names = dict.fromkeys([*first.columns, *second.columns])
    differing = [
        name for name in names if name not in first or name not in second or not first[name].equals(second[name])
    ]
    return Outcome(hits, len(first), tuple(differing))


def _start(flags: Sequence[str], out: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tts_eval.cli", "run", *flags, "--out", str(out)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def _finish(flags: Sequence[str], out: Path) -> None:
    process = _start(flags, out)
    _, errors = process.communicate()
    if process.returncode:
        raise TTSEvalError(f"tts-eval run {' '.join(flags)} --out {out} ended with {process.returncode}:\n{errors}")


def _kill_once(flags: Sequence[str], out: Path, random: np.random.Generator) -> bool:
    before = _stored(out)
    process = _start(flags, out)
    deadline = time.monotonic() + LONGEST_WAIT_SECONDS
    while process.poll() is None and _stored(out) == before and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(float(random.uniform(0.0, 0.5)))
    is_running = process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.communicate()
    return is_running


def _stored(out: Path) -> int:
    return sum(1 for pattern in ("*.flac", "*.parquet") for _ in out.rglob(pattern))


def _results(out: Path) -> pandas.DataFrame:
    return pandas.read_parquet(out / "report" / "results.parquet").drop(columns=list(MEASURED_TIME))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--limit", type=int, default=8, help="requests of the suite")
    parser.add_argument("--n", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    flags = ["--suite", "mini", "--limit", str(arguments.limit), "--n", str(arguments.n)]
    with tempfile.TemporaryDirectory() as folder:
        outcome = kill_and_resume(flags, Path(folder), kills=arguments.kills, seed=arguments.seed)
    print(f"kills that hit a running process   {outcome.kills} of {arguments.kills}")
    print(f"rows of results.parquet            {outcome.rows}")
    print(f"columns that differ                {', '.join(outcome.differing_columns) or 'none'}")
    record = {"kills": outcome.kills, "rows": outcome.rows, "differing_columns": list(outcome.differing_columns)}
    print(json.dumps(record))


if __name__ == "__main__":
    main()
