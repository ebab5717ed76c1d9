"""Is it said with the emotion that was asked for? Class probabilities of an emotion classifier.

`emotion:MODEL` compares with a label: `emotion` of the request's metadata, else the style of its prompt, where
that is an emotion's name. `target` is the probability of that emotion, `margin` how far it is above the
most probable other one. `emotion:MODEL,target=happy` wants the same emotion of all requests.
`emotion:MODEL,target=prompt` compares with the prompt's audio: `similarity` is the cosine of the two embeddings,
`target` and `margin` are of the emotion that is heard in the prompt. Embeddings of all speech point much the
same way (two different emotions often exceed 0.9), so read `similarity` beside `margin`.

The classifier (`verifiers.emotion_model`) is the judge: numbers of two models are never comparable. A clip without
the ups and downs of speech (`verifiers.levels`) fails as silent. Works on unfinished candidates from `PARTIAL_SECONDS`
on.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tts_eval.audio import AudioSource, Clip
from tts_eval.devices import DEVICES
from tts_eval.emotions import Heard, emotion_name
from tts_eval.errors import ConfigError
from tts_eval.types import Failure, FailureKind, Item, Metric, Request, Score
from verifiers.emotion_model import RATE, EmotionModel
from verifiers.judging import Judgement, clip_of, score_items
from verifiers.levels import no_voice
from verifiers.model_spec import parse_model_spec
from verifiers.references import References, too_short
from verifiers.sharing import shared_emotions

PARTIAL_SECONDS = 1.0
"""Of an unfinished candidate, less than this is undecided."""

LABEL, PROMPT = "label", "prompt"
"""Targets beside the emotions themselves."""

_KEYS = {"device": DEVICES, "target": r"\S.*"}
_EXAMPLE = "emotion:/models/my-classifier,device=cuda,target=prompt"


class EmotionOptions(NamedTuple):
    """What stands after `emotion:`; "" leaves the choice to us."""

    model: str
    device: str
    target: str


def parse_options(argument: str) -> EmotionOptions:
    """The options in `[MODEL][,device=DEVICE][,target=label|prompt|EMOTION]`.

    Raises:
        ConfigError: unknown or impossible options; all of them are listed.
    """
    model, values = parse_model_spec("emotion", argument, _KEYS, _EXAMPLE)
    return EmotionOptions(model, values.get("device", ""), values.get("target", LABEL))


def create(argument: str) -> EmotionVerifier:
    """The verifier for `[MODEL][,device=DEVICE][,target=label|prompt|EMOTION]`, as written after `emotion:`.

    Without a model it is `nano`, without a target it is the request's label.

    Raises:
        ConfigError: the argument is wrong, the model does not know the emotion, or the machine has no such device.
        WeightsError: the model's weights are not here and cannot be had, or are of another kind.
        MissingDependencyError: the package that runs the model is not installed.
    """
    options = parse_options(argument)
    return EmotionVerifier(shared_emotions(options.model, options.device), options.target)


class EmotionVerifier:
    """Probability and margin of the wanted emotion; higher is better."""

    name = "emotion"
    version = "2"
    supports_partial = True
    gives = ("embedding",)

    def __init__(self, model: EmotionModel, target: str = LABEL) -> None:
        """Judge with a model by the request's label, by its prompt's audio, or by one emotion for all requests.

        Raises:
            ConfigError: the model does not know the emotion.
        """
        self._by_prompt = target == PROMPT
        self._emotion = None if target in (LABEL, PROMPT) else emotion_name(target)
        if self._emotion is not None and self._emotion not in model.emotions:
            known = list(dict.fromkeys(model.emotions))
            close = difflib.get_close_matches(self._emotion, [LABEL, PROMPT, *known], n=1)
            hint = f" Did you mean '{close[0]}'?" if close else ""
            raise ConfigError(
                [
                    f"Verifier 'emotion' has target '{target}', which {model.judge} does not know.{hint} Expected "
                    f"{LABEL}, {PROMPT}, or one of {', '.join(known)}."
                ]
            )
        self.judge = model.judge if target == LABEL else f"{model.judge}:{self._emotion or PROMPT}"
        worst = {"similarity": -1.0} if self._by_prompt else {}
        protocol = "emotion-prompt@1" if self._by_prompt else "emotion-label@1"
        self.metrics = tuple(
            Metric(name=name, higher_is_better=True, worst=value, protocol=protocol)
            for name, value in {**worst, "target": 0.0, "margin": -1.0}.items()
        )
        self._model = model
        self._prompts: References[Heard] = References(
            lambda clips: model.hear([clip.at(RATE) for clip in clips]),
            shortest_seconds=model.shortest_seconds,
            lacking="The request has no prompt audio to take the emotion from.",
        )

    def score(self, items: Sequence[Item]) -> list[Score]:
        """One score per item; its values also hold the probability of every emotion."""
        return score_items(self, items, self._judge, partial_seconds=PARTIAL_SECONDS)

    def lacks(self, request: Request) -> Failure | None:
        """Why no emotion is wanted, or none that the model knows, as far as that is known without reading audio."""
        if self._by_prompt:
            return self._prompts.lacks(_prompt_audio(request))
        wanted = self._emotion or self._label(request)
        return wanted if isinstance(wanted, Failure) else None

    def _judge(self, items: Sequence[Item]) -> list[Judgement | Failure]:
        wanted = self._wanted([item.request for item in items])
        problems = [
            target if isinstance(target, Failure) else self._unjudgeable(clip_of(item))
            for item, target in zip(items, wanted, strict=True)
        ]
        # A candidate with nothing to compare with would be heard for nothing.
        asked = [index for index, problem in enumerate(problems) if problem is None]
        heard = dict(zip(asked, self._model.hear([clip_of(items[index]).at(RATE) for index in asked]), strict=True))
        return [
            problem or self._compare(target, heard[index])
            for index, (target, problem) in enumerate(zip(wanted, problems, strict=True))
        ]

    def _unjudgeable(self, clip: Clip) -> Failure | None:
        # A classifier has an emotion for everything, so hiss might win.
        return too_short(clip, self._model.shortest_seconds) or no_voice(clip)

    def _compare(self, target: str | Heard | Failure, heard: Heard) -> Judgement:
        assert not isinstance(target, Failure)
        if not (np.isfinite(heard.probabilities).all() and np.isfinite(heard.embedding).all()):
            raise ValueError("the classifier gave numbers that are not finite")
        shares = self._shares(heard)
        values = {} if isinstance(target, str) else {"similarity": cosine(target.embedding, heard.embedding)}
        wanted = target if isinstance(target, str) else _most_probable(self._shares(target))
        values["target"] = shares[wanted]
        values["margin"] = shares[wanted] - max(share for emotion, share in shares.items() if emotion != wanted)
        values |= {f"probability_{emotion}": share for emotion, share in shares.items()}
        return Judgement(values, {"wanted": wanted, "heard": _most_probable(shares)}, heard.embedding)

    def _shares(self, heard: Heard) -> dict[str, float]:
        """Probability by emotion; labels of one name are added."""
        shares = dict.fromkeys(self._model.emotions, 0.0)
        for emotion, probability in zip(self._model.emotions, heard.probabilities.tolist(), strict=True):
            shares[emotion] += probability
        return shares

    def _wanted(self, requests: Sequence[Request]) -> Sequence[str | Heard | Failure]:
        if self._by_prompt:
            return self._prompts.of([_prompt_audio(request) for request in requests])
        return [self._emotion or self._label(request) for request in requests]

    def _label(self, request: Request) -> str | Failure:
        given = request.metadata.get("emotion") or (request.prompt.style if request.prompt else None)
        known = ", ".join(dict.fromkeys(self._model.emotions))
        if not given:
            message = f"'{request.id}' asks for no emotion: its metadata has no 'emotion' and its prompt no style."
            advice = f"Give it one of {known}, or name one for all requests: {self.name}:,target=EMOTION."
            return Failure(FailureKind.NO_REFERENCE, f"{message} {advice}")
        name = emotion_name(given)
        if name in self._model.emotions:
            return name
        message = f"'{request.id}' asks for {given!r}, which {self._model.judge} does not know; it knows {known}."
        return Failure(FailureKind.NO_REFERENCE, message)


def _prompt_audio(request: Request) -> AudioSource | None:
    return request.prompt.audio if request.prompt else None


def cosine(first: np.ndarray, second: np.ndarray) -> float:
    """Of two vectors; 0 where one has no direction."""
    lengths = float(np.linalg.norm(first)) * float(np.linalg.norm(second))
    return float(np.clip(first @ second / lengths, -1.0, 1.0)) if lengths > 0 else 0.0


def _most_probable(shares: dict[str, float]) -> str:
    return max(shares, key=lambda emotion: shares[emotion])
