"""A corpus as the language model reads it: per clip its phonemes, its codec tokens, and which token says which.

All of it is made once per codec.
Parts are files with the codes of some clips; a part is complete or absent, and calling again adds one
with what is new, so a corpus may grow while a model is trained on it.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from tts_eval.files import write_atomically
from tts_eval.phonemes import LETTERS, phonemize, speech_sounds
from tts_eval.recipes.clips import ClipStore
from tts_eval.recipes.corpus import Utterance
from tts_eval.recipes.phoneme_head import PhonemeHead, align, sound_numbers
from tts_eval.synthesizers.nano_codec import RATE, NanoCodec

logger = logging.getLogger(__name__)

BATCH_SECONDS = 120.0


@dataclass(frozen=True, slots=True, eq=False)
class CodedClip:
    """One clip as text and tokens."""

    speaker: str
    phonemes: str
    codes: np.ndarray
    """int32 [frames]."""
    places: np.ndarray
    """Which of the phonemes each code belongs to, int32 [frames]; -1 where that is not known."""


def phonemes_by_id(utterances: Iterable[Utterance]) -> dict[str, str]:
    """The phonemes of every utterance, by its id, written as they will be at inference.

    Corpora bring phonemes along, but of other versions of espeak-ng; a model must read what it will be given.
    """
    return {utterance.id: phonemize(utterance.text) for utterance in utterances}


def coded_clips(store: ClipStore, phonemes: Mapping[str, str], encoder: SpeechEncoder, folder: Path) -> list[CodedClip]:
    """Every clip of `store` whose utterance has phonemes; what `folder` lacks is made and added."""
    texts = {clip.key: phonemes.get(clip.key.rpartition("@")[0], "") for clip in store.clips}
    known = {key: coded for key, coded in _read_parts(folder).items() if coded.phonemes == texts.get(key)}
    missing = [index for index, clip in enumerate(store.clips) if texts[clip.key] and clip.key not in known]
    if missing:
        logger.info("encoding %d clips", len(missing))
        codes = encoder.encode(store, missing)
        made = {
            clip.key: CodedClip(clip.speaker, texts[clip.key], row, encoder.places(row, texts[clip.key]))
            for clip, row in zip((store.clips[index] for index in missing), codes, strict=True)
        }
        _write_part(folder, made)
        known |= made
    return [known[clip.key] for clip in store.clips if texts[clip.key]]


@dataclass(frozen=True, slots=True, eq=False)
class SpeechEncoder:
    """A codec, and the head that says where each phoneme is."""

    codec: NanoCodec
    head: PhonemeHead
    device: torch.device

    def encode(self, store: ClipStore, indices: Sequence[int]) -> list[np.ndarray]:
        """Codes, int32 [frames], of each of the clips."""
        made: dict[int, np.ndarray] = {}
        order = sorted(indices, key=lambda index: store.clips[index].samples)
        while order:
            longest = store.clips[order[-1]].samples
            batch = order[-max(1, int(BATCH_SECONDS * RATE / longest)) :]
            del order[-len(batch) :]
            audio = np.zeros((len(batch), longest), np.float32)
            for row, index in enumerate(batch):
                audio[row, : store.clips[index].samples] = store.audio(index)
            codes = self.codec.encode(torch.from_numpy(audio).to(self.device)).cpu().numpy().astype(np.int32)
            for row, index in enumerate(batch):
                made[index] = codes[row, : -(-store.clips[index].samples // self.codec.config.hop)]
        return [made[index] for index in indices]

    @torch.inference_mode()
    def places(self, codes: np.ndarray, phonemes: str) -> np.ndarray:
        """Which symbol of `phonemes` each code belongs to, int32 [frames]; -1 where they cannot be aligned."""
        points = self.codec.quantiser.points(torch.from_numpy(codes.astype(np.int64)).to(self.device))
        sounds = align(self.head(points[None])[0].cpu().numpy(), sound_numbers(speech_sounds(phonemes)))
        if sounds is None:
            return np.full(len(codes), -1, np.int32)
        letters = np.array([place for place, symbol in enumerate(phonemes) if symbol in LETTERS], np.int32)
        places: np.ndarray = letters[sounds]
        return places


def _write_part(folder: Path, clips: Mapping[str, CodedClip]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    names = [(key, clip.speaker, clip.phonemes, len(clip.codes)) for key, clip in clips.items()]
    part = folder / f"part-{len(list(folder.glob('part-*.npz'))):04}.npz"
    write = partial(
        np.savez,
        names=np.frombuffer(json.dumps(names).encode(), dtype=np.uint8),
        codes=np.concatenate([clip.codes for clip in clips.values()]),
        places=np.concatenate([clip.places for clip in clips.values()]),
    )
    write_atomically(part, lambda path: _write_npz(path, write))


def _write_npz(path: Path, write: partial[None]) -> None:
    with path.open("wb") as sink:
        write(sink)


def _read_parts(folder: Path) -> dict[str, CodedClip]:
    found: dict[str, CodedClip] = {}
    for part in sorted(folder.glob("part-*.npz")):
        with np.load(part, allow_pickle=False) as arrays:
            names = json.loads(arrays["names"].tobytes())
            ends = np.cumsum([length for *_, length in names])[:-1]
            split = zip(np.split(arrays["codes"], ends), np.split(arrays["places"], ends), strict=True)
            found |= {
                key: CodedClip(speaker, phonemes, codes, places)
                for (key, speaker, phonemes, _), (codes, places) in zip(names, split, strict=True)
            }
    return found
