"""Made-up runs with everything a report must cope with: failures, groups, speakers, real little files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from reports.hacking import hacking_of
from reports.results import CandidateResult, JudgedMetric, RequestResult, RunResults
from reports.transfer import transfer_of
from reports.transfer_tables import TransferSection, transfer_section
from tts_eval.audio import Clip, write_audio
from tts_eval.text import load_protocol
from tts_eval.types import Cost, Failure, FailureKind, FinishReason, Metric, Score

SENTENCES = (
    "The lighthouse keeper counted seventeen ships before the fog came in.",
    "Nobody had told the orchestra that the piano was still upstairs.",
    "She paid four dollars for a map of a town that no longer exists.",
    "Rain again, and the river is within a hand's width of the bridge.",
    "If the train is late once more, we shall simply walk to Vienna.",
    "My grandmother's recipe says only: enough flour, and patience.",
    "The committee will meet on Tuesday, or whenever the key is found.",
    "A quiet machine hummed in the corner as though it were thinking.",
)
STRAY_WORDS = ("of", "late", "water", "never", "the", "shore", "tin")
WER = Metric(name="wer", higher_is_better=False, worst=1.0, unit="error-rate", protocol="whisper-norm@1",
             ratio_of=("errors", "words"))  # fmt: skip
SIMILARITY = Metric(name="similarity", higher_is_better=True, worst=0.0, protocol="ge2e@1")
METRICS = tuple(
    JudgedMetric(
        key=f"{verifier}/{metric.name}",
        verifier_key=verifier,
        metric=metric,
        judge=judge,
        checkpoint=judge,
        selected_on=selected,
    )
    for verifier, metric, judge, selected in (
        ("asr:tiny.en", WER, "whisper-tiny.en 1a5afae06a4d", False),
        ("speaker:ge2e", SIMILARITY, "ge2e 39373b86598f", False),
        ("asr:base", WER, "whisper-base d01c3014881c", True),
    )
)


def make_results(
    run_dir: Path | None = None,
    *,
    requests: int = 12,
    n: int = 4,
    seed: int = 7,
    speakers: int = 4,
    groups: Sequence[str] = ("plain", "numbers", "names"),
    metrics: tuple[JudgedMetric, ...] = METRICS,
) -> RunResults:
    """A run in which the selecting judge is a noisy view of the truth, as in life.

    Candidate 1 of request 2 failed in synthesis; every candidate of the last request is silent.
    """
    generator = np.random.default_rng(seed)
    return RunResults(
        name="demo-run",
        suite="demo-sentences@1",
        synthesizer="fake voice",
        strategy="best-of-n",
        n=n,
        metrics=metrics,
        requests=tuple(
            _request(number, run_dir, n, generator, speakers, groups, silent=number == requests - 1 > 0)
            for number in range(requests)
        ),
        run={"config": {"n": n, "seed": seed}, "versions": {"tts-eval": "0.1.0"}, "note": "</script><b>&"},
    )


def section_of(results: RunResults) -> TransferSection:
    """Whether the run's choice transfers, without audio."""
    return transfer_section(hacking_of(results), transfer_of(results))


def _request(
    number: int, run_dir: Path | None, n: int, generator: np.random.Generator, speakers: int,
    groups: Sequence[str], *, silent: bool,
) -> RequestResult:  # fmt: skip
    text = SENTENCES[number % len(SENTENCES)]
    difficulty = generator.uniform(0.0, 0.25)
    pool = [
        _candidate(number, index, text, difficulty, run_dir, generator, _failure(number, index, silent=silent))
        for index in range(n)
    ]
    order = sorted(range(n), key=lambda index: (pool[index][1], index))
    return RequestResult(
        id=f"sentence-{number:03d}",
        text=text,
        group=groups[number % len(groups)] if groups else "",
        speaker=f"s{number % speakers}" if speakers else "",
        candidates=tuple(_ranked(candidate, order.index(index)) for index, (candidate, _) in enumerate(pool)),
    )


def _failure(number: int, index: int, *, silent: bool) -> Failure | None:
    if silent:
        return Failure(FailureKind.SILENT, "Nothing in the clip is above -60 dBFS.")
    if (number, index) == (2, 1):
        return Failure(FailureKind.SYNTHESIS, "ValueError: <b>no phonemes</b>")
    return None


def _candidate(
    number: int, index: int, text: str, difficulty: float, run_dir: Path | None,
    generator: np.random.Generator, failure: Failure | None,
) -> tuple[CandidateResult, float]:  # fmt: skip
    garble = float(np.clip(difficulty + generator.normal(0, 0.12), 0, 0.9))
    said = _corrupted(text, garble, generator)
    scores = {
        "asr:tiny.en": _heard("asr", "tiny.en", text, _corrupted(said, 0.05, generator)),
        "speaker:ge2e": Score(verifier="speaker", judge="ge2e", value=(closeness := float(generator.uniform(0.6, 0.9))),
                              values={"similarity": closeness}, seconds=0.02),
        "asr:base": _heard("asr", "base", text, _corrupted(said, 0.03, generator)),
    }  # fmt: skip
    if failure is not None:
        scores = {
            key: Score(verifier=score.verifier, judge=score.judge, value=None, failure=failure)
            for key, score in scores.items()
        }
    was_made = failure is None or failure.kind is not FailureKind.SYNTHESIS
    seconds = 0.0 if not was_made else 0.4
    audio = _audio(number, index, run_dir, generator, silent=failure is not None) if was_made else None
    candidate = CandidateResult(
        index=index,
        seed=int(generator.integers(2**31)),
        finish=FinishReason.EOS if was_made else FinishReason.FAILED,
        failure=failure if not was_made else None,
        audio=audio,
        seconds=seconds,
        cost=Cost(
            audio_seconds=seconds,
            generator_seconds=0.05,
            verifier_seconds=sum(score.seconds for score in scores.values()),
        ),
        rank=0,
        selection_score=scores["asr:base"].value,
        scores=scores,
    )
    return candidate, 2.0 if candidate.selection_score is None else candidate.selection_score


def _ranked(candidate: CandidateResult, rank: int) -> CandidateResult:
    from dataclasses import replace

    return replace(candidate, rank=rank)


def _corrupted(text: str, rate: float, generator: np.random.Generator) -> str:
    words = []
    for word in text.split():
        fate = generator.uniform()
        if fate < rate * 0.5:
            words.append(str(generator.choice(STRAY_WORDS)))
        elif fate < rate * 0.8:
            continue
        elif fate < rate:
            words += [word, str(generator.choice(STRAY_WORDS))]
        else:
            words.append(word)
    return " ".join(words)


def _heard(verifier: str, judge: str, text: str, transcript: str) -> Score:
    counts = load_protocol(WER.protocol).counts(text, transcript)
    return Score(
        verifier=verifier, judge=judge, value=counts.rate,
        values={"wer": counts.rate, "errors": counts.errors, "words": counts.reference_length},
        details={"transcript": transcript}, seconds=0.1,
    )  # fmt: skip


def _audio(number: int, index: int, run_dir: Path | None, generator: np.random.Generator, *, silent: bool) -> str:
    name = f"audio/{number:03d}-{index}.flac"
    if run_dir is not None:
        time = np.arange(8820) / 22050
        tone = 0.3 * np.sin(2 * np.pi * (180 + 40 * index) * time) + 0.01 * generator.standard_normal(len(time))
        (run_dir / "audio").mkdir(parents=True, exist_ok=True)
        write_audio(run_dir / name, Clip((tone * (not silent)).astype(np.float32), 22050))
    return name
