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

from tts_eval.files import next_number, write_atomically
from tts_eval.phonemes import phonemize
from tts_eval.recipes.clips import ClipStore
from tts_eval.recipes.corpus import Utterance
from tts_eval.synthesizers.nano_codec import RATE, NanoCodec
from tts_eval.synthesizers.phoneme_alignment import PhonemeAligner

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
    """Which symbol of the phonemes each code belongs to, int32 [frames]."""


def phonemes_by_id(utterances: Iterable[Utterance]) -> dict[str, str]:
    """The phonemes of every utterance, by its id, written as they will be at inference.

    Corpora bring phonemes along, but of other versions of espeak-ng; a model must read what it will be given.
    """
    return {utterance.id: phonemize(utterance.text) for utterance in utterances}


def coded_clips(
    store: ClipStore, phonemes: Mapping[str, str], codec: NanoCodec, aligner: PhonemeAligner, folder: Path
) -> list[CodedClip]:
    """Every clip of `store` whose utterance has phonemes that can be found in it; what `folder` lacks is added."""
    texts = {clip.key: phonemes.get(clip.key.rpartition("@")[0], "") for clip in store.clips}
    known = {key: coded for key, coded in _read_parts(folder).items() if coded.phonemes == texts.get(key)}
    missing = [index for index, clip in enumerate(store.clips) if texts[clip.key] and clip.key not in known]
    if missing:
        logger.info("encoding %d clips", len(missing))
        made = {}
        for index, codes in zip(missing, encode(store, missing, codec), strict=True):
            clip = store.clips[index]
            places = aligner.places(codes, texts[clip.key])
            # Kept without places, so that it is not tried again.
            made[clip.key] = CodedClip(
                clip.speaker, texts[clip.key], codes, np.zeros(0, np.int32) if places is None else places
            )
        _write_part(folder, made)
        known |= made
    coded = [known[clip.key] for clip in store.clips if texts[clip.key]]
    found = [clip for clip in coded if len(clip.places)]
    if len(found) < len(coded):
        logger.warning(
            "%d of %d clips left out: their text does not fit into them", len(coded) - len(found), len(coded)
        )
    return found


def encode(store: ClipStore, indices: Sequence[int], codec: NanoCodec) -> list[np.ndarray]:
    """Codes, int32 [frames], of each of the clips."""
    device = next(codec.parameters()).device
    made: dict[int, np.ndarray] = {}
    order = sorted(indices, key=lambda index: store.clips[index].samples)
    while order:
        longest = store.clips[order[-1]].samples
        batch = order[-max(1, int(BATCH_SECONDS * RATE / longest)) :]
        del order[-len(batch) :]
        audio = np.zeros((len(batch), longest), np.float32)
        for row, index in enumerate(batch):
            audio[row, : store.clips[index].samples] = store.audio(index)
        codes = codec.encode(torch.from_numpy(audio).to(device)).cpu().numpy().astype(np.int32)
        for row, index in enumerate(batch):
            made[index] = codes[row, : -(-store.clips[index].samples // codec.config.hop)]
    return [made[index] for index in indices]


def _write_part(folder: Path, clips: Mapping[str, CodedClip]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    names = [(key, clip.speaker, clip.phonemes, len(clip.codes), len(clip.places)) for key, clip in clips.items()]
    part = folder / f"part-{next_number(folder, 'part-*.npz'):04}.npz"
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
            codes, places = (
                np.split(arrays[name], np.cumsum([row[column] for row in names])[:-1])
                for name, column in (("codes", 3), ("places", 4))
            )
            found |= {
                key: CodedClip(speaker, phonemes, codes[row], places[row])
                for row, (key, speaker, phonemes, *_) in enumerate(names)
            }
    return found
