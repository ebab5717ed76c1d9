"""Runs whose every number is planted: a verifier's and a judge's values of every candidate."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from reports.results import CandidateResult, JudgedMetric, RequestResult, RunResults
from search.selection import ranks
from tts_eval.types import Cost, Failure, FailureKind, FinishReason, Metric, Score

QUALITY = Metric(name="quality", higher_is_better=True, worst=-10.0, protocol="q@1")
WER = Metric(name="wer", higher_is_better=False, worst=1.0, unit="error-rate", protocol="w@1")


def judged(verifier: str, metric: Metric = QUALITY, *, selected_on: bool = False) -> JudgedMetric:
    """A metric whose weights are its verifier's alone."""
    return JudgedMetric(
        key=f"{verifier}#{metric.name}", verifier_key=verifier, metric=metric, judge=verifier, checkpoint=verifier,
        selected_on=selected_on,
    )  # fmt: skip


def make_pools(
    values: Mapping[JudgedMetric, np.ndarray],
    *,
    failed: Collection[tuple[int, int]] = (),
    missing: Collection[tuple[int, int]] = (),
    unasked: Collection[tuple[int, int]] = (),
    speakers: int = 0,
    transcripts: np.ndarray | None = None,
) -> RunResults:
    """A best-of-n run that chose by the first metric that was selected on (by index where none was).

    Args:
        values: of every metric, [requests, N].
        failed: (request, candidate) that no judge could judge.
        missing: those not generated yet.
        unasked: those that the last verifier has not heard.
        speakers: requests are theirs in turn; 0 is a speaker unknown.
        transcripts: what the last verifier heard, [requests, N] of str.
    """
    requests, n = next(iter(values.values())).shape
    selecting = next((metric for metric in values if metric.selected_on), None)
    last = list(values)[-1].verifier_key

    def scores(row: int, index: int) -> dict[str, Score]:
        found = {}
        for metric, numbers in values.items():
            key = metric.verifier_key
            if (row, index) in missing or ((row, index) in unasked and key == last):
                continue
            if (row, index) in failed:
                found[key] = Score(verifier=key, judge=key, value=None, failure=Failure(FailureKind.SILENT, "silent"))
                continue
            value = float(numbers[row, index])
            heard = {} if transcripts is None or key != last else {"transcript": str(transcripts[row, index])}
            before = found[key].values if key in found else {}
            found[key] = Score(
                verifier=key, judge=key, value=value, values={**before, metric.metric.name: value}, details=heard
            )
        return found

    def pool(row: int) -> tuple[CandidateResult, ...]:
        heard = [scores(row, index) for index in range(n)]
        chosen_by: list[float | None] = [None if (row, index) in failed else 0.0 for index in range(n)]
        if selecting is not None:
            sign = 1.0 if selecting.metric.higher_is_better else -1.0
            told = [found.get(selecting.verifier_key) for found in heard]
            chosen_by = [sign * score.value if score and score.value is not None else None for score in told]
        return tuple(
            CandidateResult(
                index=index, seed=index, finish=FinishReason.EOS, audio=f"audio/{row}-{index}.flac", seconds=0.4,
                failure=Failure(FailureKind.NOT_MADE, "not generated yet") if (row, index) in missing else None,
                cost=Cost(), rank=rank, selection_score=chosen_by[index], scores=heard[index],
            )
            for index, rank in enumerate(ranks(chosen_by))
        )  # fmt: skip

    return RunResults(
        name="planted", suite="planted@1", synthesizer="planted", strategy="best-of-n", n=n, metrics=tuple(values),
        requests=tuple(
            RequestResult(
                id=f"r{row}", text="one two three", group="", candidates=pool(row),
                speaker=f"s{row % speakers}" if speakers else "",
            )
            for row in range(requests)
        ),
        run={},
    )  # fmt: skip
