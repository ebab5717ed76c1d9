"""Builds `RunResults` from a run directory, without any model or data.

Results hold what every report needs of each candidate; transcripts and the like stay in the run's files until somebody
looks at them (see `tts_eval.columns`).

A candidate that the run should have and the store has not (a run that is still going, or was
stopped) takes its place as one that is not made: coverage shows it, means count it as worst.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from reports.results import SINGLE_SAMPLE, CandidateResult, JudgedMetric, RequestResult, RunResults
from search.rule_text import parse_rule
from search.selection import Rule, Spared, Verdict, ranks
from tts_eval import ground_truth
from tts_eval.columns import RunColumns
from tts_eval.config import RunConfig, is_whole_pool
from tts_eval.manifest import Manifest, RequestRecord, read_manifest, read_requests
from tts_eval.records import clip_seconds, ground_truth_digest, row_cost, row_failure
from tts_eval.registry import parse_spec
from tts_eval.seeds import candidate_seed
from tts_eval.store import Row
from tts_eval.types import Cost, Failure, FailureKind, FinishReason, Score


def read_run(folder: Path) -> RunResults:
    """The results of the run in `folder`.

    Raises:
        StoreError: there is no run, or it is damaged.
    """
    columns = RunColumns(folder)
    return results_of(columns, read_manifest(columns), folder.resolve().name)


def results_of(columns: RunColumns, manifest: Manifest, name: str) -> RunResults:
    """The results of the run that `manifest` describes, of those that lie in one directory.

    Raises:
        StoreError: the directory is damaged.
    """
    config = manifest.config
    rule = parse_rule(config.verifier).with_scales(manifest.scales)
    records = read_requests(columns)
    return RunResults(
        name=name,
        suite=", ".join(filter(None, [manifest.suite, manifest.subset])),
        synthesizer=manifest.synthesizer,
        limits=manifest.limits,
        strategy=_strategy(config),
        n=config.n if is_whole_pool(config) else 1,
        metrics=_judged_metrics(manifest, rule),
        requests=tuple(_request_result(record, rule, manifest, columns) for record in records),
        damaged=columns.damaged,
        run=manifest.as_json(),
    )


def _strategy(config: RunConfig) -> str:
    if is_whole_pool(config):
        selected = f"{config.strategy}, N = {config.n}, selected by {config.verifier.strip()}"
        return selected if config.n > 1 else SINGLE_SAMPLE
    budget = f", {config.budget} a request" if config.budget else ""
    then = f", then {config.then}" if config.then else ""
    return f"{config.strategy}{budget}, guided by {config.verifier.strip()}{then}; its own choice"


def _judged_metrics(manifest: Manifest, rule: Rule) -> tuple[JudgedMetric, ...]:
    # One candidate is no choice: then nothing was selected on.
    selecting = rule.verifiers if manifest.config.n > 1 else ()
    if not is_whole_pool(manifest.config):
        selecting = manifest.searching
    checkpoints = {manifest.verifiers[spec].checkpoint for spec in selecting}
    judges = dict.fromkeys([*manifest.judges, *manifest.added_judges, *rule.verifiers, *selecting])
    is_selecting = {spec: manifest.verifiers[spec].checkpoint in checkpoints for spec in judges}
    return tuple(
        JudgedMetric(
            key=f"{spec}#{metric.name}",
            verifier_key=spec,
            metric=metric,
            judge=manifest.verifiers[spec].judge,
            checkpoint=manifest.verifiers[spec].checkpoint,
            selected_on=is_selecting[spec],
        )
        for spec in sorted(judges, key=is_selecting.__getitem__)
        for metric in manifest.verifiers[spec].metrics
    )


def _request_result(record: RequestRecord, rule: Rule, manifest: Manifest, columns: RunColumns) -> RequestResult:
    request = record.request
    found = columns.candidates.find(manifest.candidate_keys(record))
    rows = [one.row if one else None for one in found]
    scores = _scores(manifest, columns, record.reference_digest, rows)
    verdicts = rule.judge(scores, {spec: manifest.verifiers[spec].metrics for spec in rule.verifiers})
    spared = rule.spared(scores, verdicts)
    scores = [_with_passed_over(one, rule, verdict, manifest) for one, verdict in zip(scores, verdicts, strict=True)]
    order = ranks([verdict.score for verdict in verdicts])
    return RequestResult(
        id=request.id,
        text=request.text,
        group=request.group,
        speaker=request.speaker,
        language=request.language,
        reference_digest=record.reference_digest,
        prompt=request.prompt,
        recording=request.ground_truth,
        read_trace=next((partial(columns.candidates.trace, one.place) for one in found if one), lambda: ""),
        candidates=tuple(
            _candidate_result(
                index,
                candidate_seed(manifest.config.seed, request.id, index),
                row,
                order[index],
                verdicts[index],
                spared[index],
                scores[index],
            )
            for index, row in enumerate(rows)
        ),
        ground_truth=_ground_truth(record, manifest, columns),
        resynthesis=_resynthesis(record, manifest, columns),
    )


def _scores(
    manifest: Manifest, columns: RunColumns, reference_digest: str, rows: Sequence[Row | None]
) -> list[Mapping[str, Score]]:
    """By verifier, of each clip that some rows are of."""
    return columns.scores.find(
        [manifest.score_keys(reference_digest, row["audio_sha256"] if row else "") for row in rows]
    )


def _with_passed_over(
    scores: Mapping[str, Score], rule: Rule, verdict: Verdict, manifest: Manifest
) -> Mapping[str, Score]:
    """The scores, and for verifiers that a cascade left out because an earlier one could not judge, that one's failure.

    Without it they would seem to be yet to come, and the run never to be finished.
    """
    if verdict.score is not None or len(rule.stages) == 1:
        return scores
    shown = rule.shown_to(verdict)
    failure = next((scores[spec].failure for spec in shown if spec in scores and scores[spec].failure), None)
    if failure is None or not all(spec in scores for spec in shown):
        return scores
    left_out = {
        spec: Score(verifier=parse_spec(spec).name, judge=manifest.verifiers[spec].judge, value=None, failure=failure)
        for spec in rule.verifiers
        if spec not in scores
    }
    return {**scores, **left_out}


def _ground_truth(record: RequestRecord, manifest: Manifest, columns: RunColumns) -> CandidateResult | None:
    if record.request.ground_truth is None and not record.ground_truth_sha256:
        return None
    keys = manifest.score_keys(ground_truth_digest(record.reference_digest), record.ground_truth_sha256)
    (scores,) = columns.scores.find([keys])
    return CandidateResult(
        index=ground_truth.INDEX,
        seed=0,
        finish=FinishReason.EOS if scores else FinishReason.FAILED,
        failure=None if scores else Failure(FailureKind.UNREADABLE, "The recording could not be read or judged."),
        audio=None,
        seconds=0.0,
        cost=Cost(),
        rank=0,
        selection_score=None,
        scores=scores,
    )


def _resynthesis(record: RequestRecord, manifest: Manifest, columns: RunColumns) -> CandidateResult | None:
    if not manifest.resynthesis or (record.request.ground_truth is None and not record.ground_truth_sha256):
        return None
    (found,) = columns.candidates.find([manifest.resynthesis_key(record)])
    row = found.row if found else None
    (scores,) = _scores(manifest, columns, record.reference_digest, [row])
    return _candidate_result(ground_truth.RESYNTHESIS_INDEX, 0, row, 0, Verdict(None, 0, False), Spared(), scores)


def _candidate_result(
    index: int, seed: int, row: Row | None, rank: int, verdict: Verdict, spared: Spared, scores: Mapping[str, Score]
) -> CandidateResult:
    if row is None:
        return CandidateResult(
            index=index,
            seed=seed,
            finish=FinishReason.FAILED,
            failure=Failure(
                FailureKind.NOT_MADE, "Not generated yet: the run was stopped. Run the same command again."
            ),
            audio=None,
            seconds=0.0,
            cost=Cost(),
            rank=rank,
            selection_score=None,
            scores={},
        )
    judged = Cost(
        verifier_seconds=sum(score.seconds for score in scores.values()),
        spared_calls=len(spared.verifiers),
        spared_seconds=spared.seconds,
    )
    return CandidateResult(
        index=index,
        seed=row["seed"],
        finish=FinishReason(row["finish"]),
        failure=row_failure(row),
        audio=row["audio"] or None,
        audio_sha256=row["audio_sha256"],
        seconds=clip_seconds(row),
        cost=row_cost(row) + judged,
        rank=rank,
        selection_score=verdict.score,
        dropped_at=verdict.stage + 1 if verdict.dropped else None,
        spared=spared.verifiers,
        scores=scores,
    )
