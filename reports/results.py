"""A run as the reports see it: requests, their candidates in order, and every score of each.

This is the one shape that tables, figures, HTML and JSON are made from. It is built from the run
directory alone, so anything derived can be made again at any time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from reports.pool import Pool
from tts_eval.audio import AudioSource
from tts_eval.types import Cost, Failure, FailureKind, FinishReason, Metric, Prompt, Score

SINGLE_SAMPLE = "single sample"
"""`RunResults.strategy` where nothing was chosen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedMetric:
    """One column of numbers: a metric as one verifier with one checkpoint reports it."""

    key: str
    """`VERIFIER_SPEC#METRIC`, e.g. `asr:base#wer`."""
    verifier_key: str
    """`VERIFIER_SPEC`, e.g. `asr:base`: where `CandidateResult.scores` has the score."""
    metric: Metric
    judge: str
    """Full identity of who judges: checkpoint, mode and protocol."""
    checkpoint: str
    """Whose weights judge, whatever the mode."""
    selected_on: bool
    """Whether this verifier took part in choosing; if so the number flatters the search."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateResult:
    """One candidate with everything known about it."""

    index: int
    seed: int
    finish: FinishReason
    failure: Failure | None
    audio: str | None
    """Path of the audio relative to the run directory."""
    seconds: float
    cost: Cost
    rank: int
    """0 is the chosen one; ties were broken by index."""
    selection_score: float | None
    """What the search ranked by; None for a failed candidate, and where nothing can be compared (z-scores of one)."""
    scores: Mapping[str, Score]
    """By verifier key."""
    dropped_at: int | None = None
    """Stage of the cascade that passed it over, from 1; None where it came to the last one."""
    audio_sha256: str = ""
    """Digest of what is heard: two clips that share it cannot be told apart."""
    spared: tuple[str, ...] = ()
    """Keys of the verifiers that therefore never heard it: no failure, and no number either."""

    @property
    def is_made(self) -> bool:
        """Whether the run has come to it; what failed is made, too."""
        return self.failure is None or self.failure.kind is not FailureKind.NOT_MADE

    def awaits(self, verifier_key: str) -> bool:
        """Whether the verifier has yet to hear it, as in a run that was stopped: no failure of the clip's."""
        return self.failure is None and verifier_key not in self.scores and verifier_key not in self.spared

    def value(self, judged: JudgedMetric) -> float:
        """The metric's value; its `worst` when the clip could not be judged."""
        score = self.scores.get(judged.verifier_key)
        if score is None or score.failure is not None:
            return judged.metric.worst
        return score.values[judged.metric.name]

    def is_scored(self, judged: JudgedMetric) -> bool:
        """Whether the verifier gave a number, rather than a failure."""
        score = self.scores.get(judged.verifier_key)
        return score is not None and score.failure is None


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestResult:
    """One request and its pool, ordered by candidate index. Every request has at least one candidate."""

    id: str
    text: str
    group: str
    speaker: str
    candidates: tuple[CandidateResult, ...]
    language: str = "en"
    reference_digest: str = ""
    """Of all that a verifier may compare with: text, prompt, recording, metadata."""
    prompt: Prompt | None = None
    recording: AudioSource | None = None
    """The audio of `ground_truth`."""
    read_trace: Callable[[], str] = lambda: ""
    """Gives the way that a guided search went, as `search.trace` writes it: it may be long, and few look at it."""
    ground_truth: CandidateResult | None = None
    """The recording, where the suite has one; it takes no part in the search."""
    resynthesis: CandidateResult | None = None
    """The recording through a codec, where `tts-eval scale` made that."""

    @property
    def chosen(self) -> CandidateResult:
        """What the search returned."""
        return min(self.candidates, key=lambda candidate: candidate.rank)

    @property
    def first(self) -> CandidateResult:
        """What one sample would have given: the candidate with index 0."""
        return self.candidates[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResults:
    """A whole run."""

    name: str
    suite: str
    synthesizer: str
    strategy: str
    n: int
    """Candidates per request."""
    metrics: tuple[JudgedMetric, ...]
    """Held-out judges first, then what was selected on."""
    requests: tuple[RequestResult, ...]
    limits: tuple[str, ...] = ()
    """What the synthesizer did not do though the requests ask for it, in words."""
    run: Mapping[str, object]
    """run.json: resolved config, versions, checksums, host."""
    damaged: tuple[str, ...] = ()
    """Part files of the run that could not be read; what they held is missing."""
    pools: dict[JudgedMetric, Pool] = field(init=False, default_factory=dict, compare=False, repr=False)
    """Memory of `reports.pools.pool_of`: every table and figure asks for the same ones."""
