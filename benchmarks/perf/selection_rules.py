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
from typing import NamedTuple

import numpy as np

from reports.pools import pool_of
from reports.read_run import read_run
from reports.results import JudgedMetric, RequestResult, RunResults
from reports.statistics import Bootstrap, Interval, Sums
from search.rule_text import load_rule, parse_rule
from search.selection import Rule, ranks
from search.steps import Metrics
from tts_eval.errors import ConfigError
from tts_eval.types import Metric

RULES = (
    "asr:tiny.en#wer",
    "asr:tiny.en#likelihood",
    "lex(asr:tiny.en#wer, asr:tiny.en#likelihood)",
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
    rule = load_rule(rule_text)
    recorded = _recorded(results)
    checkpoints = {metric.verifier_key: metric.checkpoint for metric in results.metrics}
    for spec in rule.verifiers:
        if spec not in recorded:
            raise ConfigError([f"Rule '{rule_text}': '{spec}' has no scores in the run; add it with --judge."])
        if checkpoints[spec] == judged.checkpoint:
            raise ConfigError([f"Rule '{rule_text}': '{spec}' has the judge's own model."])
    rule.check(recorded)
    metrics = {spec: entry.metrics for spec, entry in recorded.items()}
    pool = pool_of(results, judged)
    if pool.is_spared.any():
        raise ConfigError([f"{_partly_asked(judged.verifier_key)} It cannot compare rules."])
    sums = pool.sums
    best = [_best(rule, request, metrics) for request in results.requests]
    rows = np.arange(len(best))
    single = Sums(sums.numerators.mean(axis=1), sums.denominators.mean(axis=1))
    chosen = Sums(sums.numerators[rows, best], sums.denominators[rows, best])
    bootstrap = Bootstrap([request.speaker or request.id for request in results.requests], np.random.default_rng(seed))
    paired = bootstrap.paired(single, chosen)
    return Gain(
        rule_text, float(chosen.value), float((chosen.value - single.value) / abs(single.value)), paired.relative
    )


class _Recorded(NamedTuple):
    """A verifier as the results know it."""

    judge: str
    metrics: tuple[Metric, ...]


def _recorded(results: RunResults) -> dict[str, _Recorded]:
    by_key: dict[str, list[JudgedMetric]] = {}
    for metric in results.metrics:
        by_key.setdefault(metric.verifier_key, []).append(metric)
    return {spec: _Recorded(found[0].judge, tuple(one.metric for one in found)) for spec, found in by_key.items()}


def _best(rule: Rule, request: RequestResult, metrics: Metrics) -> int:
    """Position of the candidate that the rule takes."""
    verdicts = rule.judge([candidate.scores for candidate in request.candidates], metrics)
    for candidate, verdict in zip(request.candidates, verdicts, strict=True):
        shown_to = {spec for stage in rule.stages[: verdict.stage + 1] for spec in stage.verifiers}
        if unheard := shown_to & set(candidate.spared):
            raise ConfigError([f"Rule '{rule.text}': {_partly_asked(min(unheard))}"])
    return ranks([verdict.score for verdict in verdicts]).index(0)


def _partly_asked(spec: str) -> str:
    return f"the run's cascade did not show every candidate to '{spec}'; run 'tts-eval score RUN --judge {spec}' first."


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
