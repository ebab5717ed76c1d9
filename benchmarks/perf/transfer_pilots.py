"""Whether a pilot foresees what a larger run gets: pilots cut from a large pool, against the candidates left over.

    tts-eval run --suite mini --synth llasa-nano --n 16 --judge asr:base --judge speaker --out runs/mini-16
    python -m benchmarks.perf.transfer_pilots runs/mini-16 --pilot 4 --foresee 8

Each repeat draws a pilot of a few candidates of every request, asks it for the gain of the best of N by every
verifier and judge, and looks at what the best of N of the candidates that the pilot did not have gains.
Nothing is generated or judged. Prints a table; the last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from reports.read_run import read_run
from reports.results import RequestResult, RunResults
from reports.transfer import Gain, transfer_of


class Foreseen(NamedTuple):
    """One repeat of one pair."""

    tau_b: float
    low: float
    """End of the bracket."""
    high: float
    found: float
    is_held: bool
    """Whether the pilot's interval holds what was found."""


def kept(results: RunResults, indices: Sequence[int]) -> RunResults:
    """The run as if only these candidates had been made."""

    def cut(request: RequestResult) -> RequestResult:
        pool = [request.candidates[index] for index in indices]
        places = np.argsort(np.argsort([candidate.rank for candidate in pool]))
        renumbered = (replace(candidate, index=index, rank=int(places[index])) for index, candidate in enumerate(pool))
        return replace(request, candidates=tuple(renumbered))

    return replace(results, n=len(indices), requests=tuple(cut(request) for request in results.requests))


def repeats(
    results: RunResults, pilot: int, foresee: int, count: int, seed: int
) -> dict[tuple[str, str], list[Foreseen]]:
    """What each pilot foresaw of each pair, by verifier and judge."""
    generator = np.random.default_rng(seed)
    found: dict[tuple[str, str], list[Foreseen]] = defaultdict(list)
    for _ in range(count):
        order = generator.permutation(results.n)
        rest = transfer_of(kept(results, order[pilot:].tolist())).pairs
        truth = {(pair.chooser.key, pair.judged.key): gain_at(pair.gains, foresee).value for pair in rest}
        for pair in transfer_of(kept(results, order[:pilot].tolist())).pairs:
            gain, value = gain_at(pair.gains, foresee), truth.get((pair.chooser.key, pair.judged.key))
            defined = (gain.value, gain.straight, value, pair.correlation.value)
            if gain.interval is not None and None not in defined:
                low, high, at, tau = (float(number or 0.0) for number in defined)
                is_held = gain.interval.low <= at <= gain.interval.high
                found[pair.chooser.key, pair.judged.key].append(
                    Foreseen(tau, min(low, high), max(low, high), at, is_held)
                )
    return dict(found)


def gain_at(gains: Sequence[Gain], n: int) -> Gain:
    """The gain of the best of `n`."""
    return next(gain for gain in gains if gain.n == n)


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--pilot", type=int, default=4, help="candidates of the pilot")
    parser.add_argument("--foresee", type=int, default=8, help="candidates of the larger run, a power of two")
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    results = read_run(options.run)
    if results.n < options.pilot + options.foresee:
        parser.error(f"{options.run} has {results.n} candidates; {options.pilot} + {options.foresee} are needed")
    rows = []
    for (verifier, judge), entries in repeats(
        results, options.pilot, options.foresee, options.repeats, options.seed
    ).items():
        means = {name: float(np.mean([getattr(entry, name) for entry in entries])) for name in Foreseen._fields}
        rows.append({"verifier": verifier, "judge": judge, "pilots": len(entries), **means})
        print(
            f"{verifier:>24} -> {judge:<22} tau-b {means['tau_b']:+.2f}; N = {options.foresee} foreseen "
            f"{means['low']:+.4f} to {means['high']:+.4f}, found {means['found']:+.4f}; "
            f"held by {100 * means['is_held']:.0f} % of {len(entries)} intervals"
        )
    print(json.dumps({"suite": results.suite, "pilot": options.pilot, "n": options.foresee, "pairs": rows}))


if __name__ == "__main__":
    main()
