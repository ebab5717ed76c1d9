"""Error rates under named, versioned text protocols.

A WER without a protocol name means nothing: the same transcript scores 0 or 67 % depending on what
happens to hyphens, apostrophes and numerals. A protocol here is a normaliser for both sides plus
the unit that is counted (words or characters); its numbers never change once released - a change
is a new version. `tests/golden/protocols.json` pins each of them.
"""

from __future__ import annotations

import string
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Literal

from tts_eval.registry import Registry


@dataclass(frozen=True, slots=True)
class ErrorCounts:
    """Edits that turn the reference into the hypothesis, in words or characters."""

    substitutions: int
    deletions: int
    insertions: int
    reference_length: int

    @property
    def errors(self) -> int:
        """Substitutions + deletions + insertions."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float:
        """Errors per reference unit; may exceed 1. The reference must not be empty."""
        return self.errors / self.reference_length


@dataclass(frozen=True, slots=True)
class AlignedChunk:
    """A run of equal or differing units, for showing a transcript with its errors marked."""

    kind: Literal["equal", "substitute", "delete", "insert"]
    reference: str
    hypothesis: str


@dataclass(frozen=True, slots=True)
class TextProtocol:
    """How two texts are made comparable, and what is counted."""

    name: str
    normalise_reference: Callable[[str], str]
    normalise_hypothesis: Callable[[str], str]
    unit: Literal["word", "character"] = "word"
    description: str = ""

    def reference(self, text: str) -> str:
        """The reference as it is scored; empty when no letter or digit is left, so nothing can be said."""
        normalised = self.normalise_reference(text).strip()
        return normalised if any(mark.isalnum() for mark in normalised) else ""

    def counts(self, reference: str, hypothesis: str) -> ErrorCounts:
        """Edit counts of one pair.

        Raises:
            ValueError: the reference is empty once normalised; decide that case before scoring.
        """
        counts, _ = self._align(reference, hypothesis)
        return counts

    def alignment(self, reference: str, hypothesis: str) -> list[AlignedChunk]:
        """The pair cut into equal and differing runs, in order. Needs a non-empty reference."""
        _, chunks = self._align(reference, hypothesis)
        return chunks

    def _align(self, reference: str, hypothesis: str) -> tuple[ErrorCounts, list[AlignedChunk]]:
        import jiwer

        truth = self.reference(reference)
        guess = self.normalise_hypothesis(hypothesis).strip()
        if not truth:
            raise ValueError(f"Reference {reference!r} is empty under protocol {self.name}.")
        process = jiwer.process_words if self.unit == "word" else jiwer.process_characters
        output = process(truth, guess)
        joiner = " " if self.unit == "word" else ""
        chunks = [
            AlignedChunk(
                chunk.type,  # type: ignore[arg-type]
                joiner.join(output.references[0][chunk.ref_start_idx : chunk.ref_end_idx]),
                joiner.join(output.hypotheses[0][chunk.hyp_start_idx : chunk.hyp_end_idx]),
            )
            for chunk in output.alignments[0]
        ]
        counts = ErrorCounts(
            output.substitutions,
            output.deletions,
            output.insertions,
            output.hits + output.substitutions + output.deletions,
        )
        return counts, chunks


@cache
def _whisper_english() -> Callable[[str], str]:
    from whisper_normalizer.english import EnglishTextNormalizer

    normaliser: Callable[[str], str] = EnglishTextNormalizer()
    return normaliser


def _whisper_norm(text: str) -> str:
    return _whisper_english()(text)


@cache
def _deletions(keep: str) -> dict[int, None]:
    from zhon.hanzi import punctuation

    return {ord(mark): None for mark in punctuation + string.punctuation if mark not in keep}


def _seed_tts_english(text: str) -> str:
    # One replacement, not a collapse: the official script leaves three spaces as two.
    return text.translate(_deletions("'")).replace("  ", " ").lower()


def _f5_english(text: str) -> str:
    return text.translate(_deletions("")).replace("  ", " ").lower()


def _librispeech(text: str) -> str:
    lowered = text.lower().replace("’", "'")
    kept = "".join(mark if mark.isalnum() or mark == "'" else " " for mark in lowered)
    return " ".join(kept.split())


def whisper_norm_1() -> TextProtocol:
    """`whisper-norm@1`: Whisper's English normaliser (numerals, currency, spelling, contractions) on both sides."""
    return TextProtocol(
        "whisper-norm@1", _whisper_norm, _whisper_norm, "word", "Whisper's English normaliser on both sides; words."
    )


def seed_tts_1() -> TextProtocol:
    """`seed-tts@1`: BytedanceSpeech/seed-tts-eval 752f429, English: delete punctuation but ', lower-case; words."""
    return TextProtocol(
        "seed-tts@1",
        _seed_tts_english,
        _seed_tts_english,
        "word",
        "Seed-TTS-Eval English: punctuation except ' deleted, lower case; words.",
    )


def f5_1() -> TextProtocol:
    """`f5@1`: SWivid/F5-TTS 2ae2c9b, English: as seed-tts, but the apostrophe goes too."""
    return TextProtocol(
        "f5@1", _f5_english, _f5_english, "word", "F5-TTS English: all punctuation deleted, lower case; words."
    )


def librispeech_1() -> TextProtocol:
    """`librispeech@1`: letters, digits and ' kept, everything else a space, lower case: transcripts as distributed."""
    return TextProtocol(
        "librispeech@1", _librispeech, _librispeech, "word", "Punctuation to spaces, ' kept, lower case; words."
    )


protocols: Registry[Callable[[], TextProtocol]] = Registry("protocol", "protocols")
protocols.add("whisper-norm@1", "tts_eval.text:whisper_norm_1", "Whisper's English normaliser; words")
protocols.add("seed-tts@1", "tts_eval.text:seed_tts_1", "Seed-TTS-Eval English; words")
protocols.add("f5@1", "tts_eval.text:f5_1", "F5-TTS English; words")
protocols.add("librispeech@1", "tts_eval.text:librispeech_1", "transcripts as distributed; words")


@cache
def load_protocol(name: str) -> TextProtocol:
    """The protocol `NAME@VERSION`.

    Raises:
        UnknownNameError: no such protocol; the message has the close matches.
    """
    return protocols.load(name)()
