"""What the language model learns from at each step: sentences of one voice in a row, word by word.

    TEXT_START phonemes TEXT_END SPEECH_START word codes END word codes END ...

As Llasa writes it, but that each word stands once more right before the codes that say it, up to an end
mark: the model need not find its place in the text, which takes a thousand times the speech that we
have. Only codes and ends are to be predicted. A sequence holds one to a few sentences of the same
speaker, texts first and speech after, which is just what a prompt with its transcript followed by a new
text looks like: cloning is never trained apart. Some of the codes that the model hears are replaced at
random, so that it trusts the text rather than what it said itself. A batch depends on the seed and
the number of the step alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from tts_eval.recipes.coded_speech import CodedClip
from tts_eval.synthesizers.llasa.words import split_words

WIDTHS = 32
"""Batches are a multiple of this wide: a CPU keeps kernels, and memory, for every shape that it has met."""
IGNORED = -100
"""Label of what is not to be predicted (torch's cross-entropy leaves it out)."""
CANDIDATES = 4
"""Times as many sequences are drawn as a batch takes; neighbours in length are kept, so little is padding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceSettings:
    """How sequences are made."""

    tokens: int = 4096
    """Of a batch, padding included."""
    longest: int = 512
    """Tokens of a sequence."""
    shortest_first_steps: int = 0
    """Over these first steps the longest sequence grows from a quarter to all of `longest`."""
    joined: float = 0.5
    """Share of sequences of more than one sentence."""
    code_noise: float = 0.1
    """Share of heard codes that are replaced."""

    def longest_at(self, step: int) -> int:
        """Tokens of the longest sequence of a step."""
        if step >= self.shortest_first_steps:
            return self.longest
        return int(self.longest * (0.25 + 0.75 * step / self.shortest_first_steps))


class Vocabulary(NamedTuple):
    """Token ids of Llasa's format."""

    symbols: dict[str, int]
    text_start: int
    text_end: int
    speech_start: int
    speech_end: int
    first_code: int
    codes: int
    padding: int


class Batch(NamedTuple):
    """One step's material, [B, T] each."""

    inputs: Tensor
    labels: Tensor
    mask: Tensor
    """1 where there is a token, 0 where padding."""

    def to(self, device: torch.device) -> Batch:
        """The batch on another device."""
        return Batch(*(tensor.to(device) for tensor in self))


class Batches:
    """The batch of any step."""

    def __init__(
        self, clips: Sequence[CodedClip], vocabulary: Vocabulary, settings: SequenceSettings, seed: int
    ) -> None:
        self._clips, self._vocabulary, self._settings, self._seed = clips, vocabulary, settings, seed
        # Each symbol stands twice, with an end in the place of each space and one more at the end.
        self._lengths = np.array([len(clip.codes) + 2 * len(clip.phonemes) + 1 for clip in clips])
        self._of_speaker: dict[str, np.ndarray] = {}
        members: dict[str, list[int]] = defaultdict(list)
        for index, clip in enumerate(clips):
            members[clip.speaker].append(index)
        self._of_speaker = {speaker: np.array(indices) for speaker, indices in members.items()}

    def at(self, step: int) -> Batch:
        """The batch of step `step`."""
        random = np.random.Generator(np.random.Philox(key=[self._seed, step]))
        longest = self._settings.longest_at(step)
        size = max(1, 2 * self._settings.tokens // longest)
        drawn = sorted((self._draw(random, longest) for _ in range(CANDIDATES * size)), key=self._length)
        start = int(random.integers(len(drawn)))
        chosen: list[list[int]] = []
        for group in drawn[start:] + drawn[:start][::-1]:
            widest = max(self._length(group), *(self._length(other) for other in chosen), 1)
            widest = -(-widest // WIDTHS) * WIDTHS
            if chosen and widest * (len(chosen) + 1) > self._settings.tokens:
                break
            chosen.append(group)
        return collate([self._sequence(group) for group in chosen], self._vocabulary, self._settings.code_noise, random)

    def _draw(self, random: np.random.Generator, longest: int) -> list[int]:
        """Clips of one speaker that fit into a sequence; the first one is any clip."""
        fitting = np.flatnonzero(self._lengths + 4 <= longest)
        group = [int(random.choice(fitting if len(fitting) else np.arange(len(self._clips))))]
        if random.random() < self._settings.joined:
            siblings = self._of_speaker[self._clips[group[0]].speaker]
            for index in random.choice(siblings, min(3, len(siblings)), replace=False):
                if int(index) not in group and self._length([*group, int(index)]) <= longest:
                    group.append(int(index))
        return group

    def _length(self, group: Sequence[int]) -> int:
        return int(self._lengths[list(group)].sum()) + len(group) - 1 + 4

    def _sequence(self, group: Sequence[int]) -> Sequenced:
        return join([self._clips[index] for index in group])


class Sequenced(NamedTuple):
    """One sequence before it is tokens."""

    phonemes: str
    codes: np.ndarray
    places: np.ndarray
    """Which phoneme each code belongs to."""


def join(clips: Sequence[CodedClip]) -> Sequenced:
    """Texts in a row, with a space between, and codes in a row."""
    starts = np.cumsum([0, *(len(clip.phonemes) + 1 for clip in clips)])
    places = [clip.places + start for clip, start in zip(clips, starts, strict=False)]
    return Sequenced(
        " ".join(clip.phonemes for clip in clips),
        np.concatenate([clip.codes for clip in clips]),
        np.concatenate(places),
    )


def collate(
    sequences: Sequence[Sequenced],
    vocabulary: Vocabulary,
    code_noise: float,
    random: np.random.Generator,
) -> Batch:
    """A batch of sequences, padded on the right."""
    rows = [_tokens(sequence, vocabulary) for sequence in sequences]
    width = -(-max(len(tokens) for tokens, _ in rows) // WIDTHS) * WIDTHS
    inputs = np.full((len(rows), width), vocabulary.padding, np.int64)
    labels = np.full((len(rows), width), IGNORED, np.int64)
    for row, (tokens, spoken) in enumerate(rows):
        inputs[row, : len(tokens)] = tokens
        labels[row, : len(tokens)] = np.where(spoken, tokens, IGNORED)
    mask = inputs != vocabulary.padding
    is_code = (inputs >= vocabulary.first_code) & (inputs < vocabulary.first_code + vocabulary.codes)
    replaced = is_code & (random.random(inputs.shape) < code_noise)
    inputs[replaced] = vocabulary.first_code + random.integers(0, vocabulary.codes, int(replaced.sum()))
    return Batch(*map(torch.from_numpy, (inputs, labels, mask.astype(np.int64))))


def _tokens(sequence: Sequenced, vocabulary: Vocabulary) -> tuple[list[int], list[bool]]:
    """The tokens, and which of them are said."""
    text = [vocabulary.symbols[symbol] for symbol in sequence.phonemes]
    tokens = [vocabulary.text_start, *text, vocabulary.text_end, vocabulary.speech_start]
    said = [False] * len(tokens)
    for word, codes in split_words(sequence.phonemes, sequence.codes, sequence.places):
        tokens += [
            *(vocabulary.symbols[symbol] for symbol in word),
            *(vocabulary.first_code + codes),
            vocabulary.speech_end,
        ]
        said += [False] * len(word) + [True] * (len(codes) + 1)
    return tokens, said
