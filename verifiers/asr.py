"""What was said: word errors against the request text, and how probable that text is.

A recogniser hears every clip once. The transcript is compared with the request under a named text
protocol; the likelihood is the mean log-probability of the request's tokens given the audio, which
ranks clips that all have the right transcript. Failed clips are never skipped: their scores
still carry how many reference words went unheard.
Of an unfinished clip both are about the prefix of the text that the transcript fits best. The transcript's
last word, which may be cut, does not count, nor does an error just before it: a cut word often sounds like
two. With fewer than two words left it is undecided.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace

from tts_eval.edits import AlignedChunk, Comparison
from tts_eval.errors import ConfigError, MissingDependencyError
from tts_eval.text import TextProtocol, language_code, load_languages
from tts_eval.types import Failure, FailureKind, Item, Metric, Request, Score
from verifiers import long_audio
from verifiers.judging import Judgement, score_items
from verifiers.recognisers import load_recogniser
from verifiers.recognition import (
    Recogniser,
    Transcript,
    likelihood_metric,
    mean_log_prob,
    unknown_language,
    utterance_of,
)

DEFAULT_PROTOCOL = "whisper-norm@1"
_PROTOCOL = re.compile(r"[a-z0-9-]+@\d+")


def create(argument: str) -> AsrVerifier:
    """The verifier for `[BACKEND:]MODEL[:exact][:PROTOCOL]`, as written after `asr:`; "" means tiny.en, whisper-norm@1.

    Raises:
        ConfigError: the argument names no backend, model or mode, or a protocol for languages the model lacks.
        UnknownNameError: no such protocol.
        WeightsError: the model's weights are not on this machine.
        MissingDependencyError: the backend is not installed.
    """
    wanted, protocol = _split_protocol(argument)
    load_languages(protocol)  # before any model is loaded
    return AsrVerifier(load_recogniser(wanted, "asr"), protocol)


def _split_protocol(argument: str) -> tuple[str, str]:
    """The argument without its protocol, and the protocol: NAME@NUMBER at the end."""
    head, _, tail = argument.rpartition(":")
    return (head, tail) if _PROTOCOL.fullmatch(tail) else (argument, DEFAULT_PROTOCOL)


class AsrVerifier:
    """Word error rate and text likelihood by one recogniser."""

    name = "asr"
    version = "4"
    supports_partial = True
    gives = ("transcript",)

    def __init__(self, recogniser: Recogniser, protocol: str = DEFAULT_PROTOCOL) -> None:
        """Score with a recogniser under a text protocol.

        Raises:
            UnknownNameError: no such protocol.
            ConfigError: the protocol covers no language that the recogniser knows.
        """
        self._recogniser = recogniser
        self._protocol = protocol
        self._languages = load_languages(protocol)
        if not any(recogniser.supports(language) for language in self._languages):
            raise ConfigError(
                [
                    f"{recogniser.judge} knows none of the languages of protocol {protocol} "
                    f"({', '.join(self._languages)}). Name another, e.g. asr:MODEL:seed-tts@1, which has Chinese too."
                ]
            )
        # Another protocol is another score of the same clip, so stored scores must not be mixed.
        self.judge = recogniser.judge if protocol == DEFAULT_PROTOCOL else f"{recogniser.judge}:{protocol}"
        self.metrics = (
            Metric(name="wer", higher_is_better=False, worst=1.0, unit="error-rate", protocol=protocol),
            *([likelihood_metric(recogniser)] if recogniser.text_tokens else []),
            Metric(
                name="corpus_wer",
                higher_is_better=False,
                worst=1.0,
                unit="error-rate",
                protocol=protocol,
                ratio_of=("errors", "reference_words"),
            ),
        )

    def score(self, items: Sequence[Item]) -> list[Score]:
        """One score per item, in order.

        A failed score's values are those of a clip in which nothing was said: all reference words deleted.
        """
        scores = score_items(self, items, self._judge)
        return [
            score if score.failure is None else replace(score, values=self._nothing_said(item))
            for item, score in zip(items, scores, strict=True)
        ]

    def lacks(self, request: Request) -> Failure | None:
        """Why the request cannot be scored whatever is said: its language, a text without words, a missing package."""
        if failure := unknown_language(request, self._recogniser):
            return failure
        language = language_code(request.language)
        if language not in self._languages:
            return Failure(
                FailureKind.NO_REFERENCE,
                f"'{request.id}' is in language '{request.language}', which protocol {self._protocol} does not cover "
                f"({', '.join(self._languages)}); score it with a protocol that does: tts-eval ls protocols.",
            )
        if not self._languages[language].reference(request.text):
            return Failure(
                FailureKind.NO_REFERENCE,
                f"The text {request.text!r} of '{request.id}' has no words under protocol {self._protocol}; "
                "give the request a text that can be spoken, or score with another protocol.",
            )
        try:  # Chinese needs a package for what is heard alone, which would show only after hours of generation.
            self._languages[language].normalise_hypothesis(request.text)
        except MissingDependencyError as error:
            return Failure(FailureKind.VERIFIER, str(error))
        return None

    def _judge(self, items: Sequence[Item]) -> list[Judgement | Failure]:
        failures = [self.lacks(item.request) for item in items]
        good = [item for item, failure in zip(items, failures, strict=True) if failure is None]
        heard = iter(long_audio.recognise(self._recogniser, [utterance_of(item) for item in good]) if good else [])
        return [
            self._judgement(item, next(heard)) if failure is None else failure
            for item, failure in zip(items, failures, strict=True)
        ]

    def _judgement(self, item: Item, transcript: Transcript) -> Judgement | Failure:
        request = item.request
        comparison = _compared(self._languages[language_code(request.language)], item, transcript.text)
        if comparison is None:
            return Failure(
                FailureKind.UNDECIDED,
                f"Of '{request.id}' #{item.candidate.index} only {transcript.text!r} has been said so far, whose last "
                "words may be cut; judge it again when there is more.",
            )
        counts = comparison.counts
        values = {
            "wer": counts.rate,
            "corpus_wer": counts.rate,
            "substitutions": float(counts.substitutions),
            "deletions": float(counts.deletions),
            "insertions": float(counts.insertions),
            "errors": float(counts.errors),
            "reference_words": float(counts.reference_length),
        }
        if self._recogniser.text_tokens:
            values["likelihood"] = mean_log_prob(transcript, self._recogniser)
        return Judgement(values, {"transcript": transcript.text, "alignment": _as_json(comparison.alignment)})

    def _nothing_said(self, item: Item) -> dict[str, float]:
        protocol = self._languages.get(language_code(item.request.language))
        if item.partial or protocol is None or not protocol.reference(item.request.text):
            return {}
        words = float(protocol.reference_length(item.request.text))
        return {"deletions": words, "errors": words, "reference_words": words}


def _compared(protocol: TextProtocol, item: Item, transcript: str) -> Comparison | None:
    if item.partial:
        return protocol.compare_unfinished(item.request.text, transcript)
    return protocol.compare(item.request.text, transcript)


def _as_json(alignment: Sequence[AlignedChunk]) -> str:
    """[[kind, reference, hypothesis], ...]."""
    return json.dumps([[chunk.kind, chunk.reference, chunk.hypothesis] for chunk in alignment], ensure_ascii=False)
