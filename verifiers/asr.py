"""What was said: word errors against the request text, and how probable that text is.

A recogniser hears every clip once. The transcript is compared with the request under a named text
protocol; the likelihood is the mean log-probability of the request's tokens given the audio, which
ranks clips that all have the right transcript. Failed clips are never skipped: their scores
still carry how many reference words went unheard.
Not handled: unfinished clips, whose words to come would count as deletions.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tts_eval.errors import ConfigError
from tts_eval.text import load_protocol
from tts_eval.types import Failure, FailureKind, Item, Metric, Request, Score
from verifiers import long_audio
from verifiers.judging import Judgement, clip_of, score_items
from verifiers.recognition import DEFAULT_MODEL, RATE, Recogniser, Transcript, Utterance, language_code

BACKENDS = ("faster-whisper", "openai-whisper")
DEFAULT_PROTOCOL = "whisper-norm@1"
_PROTOCOL = re.compile(r"[a-z0-9-]+@\d+")
_EXAMPLES = "asr:tiny.en, asr:base:exact, asr:/models/whisper-small-ct2, asr:openai-whisper:small.en"


def create(argument: str) -> AsrVerifier:
    """The verifier for `[BACKEND:]MODEL[:exact][:PROTOCOL]`, as written after `asr:`; "" means tiny.en, whisper-norm@1.

    Raises:
        ConfigError: the argument names no backend, model or mode.
        UnknownNameError: no such protocol.
        WeightsError: the model's weights are not on this machine.
        MissingDependencyError: the backend is not installed.
    """
    wanted, protocol = _split_protocol(argument)
    load_protocol(protocol)  # before any model is loaded
    backend, model, exact = _parse(wanted)
    recogniser: Recogniser
    if backend == "openai-whisper":
        from verifiers import whisper_openai

        recogniser = whisper_openai.load(model)
    else:
        from verifiers import whisper_ctranslate2

        recogniser = whisper_ctranslate2.load(model, exact=exact)
    return AsrVerifier(recogniser, protocol)


def _split_protocol(argument: str) -> tuple[str, str]:
    """The argument without its protocol, and the protocol: NAME@NUMBER at the end."""
    head, _, tail = argument.rpartition(":")
    return (head, tail) if _PROTOCOL.fullmatch(tail) else (argument, DEFAULT_PROTOCOL)


def _parse(argument: str) -> tuple[str, str, bool]:
    """Backend, model, and whether `exact` was asked for."""
    parts = [part.strip() for part in argument.split(":")]
    backend = parts.pop(0) if parts[0] in BACKENDS else ""
    exact = parts[-1:] == ["exact"] and bool(parts.pop())
    model = ":".join(parts)
    problems = []
    if len(parts) > 1 and not Path(model).expanduser().exists():
        if not backend:
            problems.append(f"'{parts[0]}' in 'asr:{argument}' is no backend; expected {' or '.join(BACKENDS)}.")
        if not exact:
            problems.append(f"'{parts[-1]}' in 'asr:{argument}' is no mode; expected 'exact' or nothing.")
        if backend and exact:
            problems.append(f"'{model}' in 'asr:{argument}' is no model.")
    if problems:
        raise ConfigError([*problems, f"Write asr:[BACKEND:]MODEL[:exact][:PROTOCOL], e.g. {_EXAMPLES}."])
    return backend or BACKENDS[0], model or DEFAULT_MODEL, exact


class AsrVerifier:
    """Word error rate and text likelihood by one recogniser."""

    name = "asr"
    version = "1"
    supports_partial = False

    def __init__(self, recogniser: Recogniser, protocol: str = DEFAULT_PROTOCOL) -> None:
        """Score with a recogniser under a text protocol.

        Raises:
            UnknownNameError: no such protocol.
        """
        self._recogniser = recogniser
        self._protocol = load_protocol(protocol)
        self._chance = -math.log(recogniser.text_tokens)
        # Another protocol is another score of the same clip, so stored scores must not be mixed.
        self.judge = recogniser.judge if protocol == DEFAULT_PROTOCOL else f"{recogniser.judge}:{protocol}"
        self.metrics = (
            Metric(name="wer", higher_is_better=False, worst=1.0, unit="error-rate", protocol=protocol),
            Metric(name="likelihood", higher_is_better=True, worst=self._chance, unit="log-prob"),
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
            score if score.failure is None else replace(score, values=self._nothing_said(item.request))
            for item, score in zip(items, scores, strict=True)
        ]

    def _judge(self, items: Sequence[Item]) -> list[Judgement | Failure]:
        failures = [self._unscorable(item.request) for item in items]
        good = [item for item, failure in zip(items, failures, strict=True) if failure is None]
        heard = iter(long_audio.recognise(self._recogniser, [_utterance(item) for item in good]) if good else [])
        return [
            self._judgement(item.request, next(heard)) if failure is None else failure
            for item, failure in zip(items, failures, strict=True)
        ]

    def _unscorable(self, request: Request) -> Failure | None:
        if not self._protocol.reference(request.text):
            return Failure(
                FailureKind.NO_REFERENCE,
                f"The text {request.text!r} of '{request.id}' has no words under protocol {self._protocol.name}; "
                "give the request a text that can be spoken, or score with another protocol.",
            )
        if not self._recogniser.supports(language_code(request.language)):
            return Failure(
                FailureKind.NO_REFERENCE,
                f"'{request.id}' is in language '{request.language}', which {self._recogniser.judge} does not know; "
                "use a multilingual model, e.g. asr:base.",
            )
        return None

    def _judgement(self, request: Request, transcript: Transcript) -> Judgement:
        counts = self._protocol.counts(request.text, transcript.text)
        likelihood = transcript.log_prob / transcript.tokens if transcript.tokens else self._chance
        values = {
            "wer": counts.rate,
            # Teacher forcing can fall below chance; a clip that was judged is not worse than one that is missing.
            "likelihood": max(likelihood, self._chance),
            "corpus_wer": counts.rate,
            "substitutions": float(counts.substitutions),
            "deletions": float(counts.deletions),
            "insertions": float(counts.insertions),
            "errors": float(counts.errors),
            "reference_words": float(counts.reference_length),
        }
        return Judgement(values, {"transcript": transcript.text})

    def _nothing_said(self, request: Request) -> dict[str, float]:
        if not self._protocol.reference(request.text):
            return {}
        words = float(self._protocol.counts(request.text, "").reference_length)
        return {"deletions": words, "errors": words, "reference_words": words}


def _utterance(item: Item) -> Utterance:
    request = item.request
    return Utterance(
        audio_16k=clip_of(item).at(RATE), text=request.text.strip(), language=language_code(request.language)
    )
