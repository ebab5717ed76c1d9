"""How probable the request's text is, given the audio: one pass of the recogniser over text that is known, no search.

Far cheaper than a transcript, and it still ranks clips in which every word is right. It is what `asr`
reports as its likelihood with the same model, but for CTranslate2's shorter window, which moves it a
little (`verifiers.whisper_ctranslate2.likelihood_window`); `exact` keeps the 30 s. A clip over 30 s is
transcribed nevertheless, to know which part of the text belongs to which part of the audio.
Not handled: unfinished clips, whose words to come would count as missing.
"""

from __future__ import annotations

from collections.abc import Sequence

from tts_eval.errors import ConfigError
from tts_eval.types import Failure, FailureKind, Item, Request, Score
from verifiers import long_audio
from verifiers.judging import Judgement, score_items
from verifiers.recognisers import load_recogniser
from verifiers.recognition import Recogniser, likelihood_metric, mean_log_prob, unknown_language, utterance_of


def create(argument: str) -> LikelihoodVerifier:
    """The verifier for `[BACKEND:]MODEL[:exact]`, as written after `likelihood:`; "" means tiny.en.

    Raises:
        ConfigError: the argument names no backend, model or mode, or a model without likelihoods.
        WeightsError: the model's weights are not on this machine.
        MissingDependencyError: the backend is not installed.
    """
    return LikelihoodVerifier(load_recogniser(argument, "likelihood"))


class LikelihoodVerifier:
    """Mean log-probability of the text's tokens given the audio, in nats; higher is better."""

    name = "likelihood"
    version = "2"
    supports_partial = False
    gives = ()

    def __init__(self, recogniser: Recogniser) -> None:
        """Score with a recogniser.

        Raises:
            ConfigError: it gives no log-probabilities.
        """
        if not recogniser.text_tokens:
            raise ConfigError([f"{recogniser.judge} gives no likelihood of a text; use Whisper or a CTC model."])
        self._recogniser = recogniser
        self.judge = recogniser.judge
        self.metrics = (likelihood_metric(recogniser),)

    def score(self, items: Sequence[Item]) -> list[Score]:
        """One score per item, in order."""
        return score_items(self, items, self._judge)

    def lacks(self, request: Request) -> Failure | None:
        """Why the request cannot be scored whatever is said: its language, or a text without words."""
        return unknown_language(request, self._recogniser) or _without_words(request)

    def _judge(self, items: Sequence[Item]) -> list[Judgement | Failure]:
        failures = [self.lacks(item.request) for item in items]
        good = [item for item, failure in zip(items, failures, strict=True) if failure is None]
        utterances = [utterance_of(item, transcribe=False) for item in good]
        found = iter(long_audio.recognise(self._recogniser, utterances) if good else [])
        return [
            failure or Judgement({"likelihood": mean_log_prob(next(found), self._recogniser)}) for failure in failures
        ]


def _without_words(request: Request) -> Failure | None:
    if any(mark.isalnum() for mark in request.text):
        return None
    return Failure(
        FailureKind.NO_REFERENCE,
        f"The text {request.text!r} of '{request.id}' has no words; give the request a text that can be spoken.",
    )
