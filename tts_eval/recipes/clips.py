"""A corpus as training reads it: levelled 16-bit samples in one memory map, and a voice per clip.

`prepare` decodes each utterance once, at each playing speed: a voice played 10 % faster is higher
and has a shorter throat, which makes three speakers out of one. Each clip gets the GE2E embedding of
its middle few seconds. The result is a shard that is complete when its folder exists; calling again
adds a shard with what is new, so a corpus may grow.
"""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tts_eval import weights
from tts_eval.audio import read_audio, to_pcm16
from tts_eval.errors import AudioError, DataError
from tts_eval.execution import batched
from tts_eval.files import TEMPORARY_PREFIX, next_number
from tts_eval.ge2e import GE2EEncoder
from tts_eval.phonemes import speech_sounds
from tts_eval.recipes.corpus import Utterance
from tts_eval.synthesizers.nano_codec import RATE, level

logger = logging.getLogger(__name__)

SHORTEST, LONGEST = 1.0, 17.0
"""Seconds; other utterances are left out."""
VOICE_SECONDS = 4.0
BATCH = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """One clip of a shard."""

    key: str
    """The utterance's id and its playing speed."""
    speaker: str
    sounds: str
    """Phonemes without stress and punctuation."""
    start: int
    samples: int
    """0 where no voice was heard."""


class _Wanted(NamedTuple):
    utterance: Utterance
    speed: float


class _Decoded(NamedTuple):
    samples: np.ndarray
    voice: np.ndarray | None


@cache
def speaker_encoder() -> GE2EEncoder:
    """The GE2E encoder, loaded once in a process.

    Raises:
        WeightsError: it has not been fetched.
    """
    return GE2EEncoder(weights.locate("ge2e-resemblyzer") / "pretrained.pt")


class ClipStore:
    """All shards under a folder, as one sequence of clips."""

    def __init__(self, folder: Path) -> None:
        """Open `folder`.

        Raises:
            DataError: `prepare` has made nothing there.
        """
        self.clips: list[Clip] = []
        self._audio: list[np.ndarray] = []
        voices = []
        for shard in sorted(folder.glob("shard-*")):
            sound = shard / "audio.int16"
            # An empty file, of a shard of silent clips, cannot be mapped.
            audio = np.memmap(sound, np.int16, mode="r") if sound.stat().st_size else np.zeros(0, np.int16)
            rows = [Clip(**row) for row in json.loads((shard / "clips.json").read_text(encoding="utf-8"))]
            heard = [index for index, clip in enumerate(rows) if clip.samples]
            self.clips += [rows[index] for index in heard]
            self._audio += [audio[clip.start : clip.start + clip.samples] for clip in self.clips[len(self._audio) :]]
            voices.append(np.load(shard / "voices.npy")[heard])
        if not self.clips:
            raise DataError(f"No clips in {folder}; expected shards that 'prepare' makes from a corpus.")
        self.voices = np.concatenate(voices)
        """GE2E embeddings, float32 [clips, 256]."""

    def audio(self, index: int) -> np.ndarray:
        """Samples at 16 kHz, float32 [T]."""
        return self._audio[index].astype(np.float32) / 32768.0


def prepare(
    utterances: Sequence[Utterance], folder: Path, *, speeds: Iterable[float] = (1.0,), processes: int = 1
) -> None:
    """Add a shard with every utterance and speed that `folder` has not got yet.

    Raises:
        AudioError: an utterance cannot be read.
        WeightsError: the speaker encoder has not been fetched.
    """
    known = {row["key"] for listing in folder.glob("shard-*/clips.json") for row in json.loads(listing.read_text())}
    wanted = [
        _Wanted(utterance, speed)
        for utterance in utterances
        for speed in speeds
        if SHORTEST <= utterance.seconds <= LONGEST and _key(utterance, speed) not in known
    ]
    if not wanted:
        return
    logger.info("preparing %d clips in %s", len(wanted), folder)
    folder.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=folder, prefix=TEMPORARY_PREFIX))
    try:
        _write_shard(wanted, scratch, processes)
        scratch.chmod(0o755)
        scratch.rename(folder / f"shard-{next_number(folder, 'shard-*'):04}")
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _write_shard(wanted: Sequence[_Wanted], folder: Path, processes: int) -> None:
    clips: list[Clip] = []
    voices: list[np.ndarray] = []
    start = 0
    chunks = list(batched(wanted, BATCH))
    with _mapped(chunks, processes) as results, (folder / "audio.int16").open("wb") as sink:
        for chunk, decoded in zip(chunks, results, strict=True):
            for (utterance, speed), (samples, voice) in zip(chunk, decoded, strict=True):
                length = 0 if voice is None else len(samples)
                sink.write(samples[:length].tobytes())
                clips.append(
                    Clip(
                        key=_key(utterance, speed),
                        speaker=utterance.speaker if speed == 1.0 else f"{utterance.speaker}@{speed:g}",
                        sounds=speech_sounds(utterance.phonemes),
                        start=start,
                        samples=length,
                    )
                )
                voices.append(np.zeros(256, np.float32) if voice is None else voice)
                start += length
    np.save(folder / "voices.npy", np.stack(voices))
    (folder / "clips.json").write_text(json.dumps([asdict(clip) for clip in clips]), encoding="utf-8")


@contextmanager
def _mapped(chunks: Sequence[Sequence[_Wanted]], processes: int) -> Iterator[Iterator[list[_Decoded]]]:
    if processes <= 1:
        yield map(_decode, chunks)
        return
    # Spawned: a forked child would inherit torch's threads in whatever state they are.
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn"), initializer=_single_thread) as pool:
        yield pool.map(_decode, chunks)


def _single_thread() -> None:
    import torch

    torch.set_num_threads(1)


def _decode(chunk: Sequence[_Wanted]) -> list[_Decoded]:
    samples = [level(_played(utterance, speed)) for utterance, speed in chunk]
    voices = speaker_encoder().embed([_middle(clip) for clip in samples])
    return [_Decoded(to_pcm16(clip), voice) for clip, voice in zip(samples, voices, strict=True)]


def _played(utterance: Utterance, speed: float) -> np.ndarray:
    import soxr

    clip = read_audio(utterance.path)
    if not clip.is_finite:
        raise AudioError(f"{utterance.path} holds samples that are not numbers. Remove it, or make it again.")
    if speed == 1.0:
        return clip.at(RATE)
    played: np.ndarray = soxr.resample(clip.samples, clip.rate * speed, RATE).astype(np.float32)
    return played


def _middle(samples: np.ndarray) -> np.ndarray:
    spare = max(0, len(samples) - int(VOICE_SECONDS * RATE))
    return samples[spare // 2 : len(samples) - spare // 2]


def _key(utterance: Utterance, speed: float) -> str:
    return f"{utterance.id}@{speed:g}"
