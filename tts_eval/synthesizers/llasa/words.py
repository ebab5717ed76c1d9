"""Word by word: Llasa's format for models that have heard hours of speech instead of thousands.

    TEXT_START prompt's phonemes, phonemes TEXT_END SPEECH_START word codes END word codes END ...

Each word stands once more before the codes that say it, and an end mark behind them: the model never
has to find its place in the text, so it skips and repeats nothing. The codes of a prompt are cut into
words by a forced alignment. It is still one stream of tokens: the row hears the next word whenever it
says the end, and it is over when there is none left. Codes that are the text's own beginning are cut in the
same way, as far as they go; the word in which they break off is left open. Of a prompt that leaves no room for the
text only the last words are heard: a small model has learned sequences of some length, and never ends longer ones.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tts_eval.errors import SynthesisError
from tts_eval.synthesizers.llasa.format import LlasaFormat, Written

HEARD_PER_SECOND = 19.0
"""Steps in which a row only hears its next word, per second of speech; measured: 18.8 over 24 sentences of `mini`
with llasa-nano. It is a matter of English phonemes and pace, so it holds for any codec."""
SLACK = 20
"""Tokens by which what is said may take longer than at the prompt's pace."""

if TYPE_CHECKING:
    from tts_eval.synthesizers.phoneme_alignment import PhonemeAligner


class WordFormat:
    """A `LlasaFormat` whose model is told each word when its turn comes."""

    def __init__(self, base: LlasaFormat, aligner: PhonemeAligner, longest: int = 0) -> None:
        """`longest` is how many tokens the model has seen in a row, beyond which it is lost; 0 where nobody knows."""
        self._base = base
        self._aligner = aligner
        self._longest = longest

    @property
    def heard_per_second(self) -> float:
        """Steps, per second of speech, in which nothing is said; on average."""
        return HEARD_PER_SECOND

    def prompt(
        self, text: str, *, language: str = "en", transcript: str = "", codes: Sequence[int] = (), style: str = ""
    ) -> Written:
        """Token ids of everything before the first frame to generate, and the words to hear after that.

        Raises:
            SynthesisError: the text cannot be written, or the transcript is not what the prompt says.
        """
        known = self._base.write(transcript, language) if transcript else ""
        said = self._base.write(text, language)
        if codes and not known:
            return self._going_on(self._base.opening(said, style), said, codes)
        heard = self._heard(self._prompt_words(known, codes), said, style)
        first, *rest = [self._base.encode(word) for word in said.split()]
        return Written([*heard, *first], tuple(map(tuple, rest)))

    def _heard(self, words: Sequence[tuple[str, np.ndarray]], said: str, style: str) -> list[int]:
        """Both texts, and the last words of the prompt that leave room for what is to be said."""
        pace = sum(len(codes) for _, codes in words) / max(1, sum(len(word) for word, _ in words))
        to_come = sum(len(self._base.encode(word)) + pace * len(word) + 1 for word in said.split()) + SLACK
        while True:
            ids = self._base.opening(" ".join([*(word for word, _ in words), said]), style)
            for word, codes in words:
                ids += [*self._base.encode(word), *self._spoken(codes), self._base.end]
            if len(words) < 2 or not self._longest or len(ids) + to_come <= self._longest:
                return ids
            words = words[1:]

    def _going_on(self, ids: list[int], phonemes: str, codes: Sequence[int]) -> Written:
        """Behind codes that say the text's beginning: their last word may be half said, so it is left open."""
        words = self._prompt_words(phonemes, codes, is_whole=False)
        begun = max(number for number, (_, spoken) in enumerate(words) if len(spoken))
        for number, (word, spoken) in enumerate(words[: begun + 1]):
            ids = [*ids, *([self._base.end] if number else []), *self._base.encode(word), *self._spoken(spoken)]
        return Written(ids, tuple(tuple(self._base.encode(word)) for word, _ in words[begun + 1 :]))

    def _spoken(self, codes: np.ndarray) -> list[int]:
        ids: list[int] = (self._base.first + codes).tolist()
        return ids

    def _prompt_words(
        self, phonemes: str, codes: Sequence[int], *, is_whole: bool = True
    ) -> list[tuple[str, np.ndarray]]:
        if not codes:
            return []
        spoken = np.array(codes)
        places = self._aligner.places(spoken, phonemes, is_whole=is_whole)
        if places is None:
            raise SynthesisError(
                f"The prompt is too short for its transcript ({len(codes)} frames for {phonemes!r}). Give what the "
                "audio says, and all of it."
            )
        return split_words(phonemes, spoken, places)


def split_words(phonemes: str, codes: np.ndarray, places: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """Each word with the punctuation behind it, and its codes; `places` says which symbol a code belongs to."""
    spans = [match.span() for match in re.finditer(r"\S+", phonemes)]
    bounds = np.searchsorted(places, [start for start, _ in spans[1:]])
    return [(phonemes[start:stop], part) for (start, stop), part in zip(spans, np.split(codes, bounds), strict=True)]
