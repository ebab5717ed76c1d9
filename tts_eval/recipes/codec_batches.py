"""What the codec learns from at each step: whole clips to encode, short windows of them to decode.

Whole clips, because only they have a transcript for the phoneme loss; windows, because decoding and
comparing spectra is what costs. Clips of one length share a batch. A batch depends on the seed and
the number of the step alone, so training resumes without remembering a random state.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from tts_eval.recipes.clips import ClipStore
from tts_eval.synthesizers.nano_codec import RATE
from tts_eval.synthesizers.phoneme_alignment import sound_numbers

NEIGHBOURS = 50
"""Clips share a batch when they are among the nearest 1/50 in length."""
GAIN_DB = 3.0
OWN_VOICE = 0.5
"""How often the voice comes from the clip itself; else from another clip of the speaker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchSize:
    """How much a step learns from."""

    seconds: float = 64.0
    """Speech encoded."""
    windows: int = 12
    """Pieces decoded."""
    window_codes: int = 40


class Batch(NamedTuple):
    """One step's material."""

    audio: Tensor
    """[B, T], padded with zeros."""
    frames: Tensor
    """Tokens per row, int64 [B]."""
    sounds: Tensor
    """Phoneme numbers from 1, int64 [B, S], padded with 0."""
    sound_counts: Tensor
    """Phonemes per row, int64 [B]."""
    rows: Tensor
    """Which row each window is from, int64 [W]."""
    places: Tensor
    """Which tokens of that row, int64 [W, codes]."""
    voices: Tensor
    """Speaker embedding for each window, [W, 256]."""

    def to(self, device: torch.device) -> Batch:
        """The batch on another device."""
        return Batch(*(tensor.to(device) for tensor in self))


class Batches:
    """The batch of any step."""

    def __init__(self, store: ClipStore, size: BatchSize, hop: int, seed: int) -> None:
        self._store, self._size, self._hop, self._seed = store, size, hop, seed
        lengths = np.array([clip.samples for clip in store.clips])
        self._order = np.argsort(lengths, kind="stable")
        sorted_lengths = lengths[self._order]
        self._share = sorted_lengths / sorted_lengths.sum()
        self._lengths = lengths
        self._same_speaker: dict[str, list[int]] = defaultdict(list)
        for index, clip in enumerate(store.clips):
            self._same_speaker[clip.speaker].append(index)

    def at(self, step: int) -> Batch:
        """The batch of step `step`."""
        random = np.random.Generator(np.random.Philox(key=[self._seed, step]))
        chosen = self._choose(random)
        frames = np.ceil(self._lengths[chosen] / self._hop).astype(np.int64)
        audio = np.zeros((len(chosen), max(int(frames.max()), self._size.window_codes) * self._hop), np.float32)
        for row, index in enumerate(chosen):
            samples = self._store.audio(index)
            audio[row, : len(samples)] = samples * 10.0 ** (random.uniform(-GAIN_DB, GAIN_DB) / 20.0)
        rows = random.choice(len(chosen), self._size.windows, p=frames / frames.sum())
        starts = random.integers(0, np.maximum(frames[rows] - self._size.window_codes, 0) + 1)
        places = starts[:, None] + np.arange(self._size.window_codes)
        voices = [self._voice(chosen[row], random) for row in rows]
        counts = [len(self._store.clips[index].sounds) for index in chosen]
        sounds = np.zeros((len(chosen), max(1, *counts)), np.int64)
        for row, index in enumerate(chosen):
            sounds[row, : counts[row]] = sound_numbers(self._store.clips[index].sounds)
        arrays = (audio, frames, sounds, np.array(counts), rows, places, np.stack(voices))
        return Batch(*(torch.from_numpy(array) for array in arrays))

    def _choose(self, random: np.random.Generator) -> np.ndarray:
        anchor = int(random.choice(len(self._order), p=self._share))
        seconds = self._lengths[self._order[anchor]] / RATE
        count = min(max(1, int(self._size.seconds / seconds)), len(self._order))
        reach = max(count, len(self._order) // NEIGHBOURS)
        first = min(max(0, anchor - reach // 2), len(self._order) - min(reach, len(self._order)))
        chosen: np.ndarray = random.choice(self._order[first : first + reach], count, replace=False)
        return chosen

    def _voice(self, index: int, random: np.random.Generator) -> np.ndarray:
        if random.random() >= OWN_VOICE:
            index = random.choice(self._same_speaker[self._store.clips[index].speaker])
        voice: np.ndarray = self._store.voices[index]
        return voice
