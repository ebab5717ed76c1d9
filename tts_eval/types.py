"""The nouns, on one page.

A `Request` asks for speech. A `Job` is one attempt at it (request, index, seed, sampling); a
synthesizer turns a job into a `Candidate`. A verifier looks at an `Item` (request + candidate)
and returns a `Score`. Whatever goes wrong with one clip becomes a `Failure` inside its candidate
or score, never a missing row: the denominator of every mean is the number of requests asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, Protocol, cast

import numpy as np

from tts_eval.audio import AudioSource, Clip


class FinishReason(StrEnum):
    """How a candidate ended. The five are never merged."""

    EOS = "eos"
    LENGTH = "length"
    REPETITION = "repetition"
    REJECTED = "rejected"
    FAILED = "failed"


class FailureKind(StrEnum):
    """Why a candidate or a score has no value."""

    SYNTHESIS = "synthesis"
    """The synthesizer raised, or has nothing for this request."""
    MISSING = "missing"
    """No audio where a file was expected."""
    NOT_MADE = "not-made"
    """Not generated yet, or not asked of this run. Reports say so; nothing is stored with it."""
    UNREADABLE = "unreadable"
    """The file is not audio."""
    EMPTY = "empty"
    """Zero samples."""
    NOT_FINITE = "not-finite"
    """NaN or infinite samples."""
    SILENT = "silent"
    """Nothing above -60 dBFS, nothing that a voice detector takes for a voice, or a hum of steady level."""
    SHORT = "short"
    """Shorter than what the verifier's model can hear."""
    UNDECIDED = "undecided"
    """Too little is there to judge: of a candidate that is still being generated too little has been said, or a
    rule that compares siblings was shown a candidate without any. No value is neither good nor bad
    here, so a search goes on with the candidate."""
    NO_REFERENCE = "no-reference"
    """The request lacks what the verifier compares with (text, prompt audio)."""
    VERIFIER = "verifier"
    """The verifier raised."""


class Limit(StrEnum):
    """What a synthesizer does not do though a job asks for it; its `limits` are a set of them, and reports say so."""

    NO_CLONING = "no-cloning"
    """The prompt's audio is ignored."""
    DETERMINISTIC = "deterministic"
    """There is nothing to draw: all candidates of a request are the same."""
    NOT_REPRODUCIBLE = "not-reproducible"
    """The seed decides nothing: the same job sounds different each time."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One clip's problem, as a value."""

    kind: FailureKind
    message: str


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """What a candidate should sound like; every part is optional."""

    audio: AudioSource | None = None
    transcript: str | None = None
    style: str | None = None
    """An emotion label or a text description."""


TASK, CONTINUATION = "task", "continuation"
"""In a request's metadata: its prompt is the beginning of what is to be said."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """One thing to be said."""

    id: str
    text: str
    language: str = "en"
    prompt: Prompt | None = None
    ground_truth: AudioSource | None = None
    group: str = ""
    """Named subset of the suite, for the breakdown in reports."""
    speaker: str = ""
    """Cluster for confidence intervals; requests of one speaker are not independent."""
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_continuation(self) -> bool:
        """Whether the prompt is the beginning of what is to be said, and part of the clip that is judged."""
        return self.metadata.get(TASK) == CONTINUATION


@dataclass(frozen=True, kw_only=True, slots=True)
class Sampling:
    """How to sample. Each synthesizer documents what its temperature means."""

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    """0 keeps every token."""
    repetition_penalty: float = 1.0
    max_seconds: float = 30.0


@dataclass(frozen=True, kw_only=True)
class Job:
    """Exactly one candidate to make."""

    request: Request
    index: int
    seed: int
    sampling: Sampling


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """What something cost; generator and verifiers apart. Add with `+`."""

    tokens: int = 0
    """Tokens or latents sampled; 0 for models that sample none."""
    audio_seconds: float = 0.0
    generator_seconds: float = 0.0
    """Wall seconds of the synthesizer."""
    verifier_seconds: float = 0.0
    """Wall seconds of the verifiers."""
    spared_calls: int = 0
    """Clips that a cascade did not show to a verifier."""
    spared_seconds: float = 0.0
    """Wall seconds that would have taken, by what the same verifiers took for the other clips of the pool."""
    flops: float | None = None
    """Model FLOPs; None where nobody counted them."""
    judgements: int = 0
    """Clips that a search asked its verifiers about, unfinished ones too."""
    retries: int = 0
    """Attempts beyond the first: requests that were sent again, batches that were run again in parts."""

    def __add__(self, other: Cost) -> Cost:
        counted = [flops for flops in (self.flops, other.flops) if flops is not None]
        return Cost(
            tokens=self.tokens + other.tokens,
            audio_seconds=self.audio_seconds + other.audio_seconds,
            generator_seconds=self.generator_seconds + other.generator_seconds,
            verifier_seconds=self.verifier_seconds + other.verifier_seconds,
            spared_calls=self.spared_calls + other.spared_calls,
            spared_seconds=self.spared_seconds + other.spared_seconds,
            flops=sum(counted) if counted else None,
            judgements=self.judgements + other.judgements,
            retries=self.retries + other.retries,
        )

    def __sub__(self, earlier: Cost) -> Cost:
        """What was added since `earlier`."""
        return Cost(
            tokens=self.tokens - earlier.tokens,
            audio_seconds=self.audio_seconds - earlier.audio_seconds,
            generator_seconds=self.generator_seconds - earlier.generator_seconds,
            verifier_seconds=self.verifier_seconds - earlier.verifier_seconds,
            spared_calls=self.spared_calls - earlier.spared_calls,
            spared_seconds=self.spared_seconds - earlier.spared_seconds,
            flops=None if self.flops is None else self.flops - (earlier.flops or 0.0),
            judgements=self.judgements - earlier.judgements,
            retries=self.retries - earlier.retries,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Candidate:
    """One attempt at a request: audio, or the failure that took its place."""

    index: int
    seed: int
    sampling: Sampling
    finish: FinishReason
    clip: Clip | None = None
    tokens: np.ndarray | None = None
    """Token ids [T] or latents [T, D] where the model has any."""
    cost: Cost = field(default_factory=Cost)
    failure: Failure | None = None


@dataclass(frozen=True, kw_only=True)
class Item:
    """What a verifier judges."""

    request: Request
    candidate: Candidate
    partial: bool = False
    """True while the candidate is still being generated."""

    @property
    def seconds(self) -> float:
        """Duration of the audio; 0 where there is none."""
        return self.candidate.clip.seconds if self.candidate.clip else 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Metric:
    """One number that a verifier reports, and how a set of them is summarised."""

    name: str
    higher_is_better: bool
    worst: float
    """Stands in for a clip that could not be judged."""
    unit: Literal["error-rate", "rate", "score", "seconds", "log-prob"] = "score"
    """Rates print as per cent; of an "error-rate" (WER, CER) reports also show how many clips are above one half."""
    protocol: str = ""
    """NAME@VERSION of the exact scoring rules."""
    ratio_of: tuple[str, str] | None = None
    """Summarise as sum(first) / sum(second) of these values, e.g. corpus WER; None means the mean."""

    @property
    def is_rate(self) -> bool:
        """Whether it prints as per cent."""
        return self.unit in ("error-rate", "rate")


@dataclass(frozen=True, kw_only=True)
class Score:
    """What one verifier says of one candidate.

    `values` has every metric of the verifier, plus whatever its `ratio_of` metrics need.
    A failed score has no metric values; reports put each metric's `worst` in their place. It may
    still hold what a `ratio_of` metric needs, e.g. how many reference words went unheard.
    """

    verifier: str
    judge: str
    """Checkpoint that did the judging."""
    value: float | None
    """The verifier's first metric."""
    values: Mapping[str, float] = field(default_factory=dict)
    details: Mapping[str, str] = field(default_factory=dict)
    failure: Failure | None = None
    embedding: np.ndarray | None = field(default=None, compare=False, repr=False)
    """What the verifier compares by, where that is one vector [D]; not stored."""
    seconds: float = 0.0
    """Wall seconds of this clip's share of the batch."""
    spared_calls: int = 0
    """Verifiers that were not asked about this clip, because a cascade dropped it; see `Cost`."""
    spared_seconds: float = 0.0


class Synthesizer(Protocol):
    """Proposes candidates."""

    @property
    def name(self) -> str:
        """Registry name."""
        ...

    @property
    def revision(self) -> str:
        """Changes whenever the same job could give other audio: weights, code or settings.

        "" says that this cannot be known: then nothing is remembered, and every run asks again.
        """
        ...

    def generate(self, jobs: Sequence[Job]) -> list[Candidate]:
        """One candidate per job, in order; a candidate depends on its own job alone."""
        ...


class Generation(Protocol):
    """A batch of live rows that a search advances, forks and drops."""

    def advance(self, steps: int) -> None:
        """Let every live row of every request say up to `steps` more steps, all rows in one model call per step."""
        ...

    def select(self, rows: Sequence[int]) -> None:
        """Go on with these rows, in this order; a row named twice is forked, and its copies get fresh seeds."""
        ...

    def branch(self) -> Generation:
        """The same rows again, to look ahead with: they go on as these would, and these stay where they are."""
        ...

    def audio(self) -> list[Candidate]:
        """What each row says so far; only what is new is decoded. A live row says `length`, as if it were cut here."""
        ...

    def finished(self) -> list[FinishReason | None]:
        """How each row ended; None for a live one."""
        ...

    @property
    def spent(self) -> Cost:
        """What all rows have cost together, dropped ones too; work that rows share counts once."""
        ...


class StepSynthesizer(Synthesizer, Protocol):
    """A synthesizer whose candidates grow step by step."""

    @property
    def step_seconds(self) -> float:
        """Audio per step, on average over a sentence: all rows make the same steps, whatever each of them says in them.

        Where rows do not speak in every step, a search hears a little more or less of each than it asked for.
        """
        ...

    @property
    def most_rows(self) -> int:
        """Rows that it wants to work on at a time; one request that needs more may begin all the same."""
        ...

    def begin(self, jobs: Sequence[Job]) -> Generation:
        """A generation whose row i is `jobs[i]`.

        Raises:
            SynthesisError: one of them cannot be made; nothing has been generated.
        """
        ...


def as_step_synthesizer(synthesizer: Synthesizer) -> StepSynthesizer | None:
    """The synthesizer as one with steps; None where it has none.

    Here, in `limits_of` and in `what_is_lacking` alone is something asked for instead of declared.
    """
    return cast(StepSynthesizer, synthesizer) if hasattr(synthesizer, "begin") else None


def limits_of(synthesizer: Synthesizer) -> frozenset[Limit]:
    """What the synthesizer says that it does not do; nothing where it says nothing."""
    limits: frozenset[Limit] = getattr(synthesizer, "limits", frozenset())
    return limits


class Verifier(Protocol):
    """Judges candidates.

    It may have `lacks(request)` besides, which tells before a run what it cannot judge; see `what_is_lacking`.
    """

    @property
    def name(self) -> str:
        """Registry name."""
        ...

    @property
    def version(self) -> str:
        """Changes whenever the same clip could get another score."""
        ...

    @property
    def judge(self) -> str:
        """The checkpoint that judges, with everything that decides its word."""
        ...

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """What it reports; the first is the one that selects when nothing else is said."""
        ...

    @property
    def supports_partial(self) -> bool:
        """Whether it can judge a candidate that is still being generated."""
        ...

    def score(self, items: Sequence[Item]) -> list[Score]:
        """One score per item, in order; the score of an item depends on that item alone."""
        ...


def what_is_lacking(verifier: Verifier, request: Request) -> Failure | None:
    """Why the verifier can judge nothing that is said for the request; None where it can, or never says.

    A verifier says so with a method `lacks(request: Request) -> Failure | None`, which it need not have: the same
    failure that `score` would give, known without any audio.
    """
    lacks = getattr(verifier, "lacks", None)
    return cast("Failure | None", lacks(request)) if lacks else None
