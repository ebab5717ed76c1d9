"""Does it sound like the prompt? Cosine similarity of speaker embeddings (SIM-o).

`sim-o@1`: GE2E embedding of the candidate against that of the request's original prompt audio, or of
its ground truth where there is no prompt. The embedding has no negative parts, so the cosine lies
in [0, 1]; two different speakers typically get 0.5-0.7, so compare differences, not levels, and
never with numbers from another encoder. Works on unfinished candidates.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from tts_eval import ground_truth, weights
from tts_eval.audio import AudioSource, load_clip
from tts_eval.errors import AudioError, ConfigError
from tts_eval.ge2e import RATE, GE2EEncoder
from tts_eval.guards import audio_failure
from tts_eval.types import Failure, FailureKind, Item, Metric, Request, Score
from verifiers.judging import Judgement, clip_of, score_items

MAX_REFERENCES = 1024
"""Reference embeddings kept, 1 kB each; the least recently used goes first."""


def create(argument: str) -> SpeakerVerifier:
    """`speaker` or `speaker:ge2e`: the GE2E encoder.

    Raises:
        ConfigError: another argument.
        WeightsError: the encoder has not been fetched.
    """
    if argument not in ("", "ge2e"):
        raise ConfigError([f"Verifier 'speaker' has no encoder '{argument}'; write 'speaker' or 'speaker:ge2e'."])
    asset = "ge2e-resemblyzer"
    encoder = GE2EEncoder(weights.locate(asset) / "pretrained.pt")
    return SpeakerVerifier(encoder, f"{asset}:{weights.fingerprint(asset)}")


class SpeakerEncoder(Protocol):
    """Turns clips into directions; clips of one voice point the same way."""

    def embed(self, clips_16k: Sequence[np.ndarray]) -> list[np.ndarray | None]:
        """One vector of length 1, without negative parts, per clip at 16 kHz; None where no voice is heard."""
        ...


class SpeakerVerifier:
    """Cosine similarity to the reference voice; higher is better."""

    name = "speaker"
    version = "1"
    supports_partial = True
    metrics = (Metric(name="sim", higher_is_better=True, worst=0.0, protocol="sim-o@1"),)

    def __init__(self, encoder: SpeakerEncoder, judge: str) -> None:
        self.judge = judge
        self._encoder = encoder
        self._references: OrderedDict[str, np.ndarray | Failure] = OrderedDict()

    def score(self, items: Sequence[Item]) -> list[Score]:
        """One score per item."""
        return score_items(self, items, self._judge)

    def _judge(self, items: Sequence[Item]) -> list[Judgement | Failure]:
        keys = [_reference_key(item.request) for item in items]
        sources = {key: _reference(item.request) for key, item in zip(keys, items, strict=True)}
        embeddings = self._reference_embeddings(sources)
        references = [_judgeable(item, embeddings[key]) for item, key in zip(items, keys, strict=True)]
        # The voice of a candidate without a reference would be measured for nothing.
        asked = [index for index, reference in enumerate(references) if not isinstance(reference, Failure)]
        voices = dict(zip(asked, self._encoder.embed([clip_of(items[index]).at(RATE) for index in asked]), strict=True))
        return [_compare(reference, voices.get(index)) for index, reference in enumerate(references)]

    def _reference_embeddings(self, sources: dict[str, AudioSource | None]) -> dict[str, np.ndarray | Failure]:
        found: dict[str, np.ndarray | Failure] = {}
        clips: dict[str, np.ndarray] = {}
        for key, source in sources.items():
            if key in self._references:
                self._references.move_to_end(key)
                found[key] = self._references[key]
            else:
                loaded = _load_reference(source)
                if isinstance(loaded, Failure):
                    found[key] = loaded
                else:
                    clips[key] = loaded
        for key, embedding in zip(clips, self._encoder.embed(list(clips.values())), strict=True):
            silent = Failure(FailureKind.NO_REFERENCE, "The voice detector hears no voice in the reference audio.")
            found[key] = self._references[key] = silent if embedding is None else embedding
        while len(self._references) > MAX_REFERENCES:
            self._references.popitem(last=False)
        return found


def _judgeable(item: Item, reference: np.ndarray | Failure) -> np.ndarray | Failure:
    """The reference, unless it is the very recording that is judged."""
    prompt = item.request.prompt
    if item.candidate.index == ground_truth.INDEX and (prompt is None or prompt.audio is None):
        return Failure(FailureKind.NO_REFERENCE, "The recording is the only reference; it is not compared with itself.")
    return reference


def _reference(request: Request) -> AudioSource | None:
    if request.prompt is not None and request.prompt.audio is not None:
        return request.prompt.audio
    return request.ground_truth


def _reference_key(request: Request) -> str:
    source = _reference(request)
    if isinstance(source, Path):
        # A file that was replaced while this process lives is another reference.
        stat = source.stat() if source.is_file() else None
        return f"path:{source.resolve()}:{stat.st_mtime_ns if stat else ''}:{stat.st_size if stat else ''}"
    return f"clip:{source.sha256}" if source is not None else "none"


def _load_reference(source: AudioSource | None) -> np.ndarray | Failure:
    if source is None:
        return Failure(FailureKind.NO_REFERENCE, "The request has neither prompt audio nor ground-truth audio.")
    try:
        clip = load_clip(source)
    except AudioError as error:
        return Failure(FailureKind.NO_REFERENCE, str(error))
    failure = audio_failure(clip)
    if failure is not None:
        return Failure(FailureKind.NO_REFERENCE, f"The reference audio cannot be used: {failure.message}")
    return clip.at(RATE)


def _compare(reference: np.ndarray | Failure, voice: np.ndarray | None) -> Judgement | Failure:
    if isinstance(reference, Failure):
        return reference
    if voice is None:
        return Failure(FailureKind.SILENT, "The voice detector hears no voice in the clip.")
    return Judgement({"sim": min(float(reference @ voice), 1.0)})
