"""What a speech recogniser is to the verifiers: text and log-probability, a batch at a time.

A `Recogniser` hears at most 30 s per utterance and answers two questions in one pass: what was
said, and how probable is the text that should have been said. Longer clips go through
`verifiers.long_audio`. Backends are found by `verifiers.recognisers`.
Either question can be left out. The text of speech that is not finished is as much of it as the
transcript has come to.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from tts_eval.text import language_code
from tts_eval.types import Failure, FailureKind, Item, Metric, Request
from verifiers.judging import clip_of
from verifiers.shares import spoken_prefix

RATE = 16_000
DEFAULT_MODEL = "tiny.en"
MAX_SECONDS = 30.0

# The smallest positive float16: what underflows to 0 on a GPU must not be -inf there and -30 on a CPU.
_SMALLEST_PROBABILITY = 2.0**-24


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Utterance:
    """One clip to recognise."""

    audio_16k: np.ndarray
    """Mono float32 [T] at 16 kHz."""
    text: str
    """What should have been said; "" asks for no log-probability."""
    language: str
    """Two-letter code, see `tts_eval.text.language_code`."""
    transcribe: bool = True
    """Whether a transcript is wanted; without one the log-probability costs a fraction."""
    partial: bool = False
    """Whether the speech stops before its text does; needs a transcript."""

    @property
    def seconds(self) -> float:
        """Duration in seconds."""
        return len(self.audio_16k) / RATE


@dataclass(frozen=True, slots=True)
class Transcript:
    """What a recogniser heard, and what it thinks of the wanted text."""

    text: str
    """"" when none was wanted."""
    log_prob: float = 0.0
    """Sum of the log-probabilities (nats) of the wanted text's tokens, each given the audio and the tokens before."""
    tokens: int = 0
    """How many tokens that sum is over; 0 when no text was given."""


class Recogniser(Protocol):
    """Hears utterances of at most `MAX_SECONDS`."""

    judge: str
    """Backend, checkpoint with fingerprint, number type and decoding mode."""
    text_tokens: int
    """How many tokens a text token is chosen among; 0 says that it gives no log-probabilities."""

    def supports(self, language: str) -> bool:
        """Whether the model knows this two-letter language code."""
        ...

    def recognise(self, utterances: Sequence[Utterance]) -> list[Transcript]:
        """One transcript per utterance, in order; each depends on its own utterance alone."""
        ...


def scored_text(utterance: Utterance, transcript: str) -> str:
    """The text whose log-probability is wanted, now that the transcript is known."""
    return spoken_prefix(utterance.text, transcript) if utterance.partial else utterance.text


def summed_log_probs(probabilities: Sequence[float], unscored: int, text_tokens: int) -> float:
    """Sum of log-probabilities of a text's tokens, of which the last `unscored` did not fit into the decoder.

    Those count as guesses among `text_tokens`: a text too long for the decoder cannot have been said in 30 s.
    """
    logs = np.log(np.maximum(np.asarray(probabilities, dtype=np.float64), _SMALLEST_PROBABILITY))
    return float(logs.sum()) - unscored * math.log(text_tokens)


def likelihood_metric(recogniser: Recogniser) -> Metric:
    """Mean log-probability of the text's tokens; a clip that cannot be judged counts as a guess at each of them."""
    return Metric(name="likelihood", higher_is_better=True, worst=-math.log(recogniser.text_tokens), unit="log-prob")


def mean_log_prob(transcript: Transcript, recogniser: Recogniser) -> float:
    """The likelihood of the wanted text, in nats a token."""
    chance = -math.log(recogniser.text_tokens)
    # Teacher forcing can fall below chance; a clip that was judged is not worse than one that is missing.
    return max(transcript.log_prob / transcript.tokens, chance) if transcript.tokens else chance


def unknown_language(request: Request, recogniser: Recogniser) -> Failure | None:
    """Why the recogniser cannot hear this request's language, or None."""
    if recogniser.supports(language_code(request.language)):
        return None
    return Failure(
        FailureKind.NO_REFERENCE,
        f"'{request.id}' is in language '{request.language}', which {recogniser.judge} does not know; "
        "use a multilingual model, e.g. asr:base.",
    )


def utterance_of(item: Item, *, transcribe: bool = True) -> Utterance:
    """What a recogniser is to hear of a judgeable item."""
    request = item.request
    return Utterance(
        audio_16k=clip_of(item).at(RATE),
        text=request.text.strip(),
        language=language_code(request.language),
        transcribe=transcribe,
        partial=item.partial,
    )
