"""What listeners said in a blind test, as a win rate with its interval.

Answers to one request, by several listeners or by one who was asked twice, are no independent draws:
they are averaged, and the requests are counted.
"""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reports.blind_test import KIND
from reports.statistics import Interval
from tts_eval.errors import DataError

WORTH = {"a": 0.0, "tie": 0.5, "b": 1.0}
Z = 1.959963984540054
"""Of a two-sided 95 % interval."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preference:
    """What listeners said."""

    a: str
    b: str
    wins: int
    """Answers for B."""
    ties: int
    losses: int
    requests: int
    listeners: int
    rate: float
    """Share of requests where B was better, ties as halves; a request's answers are averaged first."""
    interval: Interval
    p: float
    """Two-sided sign test of wins against losses, by request."""


def preference(paths: Sequence[Path]) -> Preference:
    """The win rate of B over everything that the results files say.

    The interval is Wilson's (Journal of the American Statistical Association 22, 1927, 209-212) for the mean over
    requests; ties make that vary less than wins and losses would, so with ties it is a little wide.

    Raises:
        DataError: a file is no results file, has no answers, is of another test than the first, or is given twice.
    """
    from scipy.stats import binomtest

    for path, count in Counter(path.resolve() for path in paths).items():
        if count > 1:
            raise DataError(f"{path} is given {count} times; give each listener's results once.")
    tests = [_read(path) for path in paths]
    for path, test in zip(paths, tests, strict=True):
        if (test["a"], test["b"]) != (tests[0]["a"], tests[0]["b"]):
            raise DataError(
                f"{path} compares {test['a']} with {test['b']}, {paths[0]} {tests[0]['a']} with {tests[0]['b']}; "
                "give results of one test."
            )
    answers = [answer for test in tests for answer in test["answers"]]
    by_request: dict[str, list[float]] = defaultdict(list)
    for answer in answers:
        by_request[answer["request"]].append(WORTH[answer["answer"]])
    means = [sum(worths) / len(worths) for worths in by_request.values()]
    better, worse = sum(mean > 0.5 for mean in means), sum(mean < 0.5 for mean in means)
    given = [answer["answer"] for answer in answers]
    return Preference(
        a=tests[0]["a"],
        b=tests[0]["b"],
        wins=given.count("b"),
        ties=given.count("tie"),
        losses=given.count("a"),
        requests=len(means),
        listeners=len(tests),
        rate=sum(means) / len(means),
        interval=wilson(sum(means) / len(means), len(means)),
        p=float(binomtest(better, better + worse).pvalue) if better + worse else 1.0,
    )


def wilson(rate: float, n: int) -> Interval:
    """Wilson's 95 % interval of a share `rate` of `n`."""
    centre = (rate + Z * Z / (2 * n)) / (1 + Z * Z / n)
    half = Z / (1 + Z * Z / n) * math.sqrt(rate * (1 - rate) / n + Z * Z / (4 * n * n))
    return Interval(max(centre - half, 0.0), min(centre + half, 1.0))


def _read(path: Path) -> Mapping[str, Any]:
    try:
        test = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read ({error}); expected what the page of a blind test saves.") from error
    if not isinstance(test, dict) or test.get("kind") != KIND:
        raise DataError(f"{path} is no results file of a blind test; expected 'kind': '{KIND}'.")
    answers = test.get("answers")
    problems = [f"expected a name in '{key}'" for key in ("a", "b") if not isinstance(test.get(key), str)]
    if not isinstance(answers, list) or not answers:
        problems.append("it has no answers; listen to a pair at least")
    else:
        problems += [
            f"answer {number} is {answer!r}; expected a request and one of a, b, tie"
            for number, answer in enumerate(answers, start=1)
            if not _is_answer(answer)
        ]
    if problems:
        raise DataError(f"{path} is damaged: {'; '.join(problems)}.")
    return test


def _is_answer(answer: object) -> bool:
    if not isinstance(answer, dict) or not isinstance(answer.get("request"), str):
        return False
    return isinstance(answer.get("answer"), str) and answer["answer"] in WORTH
