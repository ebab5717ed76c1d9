"""Which selection rule helps most by a judge that takes no part in it: many rules on one scored run.

    tts-eval run --suite mini-dev --n 16 --out runs/mini-dev-16 --judge asr:base --judge asr:tiny.en:exact \
        --judge quality:fast --judge duration
    python -m benchmarks.perf.selection_rules runs/mini-dev-16 --judge "asr:base#wer"

Nothing is generated or judged again: every rule ranks the stored scores. Choose a rule on one suite
(mini-dev) and report it on another (mini). Rules that use the judge's own model are refused. Prints a
table; the last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from reports.pools import pool_of
from reports.read_run import read_run
from reports.results import JudgedMetric, RunResults
from reports.statistics import Bootstrap, Interval, Sums
from search.selection import parse_rule, ranks
from tts_eval.errors import ConfigError
from tts_eval.types import Metric

RULES = (
    "asr:tiny.en#wer",
    "asr:tiny.en#likelihood",
    "asr:tiny.en#wer > asr:tiny.en#likelihood",
    "asr:tiny.en#wer + asr:tiny.en#likelihood",
    "asr:tiny.en#wer + 2*asr:tiny.en#likelihood",
    "2*asr:tiny.en#wer + asr:tiny.en#likelihood",
    "asr:tiny.en#wer + asr:tiny.en#likelihood + 0.3*quality:fast#ovrl",
    "asr:tiny.en#wer + asr:tiny.en#likelihood + 0.3*quality:fast#p808",
    "asr:tiny.en#wer + asr:tiny.en#likelihood + 0.3*duration",
    "asr:tiny.en:exact#likelihood",
    "asr:tiny.en:exact#wer + asr:tiny.en:exact#likelihood",
)


@dataclass(frozen=True, slots=True)
class Gain:
    """What a rule does to the judge's metric."""

    rule: str
    value: float
    relative: float
    """Change relative to the mean of the pool."""
    interval: Interval | None
    """Of the relative change, paired over requests."""


def find_judge(results: RunResults, key: str) -> JudgedMetric:
    """The metric called `key`.

    Raises:
        ConfigError: the run has no such metric.
    """
    for metric in results.metrics:
        if metric.key == key:
            return metric
    raise ConfigError([f"The run has no metric '{key}'. It has: {', '.join(m.key for m in results.metrics)}."])


def gain(results: RunResults, rule_text: str, judged: JudgedMetric, seed: int) -> Gain:
    """The rule's choice, seen by the judge, against the pool's mean.

    Raises:
        ConfigError: the rule uses the judge itself, or a verifier that the run has no scores of.
    """
    rule = parse_rule(rule_text)
    metrics: dict[str, list[Metric]] = {}
    for metric in results.metrics:
        metrics.setdefault(metric.verifier_key, []).append(metric.metric)
    checkpoints = {metric.verifier_key: metric.checkpoint for metric in results.metrics}
    for spec in rule.verifiers:
        if spec not in metrics:
            raise ConfigError([f"Rule '{rule_text}': '{spec}' has no scores in the run; add it with --judge."])
        if checkpoints[spec] == judged.checkpoint:
            raise ConfigError([f"Rule '{rule_text}': '{spec}' has the judge's own model."])
    sums = pool_of(results, judged).sums
    best = [
        ranks(rule.selection_scores([c.scores for c in request.candidates], metrics)).index(0)
        for request in results.requests
    ]
    rows = np.arange(len(best))
    single = Sums(sums.numerators.mean(axis=1), sums.denominators.mean(axis=1))
    chosen = Sums(sums.numerators[rows, best], sums.denominators[rows, best])
    bootstrap = Bootstrap([request.speaker or request.id for request in results.requests], np.random.default_rng(seed))
    paired = bootstrap.paired(single, chosen)
    return Gain(
        rule_text, float(chosen.value), float((chosen.value - single.value) / abs(single.value)), paired.relative
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--judge", default="asr:base#wer")
    parser.add_argument(
        "--rule", action="append", help="a rule to try; repeat; default: a list that covers the literature"
    )
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    results = read_run(options.run)
    judged = find_judge(results, options.judge)
    sums = pool_of(results, judged).sums
    single = sums.numerators.sum() / sums.denominators.sum()
    print(f"{options.judge} on {results.suite}, N = {results.n}: a single sample has {single:.4f}")
    known = {metric.verifier_key for metric in results.metrics}
    rules = options.rule or [rule for rule in RULES if known.issuperset(parse_rule(rule).verifiers)]
    gains = [gain(results, rule, judged, options.seed) for rule in rules]
    for entry in gains:
        low, high = entry.interval or (float("nan"), float("nan"))
        print(
            f"{entry.value:.4f}  {100 * entry.relative:+6.1f} %  [{100 * low:+6.1f}, {100 * high:+6.1f}]  {entry.rule}"
        )
    if not options.rule:
        print(f"{len(RULES) - len(rules)} rules were left out: the run has no scores of their verifiers")
    record = {g.rule: {"value": g.value, "relative": g.relative, "ci": list(g.interval or []) or None} for g in gains}
    print(json.dumps({"judge": options.judge, "suite": results.suite, "n": results.n, "rules": record}))


if __name__ == "__main__":
    main()
