"""Is the clip as long as its text? Pace, pauses and clipping, measured on the signal; no model.

Measures what a search can be fooled by: speech that stops early, runs on, stalls or is clipped
(`verifiers.guards` makes yes or no of it). `plausibility` lies in [0, 1], so that it can be added to
other verifiers. The limits are those of English; text that is not mostly Latin letters is not judged.

A clip without the ups and downs of speech (`verifiers.levels`) fails as silent: noise of the right length is no good
clip. Length of a text: one per letter, four per digit ("zero" to "nine" have four letters on average).
Speech: from the first to the last 20 ms frame within 40 dB of the loudest frame.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tts_eval.audio import Clip
from tts_eval.errors import ConfigError
from tts_eval.types import Failure, FailureKind, Item, Metric, Score
from verifiers.judging import Judgement, clip_of, score_items
from verifiers.levels import active_frames, frame_samples, no_voice

FULL_SCALE = 32767.0 / 32768.0
"""The largest sample of a 16-bit file."""
LETTERS_PER_DIGIT = 4

# 0.5 and 99.5 percentiles of seconds per character: LibriSpeech train-clean-5 and test-clean (287
# utterances of 3-10.5 s) 0.0483 and 0.1630; 4,508 clips of Kokoro-82M with 28 voices 0.0489 and
# 0.1164. The window is the wider of the two.
FASTEST = 0.048
SLOWEST = 0.163
SHORTEST_TEXT = 9
"""Shortest text of those sets; below it a clip may be as long as one of this length."""

HALVES_AT = 1.5
"""Factor beyond the window at which plausibility is one half."""
FAR_OUTSIDE = 2.0
"""Factor beyond the window at which a clip is called runaway or truncated."""
FAR_TOO_CLIPPED = 1e-3
"""Share of clipped samples that is flagged: ten times the most found in 6,000 clips of the sets above."""


@dataclass(frozen=True, slots=True)
class Signal:
    """What the signal says without the text."""

    speech_seconds: float
    """From the first to the last frame that is not silent."""
    longest_pause: float
    """Seconds of the longest silence within the speech."""
    silence: float
    """Share of silent frames, leading and trailing ones included."""
    clipping: float
    """Share of samples at full scale."""


def create(argument: str) -> DurationVerifier:
    """`duration`; it has no argument.

    Raises:
        ConfigError: there is one.
    """
    if argument:
        raise ConfigError([f"Verifier 'duration' takes no argument, got '{argument}'; write 'duration'."])
    return DurationVerifier()


class DurationVerifier:
    """Plausible pace first; the value `seconds_per_character` comes along for tables of pace."""

    name = "duration"
    version = "2"
    judge = "signal"
    supports_partial = False
    gives = ()
    metrics = (
        Metric(name="plausibility", higher_is_better=True, worst=0.0, protocol="pace@1"),
        Metric(name="clipping", higher_is_better=False, worst=1.0, unit="rate", protocol="full-scale@1"),
        Metric(name="silence", higher_is_better=False, worst=1.0, unit="rate", protocol="silence-40db@1"),
        Metric(name="longest_pause", higher_is_better=False, worst=10.0, unit="seconds", protocol="silence-40db@1"),
    )

    def score(self, items: Sequence[Item]) -> list[Score]:
        """One score per item; details name what is far outside: `runaway`, `truncated`, `clipped`."""
        return score_items(self, items, lambda good: [_judge_one(item) for item in good])


def spoken_characters(text: str) -> int:
    """Length of a text as it is spoken: letters, and four for each digit; 0 when it is not mostly Latin script."""
    letters = [mark for mark in text if mark.isalpha()]
    latin = sum(unicodedata.name(mark, "").startswith("LATIN") for mark in letters)
    if 2 * latin < len(letters):
        return 0
    return latin + LETTERS_PER_DIGIT * sum(mark.isdecimal() for mark in text)


def plausibility(seconds: float, characters: int) -> float:
    """1 within the window of seconds for so many characters, falling to 0 with the square of the log of the factor."""
    beyond = np.log(max(_factor_beyond(seconds, characters), 1.0)) / np.log(HALVES_AT)
    return float(2.0 ** -(beyond**2))


def measure(clip: Clip) -> Signal:
    """The signal of a clip that has a sample above zero."""
    active = active_frames(clip)
    first, last = np.flatnonzero(active)[[0, -1]]
    inside = active[first : last + 1]
    gaps = np.diff(np.flatnonzero(inside)) - 1
    frame = frame_samples(clip.rate)
    return Signal(
        speech_seconds=(min((int(last) + 1) * frame, len(clip.samples)) - int(first) * frame) / clip.rate,
        longest_pause=float(gaps.max(initial=0)) * frame / clip.rate,
        silence=1.0 - float(active.mean()),
        clipping=float(np.mean(np.abs(clip.samples) >= FULL_SCALE)),
    )


def _judge_one(item: Item) -> Judgement | Failure:
    characters = spoken_characters(item.request.text)
    if not characters:
        message = f"The text {item.request.text!r} has no letters or digits of Latin script to compare the length with."
        return Failure(FailureKind.NO_REFERENCE, message)
    clip = clip_of(item)
    if failure := no_voice(clip):
        return failure
    signal = measure(clip)
    values = {
        "plausibility": plausibility(signal.speech_seconds, characters),
        "clipping": signal.clipping,
        "silence": signal.silence,
        "longest_pause": signal.longest_pause,
        "seconds_per_character": signal.speech_seconds / characters,
    }
    return Judgement(values, _flags(signal, characters))


def runaway(signal: Signal, characters: int) -> str:
    """Why there is far too much speech for a text of so many characters, or ""."""
    _, slowest = _window(characters)
    much = signal.speech_seconds > FAR_OUTSIDE * slowest
    return f"{_spoken(signal, characters)}; at most {slowest:.2f} s is usual" if much else ""


def truncated(signal: Signal, characters: int) -> str:
    """Why there is far too little speech for a text of so many characters, or ""."""
    fastest, _ = _window(characters)
    little = signal.speech_seconds < fastest / FAR_OUTSIDE
    return f"{_spoken(signal, characters)}; at least {fastest:.2f} s is usual" if little else ""


def clipped(signal: Signal) -> str:
    """Why the clip is overloaded, or ""."""
    return f"{signal.clipping:.2%} of the samples are at full scale" if signal.clipping > FAR_TOO_CLIPPED else ""


def _flags(signal: Signal, characters: int) -> dict[str, str]:
    found = {
        "runaway": runaway(signal, characters),
        "truncated": truncated(signal, characters),
        "clipped": clipped(signal),
    }
    return {name: message for name, message in found.items() if message}


def _spoken(signal: Signal, characters: int) -> str:
    return f"{signal.speech_seconds:.2f} s of speech for {characters} characters"


def _window(characters: int) -> tuple[float, float]:
    return FASTEST * characters, SLOWEST * max(characters, SHORTEST_TEXT)


def _factor_beyond(seconds: float, characters: int) -> float:
    fastest, slowest = _window(characters)
    return max(fastest / seconds, seconds / slowest)
