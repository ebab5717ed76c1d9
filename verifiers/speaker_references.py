"""The voices that candidates are compared with: one embedding per prompt, kept for the next batch.

A request's reference is its prompt audio, or its ground truth where there is none; a codec's resynthesis
of it is embedded along with it. A file that cannot be read is looked for again with every batch.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tts_eval.audio import AudioSource, Clip, load_clip
from tts_eval.errors import AudioError
from tts_eval.guards import audio_failure
from tts_eval.types import Failure, FailureKind, Request
from verifiers.speaker_encoder import RATE, SpeakerEncoder

MAX_REFERENCES = 1024
"""References kept, 1-2 kB for each embedding; the least recently used goes first."""

Resynthesise = Callable[[Clip], Clip]
"""A clip as a codec gives it back."""


class Voices(NamedTuple):
    """Embeddings of one reference."""

    original: np.ndarray
    resynthesised: np.ndarray | None
    """None without a codec."""


class VoiceReferences:
    """Embeds references, each once."""

    def __init__(self, encoder: SpeakerEncoder, resynthesise: Resynthesise | None = None) -> None:
        self._encoder = encoder
        self._resynthesise = resynthesise
        self._kept: OrderedDict[str, Voices | Failure] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def of(self, requests: Sequence[Request]) -> list[Voices | Failure]:
        """The voices of each request's reference, or why there are none."""
        keys = [_key(request) for request in requests]
        sources = {key: _reference(request) for key, request in zip(keys, requests, strict=True)}
        found = self._embedded(sources)
        return [found[key] for key in keys]

    def _embedded(self, sources: dict[str, AudioSource | None]) -> dict[str, Voices | Failure]:
        found: dict[str, Voices | Failure] = {}
        clips: dict[str, Clip] = {}
        for key, source in sources.items():
            if key in self._kept:
                self._kept.move_to_end(key)
                found[key] = self._kept[key]
                continue
            loaded = self._loaded(source)
            if isinstance(loaded, Failure):
                found[key] = loaded
            else:
                clips[key] = loaded
        originals = list(clips.values())
        again = [self._resynthesise(clip) for clip in originals] if self._resynthesise else []
        voices = self._encoder.embed([clip.at(RATE) for clip in (*originals, *again)])
        for position, key in enumerate(clips):
            resynthesised = voices[len(originals) + position] if again else None
            found[key] = self._kept[key] = _voices(voices[position], resynthesised, wanted=bool(again))
        while len(self._kept) > MAX_REFERENCES:
            self._kept.popitem(last=False)
        return found

    def _loaded(self, source: AudioSource | None) -> Clip | Failure:
        if source is None:
            return Failure(FailureKind.NO_REFERENCE, "The request has neither prompt audio nor ground-truth audio.")
        try:
            clip = load_clip(source)
        except AudioError as error:
            return Failure(FailureKind.NO_REFERENCE, str(error))
        failure = audio_failure(clip) or too_short(clip, self._encoder)
        if failure is not None:
            return Failure(FailureKind.NO_REFERENCE, f"The reference audio cannot be used: {failure.message}")
        return clip


def too_short(clip: Clip, encoder: SpeakerEncoder) -> Failure | None:
    """Why the encoder can do nothing with a clip, or None."""
    if len(clip.at(RATE)) >= encoder.shortest_seconds * RATE:
        return None
    message = f"The clip has {clip.seconds:.3f} s; the voice model needs {encoder.shortest_seconds:.3f} s."
    return Failure(FailureKind.SHORT, message)


def _voices(original: np.ndarray | None, resynthesised: np.ndarray | None, *, wanted: bool) -> Voices | Failure:
    if original is None:
        return Failure(FailureKind.NO_REFERENCE, "The voice detector hears no voice in the reference audio.")
    if wanted and resynthesised is None:
        return Failure(FailureKind.NO_REFERENCE, "The voice detector hears no voice in what the codec makes of it.")
    return Voices(original, resynthesised)


def _reference(request: Request) -> AudioSource | None:
    if request.prompt is not None and request.prompt.audio is not None:
        return request.prompt.audio
    return request.ground_truth


def _key(request: Request) -> str:
    source = _reference(request)
    if isinstance(source, Path):
        # A file that was replaced while this process lives is another reference.
        stat = source.stat() if source.is_file() else None
        return f"path:{source.resolve()}:{stat.st_mtime_ns if stat else ''}:{stat.st_size if stat else ''}"
    return f"clip:{source.sha256}" if source is not None else "none"
