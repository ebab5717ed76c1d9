"""Is there anything obviously wrong with the clip? Five guards, no model; each names what it found.

    silent      nobody speaks for `LONGEST_SILENCE` seconds on end, at the start, within or at the end, or at all:
                hiss or hum (`verifiers.levels`)
    clipped     more samples at full scale than real recordings have
    runaway     speech goes on for twice the longest that the text should take
    repetition  the model went round in circles: it says so, or its codes or its sound do (`verifiers.loops`)
    truncated   generation hit its limit, the sound breaks off, or speech is half the shortest that the text takes

`clean` is 1 when no guard speaks up and 0 otherwise, for hard constraints and for the share of good clips;
the details hold the flags. Unfinished candidates are judged on the fly, from `PARTIAL_SECONDS` on: all guards but
`truncated`. Pace is not judged for text that is not mostly Latin letters (see `verifiers.duration`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tts_eval.audio import Clip
from tts_eval.errors import ConfigError
from tts_eval.types import FinishReason, Item, Metric, Score
from verifiers import duration
from verifiers.judging import Judgement, clip_of, score_items
from verifiers.levels import FRAME_SECONDS, active_frames, frame_samples, steady
from verifiers.loops import code_loop, longest_run, sound_loop

PARTIAL_SECONDS = 1.0
"""Of an unfinished candidate, less than this is undecided: many begin with a silence."""
LONGEST_SILENCE = 2.0
"""Seconds; the longest of 287 LibriSpeech utterances and 300 Kokoro clips is 1.44. No guard objects to any of them."""
LOUDEST_END_DB = -15.0
"""Last 20 ms, relative to the loudest 20 ms; of those clips the loudest end is at -21.6 dB, while half of the
LibriSpeech utterances cut at random end louder than this."""


def create(argument: str) -> GuardsVerifier:
    """`guards`; it has no argument.

    Raises:
        ConfigError: there is one.
    """
    if argument:
        raise ConfigError([f"Verifier 'guards' takes no argument, got '{argument}'; write 'guards'."])
    return GuardsVerifier()


class GuardsVerifier:
    """1 for a clip that no guard objects to."""

    name = "guards"
    version = "2"
    judge = "signal"
    supports_partial = True
    gives = ()
    metrics = (Metric(name="clean", higher_is_better=True, worst=0.0, unit="rate", protocol="guards@2"),)

    def score(self, items: Sequence[Item]) -> list[Score]:
        """One score per item; details name the guards that object, and why."""
        return score_items(
            self, items, lambda good: [_judge_one(item) for item in good], partial_seconds=PARTIAL_SECONDS
        )


def _judge_one(item: Item) -> Judgement:
    found = flags(item)
    return Judgement({"clean": 0.0 if found else 1.0}, found)


def flags(item: Item) -> dict[str, str]:
    """The guards that object to a clip with a sample above zero, and why."""
    clip = clip_of(item)
    signal = duration.measure(clip)
    characters = duration.spoken_characters(item.request.text)
    found = {
        "silent": steady(clip) or _silent(clip),
        "clipped": duration.clipped(signal),
        "runaway": duration.runaway(signal, characters) if characters else "",
        "repetition": _repetition(item),
    }
    if not item.partial:
        too_fast = duration.truncated(signal, characters) if characters else ""
        found["truncated"] = _cut_off(item) or too_fast
    return {name: message for name, message in found.items() if message}


def end_level(clip: Clip) -> float:
    """Decibels of the last 20 ms relative to the loudest 20 ms."""
    frame = min(frame_samples(clip.rate), len(clip.samples))
    total = np.concatenate(([0.0], np.cumsum(np.square(clip.samples, dtype=np.float64))))
    energy = total[frame:] - total[:-frame]
    return float(10.0 * np.log10(max(energy[-1] / energy.max(), 1e-12)))


def _silent(clip: Clip) -> str:
    _, frames = longest_run(~active_frames(clip))
    seconds = frames * FRAME_SECONDS
    return f"nobody speaks for {seconds:.2f} s on end" if seconds >= LONGEST_SILENCE else ""


def _repetition(item: Item) -> str:
    if item.candidate.finish is FinishReason.REPETITION:
        return "the model stopped because it repeated itself"
    clip, codes = clip_of(item), item.candidate.tokens
    if codes is not None and len(codes):
        seconds = clip.seconds / len(codes)
        active = active_frames(clip)
        middles = ((np.arange(len(codes)) + 0.5) * seconds / FRAME_SECONDS).astype(int)
        loop = code_loop(codes, seconds, active[np.minimum(middles, len(active) - 1)])
        if loop is not None:
            return f"from {loop.start:.2f} s on, the same {loop.period:.2f} s of codes come {loop.rounds:.1f} times"
    loop = sound_loop(clip)
    return f"from {loop.start:.2f} s on, the same {loop.period:.2f} s are heard {loop.rounds:.1f} times" if loop else ""


def _cut_off(item: Item) -> str:
    if item.candidate.finish is FinishReason.LENGTH:
        return "generation stopped at its limit"
    level = end_level(clip_of(item))
    return f"the clip ends at {level:.1f} dB of its loudest moment" if level >= LOUDEST_END_DB else ""
