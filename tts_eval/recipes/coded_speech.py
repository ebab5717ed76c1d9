"""A corpus as the language model reads it: per clip its phonemes and its codec tokens, made once per codec.

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
from tts_eval.phonemes import phonemize
from tts_eval.recipes.clips import ClipStore
from tts_eval.recipes.corpus import Utterance
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


def phonemes_by_id(utterances: Iterable[Utterance]) -> dict[str, str]:
    """The phonemes of every utterance, by its id, written as they will be at inference.

    Corpora bring phonemes along, but of other versions of espeak-ng; a model must read what it will be given.
    """
    return {utterance.id: phonemize(utterance.text) for utterance in utterances}


def coded_clips(
    store: ClipStore, phonemes: Mapping[str, str], codec: NanoCodec, folder: Path, device: torch.device
) -> list[CodedClip]:
    """Every clip of `store` whose utterance has phonemes; codes that `folder` lacks are made and added."""
    known = _read_parts(folder)
    missing = [index for index, clip in enumerate(store.clips) if clip.key not in known]
    if missing:
        logger.info("encoding %d clips", len(missing))
        codes = dict(
            zip((store.clips[index].key for index in missing), _encode(store, missing, codec, device), strict=True)
        )
        _write_part(folder, codes)
        known |= codes
    return [
        CodedClip(clip.speaker, text, known[clip.key])
        for clip in store.clips
        if (text := phonemes.get(clip.key.rpartition("@")[0], ""))
    ]


def _encode(store: ClipStore, indices: Sequence[int], codec: NanoCodec, device: torch.device) -> list[np.ndarray]:
    hop = codec.config.hop
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
            made[index] = codes[row, : -(-store.clips[index].samples // hop)]
    return [made[index] for index in indices]


def _write_part(folder: Path, codes: Mapping[str, np.ndarray]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    keys = np.frombuffer(json.dumps(list(codes)).encode(), dtype=np.uint8)
    lengths = np.array([len(row) for row in codes.values()])
    part = folder / f"part-{len(list(folder.glob('part-*.npz'))):04}.npz"
    write = partial(np.savez, keys=keys, lengths=lengths, codes=np.concatenate(list(codes.values())))
    write_atomically(part, lambda path: _write_npz(path, write))


def _write_npz(path: Path, write: partial[None]) -> None:
    with path.open("wb") as sink:
        write(sink)


def _read_parts(folder: Path) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    for part in sorted(folder.glob("part-*.npz")):
        with np.load(part, allow_pickle=False) as arrays:
            keys = json.loads(arrays["keys"].tobytes())
            found |= dict(zip(keys, np.split(arrays["codes"], np.cumsum(arrays["lengths"])[:-1]), strict=True))
    return found
