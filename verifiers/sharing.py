"""What verifiers share: one model per checkpoint and device, and one hearing of a clip by it.

`asr:base` and `asr:base:seed-tts@1` differ in how they compare texts, `emotion:,target=happy` and `emotion` in
whom they ask for: the model hears a clip once for both, whoever comes first, and a prompt once for all verifiers
with one voice model. What was heard is known by the samples themselves and kept for some thousand clips,
a few kB each; whoever comes second has spent no seconds.

Not shared, because scores would change or nothing is gained: the encoder passes of `asr:M`, `asr:M:exact` and
`likelihood:M`, whose windows differ (with `exact`, and with backends that know one window, a likelihood after a
transcript is free, though not the other way round); those of `emotion-nano`, which needs the layers between, where
CTranslate2 gives the last one only.
The 16 kHz array is the clip's own (`tts_eval.audio.Clip.at`).
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from typing import Generic, TypeVar

import numpy as np

from tts_eval.devices import choose_device
from tts_eval.emotions import Heard
from tts_eval.errors import ConfigError
from tts_eval.loaded import once, place_of
from verifiers import emotion_models, speaker_models
from verifiers.emotion_model import EmotionModel
from verifiers.recognition import Recogniser, Transcript, Utterance
from verifiers.speaker_models import LoadedEncoder

T = TypeVar("T")
CPU_ONLY = ("ge2e", "nano")
"""Models that run there whatever device is named."""
MOST_REMEMBERED = 4096
"""Clips per model; the least recently asked for goes first."""


class Remembered(Generic[T]):
    """What a model said, by what it was asked."""

    def __init__(self, most: int = MOST_REMEMBERED) -> None:
        self._most = most
        self._kept: OrderedDict[Hashable, T] = OrderedDict()

    def __contains__(self, key: Hashable) -> bool:
        return key in self._kept

    def of(self, keys: Sequence[Hashable], ask: Callable[[list[int]], Sequence[T]]) -> list[T]:
        """One result per key, in order.

        `ask` gets the positions of the keys that are new, each key once and all in one call; what it raises leaves
        nothing behind.
        """
        known: dict[Hashable, T] = {}
        new: dict[Hashable, int] = {}
        for position, key in enumerate(keys):
            if key in self._kept:
                self._kept.move_to_end(key)
                known[key] = self._kept[key]
            else:
                new.setdefault(key, position)
        if new:
            fresh = dict(zip(new, ask(list(new.values())), strict=True))
            known.update(fresh)
            self._kept.update(fresh)
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)
        return [known[key] for key in keys]


class SharedRecogniser:
    """A recogniser that hears an utterance once."""

    def __init__(self, recogniser: Recogniser, *, one_window: bool) -> None:
        """Remember what a recogniser hears.

        Args:
            recogniser: Who hears.
            one_window: Whether a text's log-probability is the same with a transcript and without, so that whoever
                wants it alone can have it from a hearing that gave both.
        """
        self.judge = recogniser.judge
        self.text_tokens = recogniser.text_tokens
        self._recogniser = recogniser
        self._one_window = one_window
        self._heard: Remembered[Transcript] = Remembered()

    def supports(self, language: str) -> bool:
        """Whether the model knows this two-letter language code."""
        return self._recogniser.supports(language)

    def recognise(self, utterances: Sequence[Utterance]) -> list[Transcript]:
        """One transcript per utterance, in order; only what is new is heard, in one call."""

        def hear(positions: list[int]) -> list[Transcript]:
            return self._recogniser.recognise([utterances[position] for position in positions])

        heard = self._heard.of([self._key(utterance) for utterance in utterances], hear)
        return [
            transcript if utterance.transcribe else replace(transcript, text="")
            for utterance, transcript in zip(utterances, heard, strict=True)
        ]

    def _key(self, utterance: Utterance) -> Hashable:
        asked = (_digest(utterance.audio_16k), utterance.text, utterance.language, utterance.partial)
        with_transcript = (*asked, True)
        if utterance.transcribe or (self._one_window and with_transcript in self._heard):
            return with_transcript
        return (*asked, False)


class SharedEncoder:
    """A voice model that hears a clip once."""

    def __init__(self, loaded: LoadedEncoder) -> None:
        self.judge = loaded.judge
        self.shortest_seconds = loaded.encoder.shortest_seconds
        self.lowest_cosine = loaded.encoder.lowest_cosine
        self._encoder = loaded.encoder
        self._heard: Remembered[np.ndarray | None] = Remembered()

    def embed(self, clips_16k: Sequence[np.ndarray]) -> list[np.ndarray | None]:
        """One vector of length 1 per clip at 16 kHz; only what is new is heard, in one call."""
        return self._heard.of(
            [_digest(clip) for clip in clips_16k],
            lambda positions: self._encoder.embed([clips_16k[position] for position in positions]),
        )


class SharedEmotions:
    """An emotion classifier that hears a clip once."""

    def __init__(self, model: EmotionModel) -> None:
        self.judge = model.judge
        self.emotions = model.emotions
        self.shortest_seconds = model.shortest_seconds
        self._model = model
        self._heard: Remembered[Heard] = Remembered()

    def hear(self, clips_16k: Sequence[np.ndarray]) -> list[Heard]:
        """One result per clip at 16 kHz; only what is new is heard, in one call."""
        return self._heard.of(
            [_digest(clip) for clip in clips_16k],
            lambda positions: self._model.hear([clips_16k[position] for position in positions]),
        )


def shared_encoder(model: str, device: str = "") -> SharedEncoder:
    """`verifiers.speaker_models.load_encoder`, each checkpoint once; raises the same."""
    load, model = speaker_models.load_encoder, model or "ge2e"
    return once(lambda: SharedEncoder(load(model, device)), load, *_place(model, device))


def shared_emotions(model: str, device: str = "") -> SharedEmotions:
    """`verifiers.emotion_models.load_model`, each checkpoint once; raises the same."""
    load, model = emotion_models.load_model, model or "nano"
    return once(lambda: SharedEmotions(load(model, device)), load, *_place(model, device))


def _place(model: str, device: str) -> tuple[Hashable, ...]:
    if model not in CPU_ONLY:
        return (place_of(model), str(choose_device(device)))
    if device not in ("", "cpu"):
        raise ConfigError([f"The model '{model}' runs on the CPU only; drop device={device}."])
    return (model,)


def _digest(samples: np.ndarray) -> bytes:
    """A third of a millisecond for 5 s; models take a hundred times as long."""
    return hashlib.blake2b(np.ascontiguousarray(samples).data, digest_size=16).digest()
