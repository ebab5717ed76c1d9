"""How long a text may last, and how a long one is cut.

The longest duration is three times what a slow reader needs: a row that has not ended by then is
lost, and every step of it would still cost as much as one of a good row.
"""

from __future__ import annotations

import re
from itertools import accumulate, pairwise

from tts_eval.synthesizers.llasa.format import is_wide

PAUSE_SECONDS = 2.0
SECONDS_PER_LETTER = 0.2
SECONDS_PER_SYLLABLE = 0.6
"""Of a digit ("seven") or a Chinese character."""
CHUNK_CHARACTERS = 100
"""One more chunk for every hundred characters: the rule of the Llasa paper for long texts."""

_SENTENCE = re.compile(r"[^.!?;。！？；]*(?:[.!?;。！？；]+[\"'”’)\]]*\s*|$)")


def longest_seconds(text: str) -> float:
    """An upper bound on how long the text takes to say."""
    syllables = sum(1 for mark in text if is_wide(mark) or mark.isdigit())
    letters = sum(1 for mark in text if mark.isalnum()) - syllables
    return PAUSE_SECONDS + SECONDS_PER_LETTER * max(letters, 0) + SECONDS_PER_SYLLABLE * syllables


def split_text(text: str) -> list[str]:
    """The text in chunks of whole sentences: one for up to 100 characters, two for up to 200 ...

    Fewer where there are fewer sentences: a sentence is never cut.
    """
    sentences = [sentence for sentence in _SENTENCE.findall(text.strip()) if sentence]
    ends = list(accumulate(map(len, sentences)))
    whole = text.strip()
    count = max(0, len(whole) - 1) // CHUNK_CHARACTERS + 1
    ideal = [number * len(whole) / count for number in range(1, count)]
    cuts = sorted({min(ends, key=lambda end: abs(end - place)) for place in ideal} | {len(whole)})
    chunks = [whole[start:end].strip() for start, end in pairwise([0, *cuts])]
    return [chunk for chunk in chunks if chunk] or [text]
