"""Any synthesizer, phrase by phrase, so that searches can judge and fork it on the way.

A model that makes a whole utterance at once (VITS, a diffusion model, a server) has no tokens to stop
after. But a text has phrases, and each can be said, heard, kept or said again: a step is a phrase. The rows of
all requests say their next phrase in one call of the synthesizer behind it. Phrases are said apart, so that the
melody of a sentence may break at its commas: that is the price, and a single sample of
`phrases:NAME` pays it too, so that searches are compared with the right thing.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tts_eval import seeds
from tts_eval.audio import Clip
from tts_eval.errors import ConfigError
from tts_eval.types import TASK, Candidate, Cost, FinishReason, Job, Synthesizer, limits_of

SHORTEST = 20
"""Characters; a shorter phrase is said together with the next one. Models stumble over single words."""
PAUSE_SECONDS = 0.1
"""Silence between phrases."""
RATE = 16_000
"""Of a row that has not said anything yet."""
_BREAK = re.compile(r"(?<=[.!?;:,…—])(?=\s)|(?<=[。！？；：，、])(?=.)", re.DOTALL)
_ABBREVIATION = re.compile(r"\b[A-Z][a-z]{0,3}\.$")
"""Dr., St., Prof., J.: the sentence goes on."""
_IDEOGRAPHS = re.compile(r"[\u3400-\u9fff]")
_MORE_PER_IDEOGRAPH = 3
"""A Chinese character takes as long as four letters."""
_WHOLE_FILES = ("wavs", "codec-resynthesis")
"""They give a recording, whatever the text is."""


def create(argument: str) -> PhraseSynthesizer:
    """The synthesizer for `phrases:SPEC`, SPEC being that of the one that speaks.

    Raises:
        ConfigError: there is none, or it does not go by the text.
        UnknownNameError: no synthesizer of that name.
    """
    from tts_eval.synthesizers import load_synthesizer

    name = argument.partition(":")[0]
    if not argument or name in (*_WHOLE_FILES, "phrases"):
        problem = f"'{name}' cannot speak phrases" if argument else "it needs a synthesizer that speaks"
        raise ConfigError([f"Synthesizer 'phrases': {problem}; write for example phrases:piper."])
    return PhraseSynthesizer(load_synthesizer(argument))


def phrases_of(text: str) -> list[str]:
    """The text cut after punctuation, in pieces that have words and are not too short."""
    ends = [match.start() for match in _BREAK.finditer(text) if not _ABBREVIATION.search(text[: match.start()])]
    phrases: list[str] = []
    start = 0
    for end in ends:
        if _is_long_enough(text[start:end]):
            phrases.append(text[start:end].strip())
            start = end
    rest = text[start:]
    if not phrases or _is_long_enough(rest):
        return [*phrases, rest.strip()]
    return [*phrases[:-1], f"{phrases[-1]}{rest.rstrip()}"]


def _is_long_enough(phrase: str) -> bool:
    letters = [mark for mark in phrase if mark.isalnum()]
    size = len(phrase.strip()) + _MORE_PER_IDEOGRAPH * len(_IDEOGRAPHS.findall(phrase))
    return bool(letters) and size >= SHORTEST


class PhraseSynthesizer:
    """Says a text in phrases by another synthesizer."""

    name = "phrases"
    step_seconds = 3.0
    """A phrase of `mini` has 46 characters."""
    most_rows = 256

    def __init__(self, speaker: Synthesizer) -> None:
        self._speaker = speaker
        self.limits = limits_of(speaker)
        self.revision = f"1:{speaker.name}:{speaker.revision}" if speaker.revision else ""

    def generate(self, jobs: Sequence[Job]) -> list[Candidate]:
        """One candidate per job: its phrases, one after the other."""
        generation = self.begin(jobs)
        generation.advance(max((len(row.phrases) for row in generation.rows), default=0))
        return generation.audio()

    def begin(self, jobs: Sequence[Job]) -> PhraseGeneration:
        """Rows that have said nothing yet."""
        return PhraseGeneration(
            self._speaker, [Row(job=job, seed=job.seed, phrases=tuple(phrases_of(job.request.text))) for job in jobs]
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Row:
    """One row and the phrases that it has said."""

    job: Job
    seed: int
    """Of what it says from now on."""
    phrases: tuple[str, ...]
    said: tuple[Candidate, ...] = ()

    @property
    def finish(self) -> FinishReason | None:
        """How it ended; None while it goes on. A phrase that was cut or went round in circles is not forgotten."""
        ends = [candidate.finish for candidate in self.said]
        if FinishReason.FAILED in ends:
            return FinishReason.FAILED
        if len(ends) == len(self.phrases):
            return next((end for end in ends if end is not FinishReason.EOS), FinishReason.EOS)
        return FinishReason.LENGTH if self.seconds_left <= PAUSE_SECONDS else None

    @property
    def seconds_left(self) -> float:
        """How long the next phrase may get."""
        clips = [candidate.clip for candidate in self.said if candidate.clip is not None]
        return self.job.sampling.max_seconds - sum(clip.seconds + PAUSE_SECONDS for clip in clips)

    @property
    def next_job(self) -> Job:
        """The next phrase, to be said."""
        number, request = len(self.said), self.job.request
        # What goes on with its prompt as a whole does not do so in each phrase.
        metadata = {name: value for name, value in request.metadata.items() if name != TASK}
        return replace(
            self.job,
            request=replace(request, text=self.phrases[number], metadata=metadata),
            seed=seeds.part_seed(self.seed, number),
            sampling=replace(self.job.sampling, max_seconds=self.seconds_left),
        )


class PhraseGeneration:
    """A `Generation` whose steps are phrases."""

    def __init__(self, speaker: Synthesizer, rows: Sequence[Row]) -> None:
        self.rows = list(rows)
        self._speaker = speaker
        self._forks = 0
        self._spent = Cost()

    @property
    def spent(self) -> Cost:
        """Of all phrases that were said, those of dropped rows too."""
        return self._spent

    def advance(self, steps: int) -> None:
        """Every live row says up to `steps` more phrases; all rows together in one call per phrase."""
        for _ in range(steps):
            live = [index for index, row in enumerate(self.rows) if row.finish is None]
            if not live:
                return
            said = self._speaker.generate([self.rows[index].next_job for index in live])
            for index, candidate in zip(live, said, strict=True):
                row = self.rows[index]
                self.rows[index] = replace(row, said=(*row.said, candidate))
                self._spent += candidate.cost

    def select(self, rows: Sequence[int]) -> None:
        """Go on with these rows; copies of a live one say the coming phrases otherwise."""
        self._forks += 1
        copies: Counter[int] = Counter()
        chosen = []
        for index in rows:
            row = self.rows[index]
            if copies[index] and row.finish is None:
                row = replace(row, seed=seeds.forked_seed(row.seed, self._forks, copies[index]))
            copies[index] += 1
            chosen.append(row)
        self.rows = chosen

    def branch(self) -> PhraseGeneration:
        """The same rows again; what they say from here on costs them alone."""
        twin = PhraseGeneration(self._speaker, self.rows)
        twin._forks = self._forks  # else its first copies would repeat the seeds of ours
        return twin

    def finished(self) -> list[FinishReason | None]:
        """How each row ended; None for a live one."""
        return [row.finish for row in self.rows]

    def audio(self) -> list[Candidate]:
        """What each row says so far."""
        return [_joined(row) for row in self.rows]


def _joined(row: Row) -> Candidate:
    """The phrases of a row as one candidate; one that failed makes it fail."""
    failed = next((candidate for candidate in row.said if candidate.failure is not None), None)
    clips = [candidate.clip for candidate in row.said if candidate.clip is not None]
    clip = _with_pauses(clips, row.job.sampling.max_seconds) if clips else Clip(np.zeros(0, np.float32), RATE)
    return Candidate(
        index=row.job.index,
        seed=row.seed,
        sampling=row.job.sampling,
        finish=row.finish or FinishReason.LENGTH,
        clip=None if failed else clip,
        cost=sum((candidate.cost for candidate in row.said), Cost()),
        failure=failed.failure if failed else None,
    )


def _with_pauses(clips: Sequence[Clip], max_seconds: float) -> Clip:
    rate = clips[0].rate
    pause = np.zeros(int(PAUSE_SECONDS * rate), np.float32)
    pieces = [piece for clip in clips for piece in (pause, clip.at(rate))][1:]
    return Clip(np.concatenate(pieces)[: int(max_seconds * rate)], rate)
