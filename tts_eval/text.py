"""Error rates under named, versioned text protocols.

A WER without a protocol name means nothing: the same transcript scores 0 or 67 % depending on what
happens to hyphens, apostrophes and numerals. A protocol is data: for each language that it covers, a
normaliser for either side and the unit that is counted (words or characters). Its numbers never
change once released - a change is a new version. `tests/golden/protocols.json` pins each of them.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal, TypeAlias

from tts_eval.edits import AlignedChunk, Comparison, ErrorCounts, best_prefixes, compare, words
from tts_eval.errors import MissingDependencyError, UnknownNameError
from tts_eval.registry import Registry

Normaliser: TypeAlias = Callable[[str], str]


FEWEST_SETTLED = 2
"""Words that must be settled before unfinished speech is judged: an error rate of one word is 0 or 1."""


@dataclass(frozen=True, slots=True)
class TextProtocol:
    """How two texts of one language are made comparable, and what is counted."""

    name: str
    normalise_reference: Normaliser
    normalise_hypothesis: Normaliser
    unit: Literal["word", "character"] = "word"
    """What a word of the normalised texts is: characters stand apart in them."""
    description: str = ""

    def reference(self, text: str) -> str:
        """The reference as it is scored; empty when no letter or digit is left, so nothing can be said."""
        normalised = self.normalise_reference(text).strip()
        return normalised if any(mark.isalnum() for mark in normalised) else ""

    def reference_length(self, text: str) -> int:
        """How many units the reference has."""
        return len(words(self.reference(text)))

    def compare(self, reference: str, hypothesis: str) -> Comparison:
        """Edit counts and alignment of one pair.

        Raises:
            ValueError: the reference is empty once normalised; decide that case before scoring.
        """
        return compare(self._wanted(reference), words(self.normalise_hypothesis(hypothesis)), self._joiner)

    def compare_unfinished(self, reference: str, hypothesis: str) -> Comparison | None:
        """`compare` with the prefix of the reference that fits the hypothesis best; None while there is too little.

        The hypothesis loses its last word (or character), which may have been cut in the middle, and the one before it
        if that is an error: recognisers make two words of one that is cut ("in me" of "inmate").

        Raises:
            ValueError: the reference is empty once normalised.
        """
        wanted = self._wanted(reference)
        heard = words(self.normalise_hypothesis(hypothesis))[:-1]
        fits = best_prefixes(wanted, heard)
        settled = len(heard)
        if heard and fits[-1].errors > fits[-2].errors:
            settled -= 1
        if settled < FEWEST_SETTLED:
            return None
        return compare(wanted[: fits[settled].length], heard[:settled], self._joiner)

    def counts(self, reference: str, hypothesis: str) -> ErrorCounts:
        """The counts of `compare`."""
        return self.compare(reference, hypothesis).counts

    def alignment(self, reference: str, hypothesis: str) -> tuple[AlignedChunk, ...]:
        """The alignment of `compare`."""
        return self.compare(reference, hypothesis).alignment

    @property
    def _joiner(self) -> str:
        return " " if self.unit == "word" else ""

    def _wanted(self, reference: str) -> list[str]:
        wanted = words(self.reference(reference))
        if not wanted:
            raise ValueError(f"Reference {reference!r} is empty under protocol {self.name}.")
        return wanted


@cache
def _whisper_english() -> Normaliser:
    from whisper_normalizer.english import EnglishTextNormalizer

    normaliser: Normaliser = EnglishTextNormalizer()
    return normaliser


def _whisper_norm(text: str) -> str:
    return _whisper_english()(text)


@cache
def _deletions(keep: str) -> dict[int, None]:
    from zhon.hanzi import punctuation

    return {ord(mark): None for mark in punctuation + string.punctuation if mark not in keep}


def _without_punctuation(text: str, keep: str) -> str:
    # One replacement, not a collapse: the official scripts leave three spaces as two.
    return text.translate(_deletions(keep)).replace("  ", " ")


def _seed_tts_english(text: str) -> str:
    return _without_punctuation(text, "'").lower()


def _seed_tts_chinese(text: str) -> str:
    return " ".join(_without_punctuation(text, "'"))


def _f5_english(text: str) -> str:
    return _without_punctuation(text, "").lower()


def _f5_chinese(text: str) -> str:
    return " ".join(_without_punctuation(text, ""))


def _simplified(text: str) -> str:
    try:
        import zhconv
    except ImportError as error:
        raise MissingDependencyError("zhconv", "Scoring Chinese", "tts-eval-harness[chinese]") from error
    converted: str = zhconv.convert(text, "zh-cn")
    return converted


def _seed_tts_chinese_heard(text: str) -> str:
    return _seed_tts_chinese(_simplified(text))


def _f5_chinese_heard(text: str) -> str:
    return _f5_chinese(_simplified(text))


def _librispeech(text: str) -> str:
    lowered = text.lower().replace("’", "'")
    kept = "".join(mark if mark.isalnum() or mark == "'" else " " for mark in lowered)
    return " ".join(kept.split())


Languages: TypeAlias = Mapping[str, TextProtocol]
"""A protocol by the two-letter codes of the languages that it covers."""


def whisper_norm_1() -> Languages:
    """`whisper-norm@1`: Whisper's English normaliser (numerals, currency, spelling, contractions) on both sides."""
    english = "Whisper's English normaliser on both sides; words."
    return {"en": TextProtocol("whisper-norm@1", _whisper_norm, _whisper_norm, "word", english)}


def seed_tts_1() -> Languages:
    """`seed-tts@1`: run_wer.py of BytedanceSpeech/seed-tts-eval 752f429.

    English: all punctuation of `zhon.hanzi` and `string` is deleted but ', so "well-known" is one word and a curly
    apostrophe vanishes; then lower case. Chinese: the hypothesis, not the reference, is made simplified (zh-cn);
    the same is deleted and every character is a word, Latin letters too, in their own case.
    """
    english = "Seed-TTS-Eval English: punctuation except ' deleted, lower case; words."
    chinese = "Seed-TTS-Eval Chinese: hypothesis simplified, punctuation except ' deleted; characters."
    return {
        "en": TextProtocol("seed-tts@1", _seed_tts_english, _seed_tts_english, "word", english),
        "zh": TextProtocol("seed-tts@1", _seed_tts_chinese, _seed_tts_chinese_heard, "character", chinese),
    }


def f5_1() -> Languages:
    """`f5@1`: utils_eval.py of SWivid/F5-TTS 2ae2c9b; as seed-tts in either language, but the apostrophe goes too."""
    english = "F5-TTS English: all punctuation deleted, lower case; words."
    chinese = "F5-TTS Chinese: hypothesis simplified, all punctuation deleted; characters."
    return {
        "en": TextProtocol("f5@1", _f5_english, _f5_english, "word", english),
        "zh": TextProtocol("f5@1", _f5_chinese, _f5_chinese_heard, "character", chinese),
    }


def librispeech_1() -> Languages:
    """`librispeech@1`: letters, digits and ' kept, everything else a space, lower case: transcripts as distributed."""
    english = "Punctuation to spaces, ' kept, lower case; words."
    return {"en": TextProtocol("librispeech@1", _librispeech, _librispeech, "word", english)}


protocols: Registry[Callable[[], Languages]] = Registry("protocol", "protocols")
protocols.add("whisper-norm@1", "tts_eval.text:whisper_norm_1", "Whisper's English normaliser; words")
protocols.add("seed-tts@1", "tts_eval.text:seed_tts_1", "Seed-TTS-Eval; English words, Chinese characters")
protocols.add("f5@1", "tts_eval.text:f5_1", "F5-TTS; English words, Chinese characters")
protocols.add("librispeech@1", "tts_eval.text:librispeech_1", "transcripts as distributed, English; words")


@cache
def load_languages(name: str) -> Languages:
    """The protocol `NAME@VERSION`, by language.

    Raises:
        UnknownNameError: no such protocol; the message has the close matches.
    """
    return protocols.load(name)()


def load_protocol(name: str, language: str = "en") -> TextProtocol:
    """The protocol `NAME@VERSION` for a language, given by its two-letter code.

    Raises:
        UnknownNameError: no such protocol, or it does not cover the language.
    """
    languages = load_languages(name)
    if language not in languages:
        raise UnknownNameError(
            f"Protocol '{name}' does not cover the language '{language}', only {', '.join(languages)}. "
            "Run 'tts-eval ls protocols' for all of them."
        )
    return languages[language]


def language_code(language: str) -> str:
    """`en` from `en-US`, `EN` or `en_GB`."""
    return language.strip().lower().replace("_", "-").partition("-")[0]
