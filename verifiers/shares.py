"""Which part of a wanted text belongs to which part of the speech.

The text is aligned with the transcripts of consecutive pieces of audio: so a long clip's text is
divided among its pieces, and speech that is not finished gets the words that it has come to.
"""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Sequence

import numpy as np


def shares(text: str, transcripts: Sequence[str]) -> list[str]:
    """`text` divided among `transcripts`, in order, each getting what it aligns with; joined they are all of it.

    Words are aligned; a text without spaces (Chinese, Japanese) is aligned by characters.
    """
    joiner = _joiner(text)
    wanted = _units(text, joiner)
    spoken = [_units(transcript, joiner) for transcript in transcripts]
    matcher = difflib.SequenceMatcher(
        None, [_key(unit) for unit in wanted], [_key(unit) for part in spoken for unit in part], autojunk=False
    )
    blocks = matcher.get_matching_blocks()
    ends = np.cumsum([len(part) for part in spoken])[:-1]
    cuts = [0, *(_wanted_position(int(end), blocks) for end in ends), len(wanted)]
    return [joiner.join(wanted[start:stop]) for start, stop in itertools.pairwise(cuts)]


def spoken_prefix(text: str, transcript: str) -> str:
    """As much of `text` as the transcript of unfinished speech has come to, its last, possibly cut, word left out."""
    joiner = _joiner(text)
    heard = _units(transcript, joiner)
    if len(heard) < 2:
        return ""
    return shares(text, [joiner.join(heard[:-1]), heard[-1]])[0]


def _joiner(text: str) -> str:
    return " " if " " in text.strip() else ""


def _units(text: str, joiner: str) -> list[str]:
    return text.split() if joiner else list(text.strip())


def _wanted_position(position: int, blocks: Sequence[difflib.Match]) -> int:
    after_wanted = after_spoken = 0
    for block in blocks:
        if position < block.b:
            return min(after_wanted + position - after_spoken, block.a)
        if position <= block.b + block.size:
            return block.a + position - block.b
        after_wanted, after_spoken = block.a + block.size, block.b + block.size
    return after_wanted


def _key(unit: str) -> str:
    return "".join(mark for mark in unit.lower() if mark.isalnum())
