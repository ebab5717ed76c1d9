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

from reports.read_run import read_run
from reports.results import JudgedMetric, RunResults
from reports.statistics import Interval, mean_interval, paired_interval
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
    for spec in rule.verifiers:
        if spec == judged.verifier_key or spec not in metrics:
            reason = "is the judge" if spec == judged.verifier_key else "has no scores in the run; add it with --judge"
            raise ConfigError([f"Rule '{rule_text}': '{spec}' {reason}."])
    single, chosen = [], []
    for request in results.requests:
        order = ranks(rule.selection_scores([c.scores for c in request.candidates], metrics))
        single.append(np.mean([candidate.value(judged) for candidate in request.candidates]))
        chosen.append(request.candidates[order.index(0)].value(judged))
    before, after = np.array(single), np.array(chosen)
    clusters = [request.speaker or request.id for request in results.requests]
    paired = paired_interval(before, after, clusters, np.random.default_rng(seed))
    return Gain(rule_text, float(after.mean()), float(after.mean() / before.mean() - 1), paired.relative)


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
    values = np.array([[c.value(judged) for c in request.candidates] for request in results.requests])
    clusters = [request.speaker or request.id for request in results.requests]
    interval = mean_interval(values.mean(axis=1), clusters, np.random.default_rng(options.seed))
    print(f"{options.judge} on {results.suite}, N = {results.n}: pool mean {values.mean():.4f} {interval}")
    gains = [gain(results, rule, judged, options.seed) for rule in options.rule or RULES]
    for entry in gains:
        low, high = entry.interval or (float("nan"), float("nan"))
        print(
            f"{entry.value:.4f}  {100 * entry.relative:+6.1f} %  [{100 * low:+6.1f}, {100 * high:+6.1f}]  {entry.rule}"
        )
    record = {g.rule: {"value": g.value, "relative": g.relative, "ci": list(g.interval or []) or None} for g in gains}
    print(json.dumps({"judge": options.judge, "suite": results.suite, "n": results.n, "rules": record}))


if __name__ == "__main__":
    main()
