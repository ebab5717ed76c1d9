"""Verifiers without a model, for tests of searches: they measure the tones of the fake synthesizer.

`fake` measures how far the pitch strays; `fake:NOISE` adds a seeded error to that, so that two of
them disagree as real judges do; `fake:NOISE:SECONDS` sleeps so long over each clip, as a model on another device
would. A request whose metadata has `fake_verifier: raise` makes it raise;
with `fake_verifier: exit` it takes its process along, and with `fake_verifier: undecided` it says of
unfinished speech that it cannot tell yet.
"""

from __future__ import annotations

import hashlib
import math
import os
import time
from collections.abc import Sequence

import numpy as np

from tts_eval.errors import ConfigError
from tts_eval.synthesizers.fake import WORD_SECONDS
from tts_eval.types import Failure, FailureKind, Item, Metric, Score
from verifiers.judging import Judgement, clip_of, score_items


def create(argument: str) -> FakeVerifier:
    """`fake`, `fake:NOISE` or `fake:NOISE:SECONDS`."""
    noise, _, seconds = argument.partition(":")
    try:
        made = FakeVerifier(float(noise or 0.0), float(seconds or 0.0))
    except ValueError:
        made = None
    if made is None or not 0.0 <= made.seconds < math.inf:
        raise ConfigError(
            [f"Verifier 'fake' takes a number (fake:0.5), and seconds per clip (fake:0.5:0.01), got '{argument}'."]
        )
    return made


class FakeVerifier:
    """Mean absolute deviation of the zero-crossing rate from that of 220 Hz."""

    name = "fake"
    version = "1"
    supports_partial = True
    metrics = (Metric(name="stray", higher_is_better=False, worst=1.0, protocol="fake@1"),)

    def __init__(self, noise: float = 0.0, seconds: float = 0.0) -> None:
        self._noise, self.seconds = noise, seconds
        self.judge = f"zero-crossings:{noise:g}"

    def score(self, items: Sequence[Item]) -> list[Score]:
        """One score per item; lower is better."""
        return score_items(self, items, self._judge)

    def _judge(self, items: Sequence[Item]) -> list[Judgement | Failure]:
        return [self._one(item) for item in items]

    def _one(self, item: Item) -> Judgement | Failure:
        if item.request.metadata.get("fake_verifier") == "raise":
            raise RuntimeError("asked to fail")
        if item.request.metadata.get("fake_verifier") == "exit":
            os._exit(1)
        if item.partial and item.request.metadata.get("fake_verifier") == "undecided":
            return Failure(FailureKind.UNDECIDED, f"Of '{item.request.id}' too little has been said.")
        if self.seconds:
            time.sleep(self.seconds)
        clip = clip_of(item)
        said = round(clip.seconds / WORD_SECONDS) if item.partial else len(item.request.text.split())
        words = np.array_split(clip.samples, max(said, 1))
        crossings = [np.count_nonzero(np.diff(np.signbit(word))) / 2 / (len(word) / clip.rate) for word in words]
        stray = float(np.mean(np.abs(np.array(crossings) / 220.0 - 1.0)))
        seed = hashlib.sha256(f"{clip.sha256}{self._noise}".encode()).digest()
        error = np.random.default_rng(int.from_bytes(seed[:8], "big")).standard_normal()
        return Judgement({"stray": min(max(stray + self._noise * 0.05 * error, 0.0), 1.0)})
