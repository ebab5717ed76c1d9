"""How long `compare` takes once the runs are read: alignment, intervals, p-values and all tables.

Two made-up runs with as many requests and metrics as asked for, 10,000 draws. The target is 5 s for 2,000 requests
and 6 metrics. Wall and processor seconds, the median over rounds; the peak of memory is that of the process.

    python -m benchmarks.perf.compare_speed

The last line printed is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import time
from collections.abc import Callable

import numpy as np

from reports.comparison import DRAWS, compare
from reports.comparison_tables import changes_table, difference_table, scale_table
from reports.results import CandidateResult, JudgedMetric, RequestResult, RunResults
from tts_eval.types import Cost, FinishReason, Metric, Score

SPEAKERS = 40
TARGET = 5.0


def made_up(name: str, seed: int, *, requests: int, metrics: int, speakers: int, n: int = 4) -> RunResults:
    """A run whose judges count wrong words out of twelve."""
    generator = np.random.default_rng(seed)
    judged = tuple(
        JudgedMetric(
            key=f"asr:{number}#wer",
            verifier_key=f"asr:{number}",
            metric=Metric(
                name="wer", higher_is_better=False, worst=1.0, unit="error-rate", ratio_of=("errors", "words")
            ),
            judge=f"judge {number}",
            checkpoint=f"judge {number}",
            selected_on=False,
        )
        for number in range(metrics)
    )
    errors = generator.binomial(12, 0.05, size=(requests, n, metrics))

    def candidate(row: int, index: int) -> CandidateResult:
        scores = {
            one.verifier_key: Score(
                verifier="asr", judge=one.judge, value=wrong / 12,
                values={"wer": wrong / 12, "errors": float(wrong), "words": 12.0},
            )
            for one, wrong in zip(judged, errors[row, index], strict=True)
        }  # fmt: skip
        return CandidateResult(
            index=index, seed=index, finish=FinishReason.EOS, failure=None, audio=f"audio/{row}-{index}.flac",
            seconds=4.0, cost=Cost(), rank=index, selection_score=0.0, scores=scores,
        )  # fmt: skip

    return RunResults(
        name=name, suite="made-up@1", synthesizer=name, strategy="best-of-n", n=n, metrics=judged,
        requests=tuple(
            RequestResult(
                id=f"request-{row:05d}", text="twelve words", group="",
                speaker=f"s{row % speakers}" if speakers else "",
                candidates=tuple(candidate(row, index) for index in range(n)),
            )
            for row in range(requests)
        ),
        run={"suite": "made-up@1", "config": {"synth": name}},
    )  # fmt: skip


def measure(requests: int, metrics: int, speakers: int, rounds: int) -> dict[str, float]:
    """Median seconds, by clock."""
    runs = [
        made_up(name, seed, requests=requests, metrics=metrics, speakers=speakers) for seed, name in enumerate("ab")
    ]
    clocks: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}
    taken: dict[str, list[float]] = {name: [] for name in clocks}
    for _ in range(rounds):
        before = {name: clock() for name, clock in clocks.items()}
        comparison = compare(runs)
        difference_table(comparison.pairings[0], comparison)
        changes_table(comparison.pairings[0], comparison, {"a": "a", "b": "b"})
        scale_table(comparison)
        for name, clock in clocks.items():
            taken[name].append(clock() - before[name])
    return {name: statistics.median(values) for name, values in taken.items()}


def main() -> None:
    """Print the table and the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--metrics", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    print(f"{arguments.requests} requests, {arguments.metrics} metrics, {DRAWS:,} draws")
    rows = {}
    for clusters, speakers in ((f"{SPEAKERS} speakers", SPEAKERS), ("each request for itself", 0)):
        rows[clusters] = measure(arguments.requests, arguments.metrics, speakers, arguments.rounds)
        print(f"{clusters:<24} {rows[clusters]['wall']:6.2f} s wall {rows[clusters]['cpu']:6.2f} s cpu")
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory {megabytes:.0f} MB")
    settings = {"requests": arguments.requests, "metrics": arguments.metrics, "draws": DRAWS, "target_s": TARGET}
    print(json.dumps({**settings, "seconds": rows, "peak_mb": round(megabytes)}))


if __name__ == "__main__":
    main()
