"""Runs of one suite side by side: the same requests in the same order, and the metrics they have in common.

Runs are compared by request id. What would make a difference mean something else is refused: another
suite, another text or prompt under the same id, the same judge with another checkpoint or protocol. A
request that only some of the runs have is not dropped: where it is absent it counts as a failure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from reports.read_run import read_run
from reports.results import CandidateResult, JudgedMetric, RequestResult, RunResults
from tts_eval.errors import ConfigError, DataError, TTSEvalError
from tts_eval.types import Cost, Failure, FailureKind, FinishReason, Metric


@dataclass(frozen=True, slots=True, kw_only=True)
class CommonMetric:
    """A metric that every run has by the same judge with the same protocol."""

    judged: tuple[JudgedMetric, ...]
    """As each run knows it."""
    selected_in: tuple[str, ...]
    """Names of the runs whose choice the judge took part in."""

    @property
    def key(self) -> str:
        """As the first run calls it, e.g. `asr:base#wer`."""
        return self.judged[0].key

    @property
    def metric(self) -> Metric:
        """Its definition."""
        return self.judged[0].metric


@dataclass(frozen=True, slots=True, kw_only=True)
class Aligned:
    """Runs with the same requests in the same order."""

    runs: tuple[RunResults, ...]
    metrics: tuple[CommonMetric, ...]
    """Held out in all runs first, error rates before others."""
    missing: Mapping[str, tuple[str, ...]]
    """By run: ids of requests that only others have, which count as its failures."""
    left_out: tuple[str, ...]
    """Metrics that not every run has, as `RUN: KEY`."""


def read_runs(folders: Sequence[Path]) -> list[RunResults]:
    """The runs, each under a name of its own.

    Raises:
        ConfigError: fewer than two, one twice, or folders that hold no readable run; all of them are named.
    """
    problems = []
    if len(folders) < 2:
        problems.append(f"Comparing takes two runs or more; got {len(folders)}.")
    for path, count in Counter(folder.resolve() for folder in folders).items():
        if count > 1:
            problems.append(f"{path} is given {count} times; a run does not differ from itself.")
    runs = []
    for folder in dict.fromkeys(folders):
        try:
            runs.append(read_run(folder))
        except TTSEvalError as error:
            problems.append(str(error))
    if problems:
        raise ConfigError(problems)
    names = Counter(run.name for run in runs)
    return [
        run if names[run.name] == 1 else replace(run, name=str(folder))
        for run, folder in zip(runs, folders, strict=True)
    ]


def align(runs: Sequence[RunResults]) -> Aligned:
    """The runs with the same requests in the same order; those of the first come first.

    Raises:
        DataError: they cannot be compared; every reason is named, by its first instance.
    """
    problems = [*_suite_problems(runs), *_request_problems(runs), *_judge_problems(runs)]
    metrics = _common_metrics(runs)
    if not problems and not metrics:
        problems.append(
            "The runs have no metric in common. "
            + " ".join(f"{run.name} has {', '.join(judged.key for judged in run.metrics) or 'none'}." for run in runs)
            + f" Ask the same judge of all, e.g.: tts-eval score RUN --judge {runs[0].metrics[0].verifier_key}"
            if runs[0].metrics
            else "No judge took part in the first run, so there is nothing to compare."
        )
    if problems:
        raise DataError("\n".join(problems))
    union = {request.id: request for run in reversed(runs) for request in run.requests}
    order = list(dict.fromkeys(request.id for run in runs for request in run.requests))
    known = [{request.id: request for request in run.requests} for run in runs]
    common = {metric.judged[place].key for metric in metrics for place in range(len(runs))}
    return Aligned(
        runs=tuple(
            replace(run, requests=tuple(own.get(name) or _absent(union[name], run) for name in order))
            for run, own in zip(runs, known, strict=True)
        ),
        metrics=metrics,
        missing={
            run.name: absent
            for run, own in zip(runs, known, strict=True)
            if (absent := tuple(name for name in order if name not in own))
        },
        left_out=tuple(
            f"{run.name}: {judged.key}" for run in runs for judged in run.metrics if judged.key not in common
        ),
    )


def _suite_problems(runs: Sequence[RunResults]) -> list[str]:
    suites = [str(run.run.get("suite", run.suite)) for run in runs]
    return [
        f"{run.name} is a run of {suite}, {runs[0].name} of {suites[0]}. Compare runs of one suite."
        for run, suite in zip(runs[1:], suites[1:], strict=True)
        if suite != suites[0]
    ]


def _request_problems(runs: Sequence[RunResults]) -> list[str]:
    problems = []
    first = {request.id: request for request in runs[0].requests}
    for run in runs[1:]:
        shared = [(first[request.id], request) for request in run.requests if request.id in first]
        if not shared:
            problems.append(f"{run.name} has no request in common with {runs[0].name}. Compare runs of one suite.")
        for one, other in shared:
            if (one.text, one.reference_digest) != (other.text, other.reference_digest):
                what = (
                    f"the text '{one.text}' in {runs[0].name} and '{other.text}' in {run.name}"
                    if one.text != other.text
                    else f"another prompt, recording or metadata in {run.name} than in {runs[0].name}"
                )
                problems.append(f"Request '{one.id}' has {what}: a difference would not be the system's.")
                break
    return problems


def _judge_problems(runs: Sequence[RunResults]) -> list[str]:
    """Metrics of one name by judges that differ, where nothing fits: the first of each run."""
    problems = []
    for run in runs[1:]:
        for one in runs[0].metrics:
            if _match(one, run):
                continue
            clash = next((other for other in run.metrics if _is_clash(one, other)), None)
            if clash is not None and not any(_match(other, runs[0]) for other in run.metrics if _is_clash(one, other)):
                problems.append(
                    f"'{one.metric.name}' is by {_judge(one)} in {runs[0].name}, by {_judge(clash)} in {run.name}. "
                    f"Ask the same judge of both: tts-eval score {run.name} --judge {one.verifier_key}"
                )
                break
    return problems


def _is_clash(one: JudgedMetric, other: JudgedMetric) -> bool:
    """One name for two things: the same spec with another judge, or the same weights with another protocol."""
    if one.metric.name != other.metric.name:
        return False
    is_same_spec = one.verifier_key == other.verifier_key
    return is_same_spec or (one.checkpoint == other.checkpoint and one.metric.protocol != other.metric.protocol)


def _judge(judged: JudgedMetric) -> str:
    return f"{judged.judge} ({judged.metric.protocol or 'no protocol'})"


def _match(judged: JudgedMetric, run: RunResults) -> JudgedMetric | None:
    """The same metric by the same judge in another run, whatever spec named it there."""
    wanted = (judged.judge, judged.checkpoint, judged.metric)
    found = [other for other in run.metrics if (other.judge, other.checkpoint, other.metric) == wanted]
    return next((other for other in found if other.key == judged.key), found[0] if found else None)


def _common_metrics(runs: Sequence[RunResults]) -> tuple[CommonMetric, ...]:
    common = []
    for judged in runs[0].metrics:
        found = [_match(judged, run) for run in runs]
        known = tuple(other for other in found if other is not None)
        if len(known) == len(runs):
            selected = tuple(run.name for run, other in zip(runs, known, strict=True) if other.selected_on)
            common.append(CommonMetric(judged=known, selected_in=selected))
    return tuple(sorted(common, key=lambda one: (bool(one.selected_in), one.metric.unit != "error-rate")))


def _absent(request: RequestResult, run: RunResults) -> RequestResult:
    """A request that the run was never given: nothing but failures."""
    failure = Failure(FailureKind.NOT_MADE, f"Not among the requests of {run.name}.")
    size = len(run.requests[0].candidates)
    candidates = tuple(
        CandidateResult(
            index=index, seed=0, finish=FinishReason.FAILED, failure=failure, audio=None, seconds=0.0, cost=Cost(),
            rank=index, selection_score=None, scores={},
        )
        for index in range(size)
    )  # fmt: skip
    return replace(request, candidates=candidates, ground_truth=None, resynthesis=None)
