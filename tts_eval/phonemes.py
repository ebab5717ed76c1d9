"""Text as American English phonemes, one character each: what the small models here read and are trained on.

espeak-ng (through piper-tts, GPL-3.0, an optional extra) reads the text; its IPA becomes the alphabet
of Kokoro's English voices, in which every diphthong and affricate is one capital or ligature: `mAk`
for "make", `ʧˈɪn` for "chin". Stress marks and the punctuation that shapes a sentence stay; quotes and
brackets go. Words in other alphabets are read as espeak-ng reads them.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import Any

from tts_eval.errors import MissingDependencyError

LETTERS = "AIOWYbdfhijklmnpstuvwzæðŋɑɔəɚɛɜɡɪɹɾʃʊʌʒʤʧθᵊᵻ"
"""Every phoneme."""
STRESS = "ˈˌ"
PUNCTUATION = " .,;:!?"
SYMBOLS = LETTERS + STRESS + PUNCTUATION
"""All that `phonemize` writes."""

_VOICE = "en-us"
# Longest first where one begins another. Follows misaki's espeak mapping (hexgrad/misaki, Apache-2.0).
_REPLACEMENTS = (
    ("aɪ", "I"), ("aʊ", "W"), ("eɪ", "A"), ("oʊ", "O"), ("ɔɪ", "Y"),
    ("dʒ", "ʤ"), ("tʃ", "ʧ"), ("ɜː", "ɜɹ"), ("ɪə", "iə"), ("ː", ""), ("ʲ", ""),
    ("ɐ", "ə"), ("r", "ɹ"), ("x", "k"), ("ç", "k"), ("ɬ", "l"), ("a", "æ"), ("e", "A"), ("o", "ɔ"), ("g", "ɡ"),
    ("ʔ", "t"),
)  # fmt: skip
# The l of "bottle" and "finally": a schwa and an l that end a syllable.
_SYLLABIC_L = re.compile(r"əl(?=i\b|[^ˈˌAIOWYiuæɑɔəɚɛɜɪʊʌᵊᵻ]|$)")
_COLON_IN_A_WORD = re.compile(r":(?=\S)")  # espeak-ng would say "colon"
_SYLLABIC_MARK = re.compile("(\\S)\u0329")


def phonemize(text: str) -> str:
    """The text's phonemes, in `SYMBOLS` only; empty when there is nothing to say.

    Raises:
        MissingDependencyError: piper-tts is not installed.
    """
    clauses = [
        (ipa, end)
        for ipa, end, _ in espeak().get_phonemes(_COLON_IN_A_WORD.sub(": ", " ".join(text.split())))
        if ipa.strip()
    ]
    return " ".join(_symbols(ipa) + end.strip() for ipa, end in clauses)


def speech_sounds(phonemes: str) -> str:
    """The phonemes alone, with neither stress, punctuation nor spaces."""
    return "".join(symbol for symbol in phonemes if symbol in LETTERS)


def _symbols(ipa: str) -> str:
    ipa = re.sub(r"\([^)]+\)", "", ipa)  # espeak-ng's marks around words of another language
    for old, new in _REPLACEMENTS:
        ipa = ipa.replace(old, new)
    ipa = _SYLLABIC_L.sub("ᵊl", ipa)
    ipa = _SYLLABIC_MARK.sub(r"ᵊ\1", unicodedata.normalize("NFD", ipa))
    return " ".join("".join(symbol for symbol in ipa if symbol in SYMBOLS).split())


@cache
def espeak() -> Any:
    """The reader of text.

    Raises:
        MissingDependencyError: piper-tts is not installed.
    """
    try:
        from piper import espeakbridge
        from piper.phonemize_espeak import ESPEAK_DATA_DIR
    except ImportError as error:
        raise MissingDependencyError("piper-tts", "Phonemes", "tts-eval-harness[piper]") from error
    espeakbridge.initialize(str(ESPEAK_DATA_DIR))
    # Piper's voices set their own espeak-ng voice before each text; so must anyone who shares the process.
    return _Voice(espeakbridge)


class _Voice:
    def __init__(self, bridge: Any) -> None:
        self._bridge = bridge

    def get_phonemes(self, text: str) -> list[tuple[str, str, bool]]:
        self._bridge.set_voice(_VOICE)
        phonemes: list[tuple[str, str, bool]] = self._bridge.get_phonemes(text)
        return phonemes
