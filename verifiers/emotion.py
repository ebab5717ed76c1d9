"""Is it said with the emotion that was asked for? Class probabilities of an emotion classifier.

`emotion:MODEL` compares with a label: `emotion` of the request's metadata, else the style of its prompt, where
that is an emotion's name. `target` is the probability of that emotion, `margin` how far it is above the
most probable other one. `emotion:MODEL,target=prompt` compares with the prompt's audio: `similarity` is the
cosine of the two embeddings, `target` and `margin` are of the emotion that is heard in the prompt. Embeddings of
all speech point much the same way (two different emotions often exceed 0.9), so read `similarity` beside `margin`.

The classifier (`verifiers.emotion_model`) is the judge: numbers of two models are never comparable. Works on
unfinished candidates from `PARTIAL_SECONDS` on.
"""

from __future__ import annotations

import difflib
import re
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tts_eval.audio import AudioSource, Clip, load_clip
from tts_eval.devices import DEVICES
from tts_eval.emotions import Heard, emotion_name
from tts_eval.errors import AudioError, ConfigError
from tts_eval.guards import audio_failure
from tts_eval.types import Failure, FailureKind, Item, Metric, Request, Score
from verifiers.emotion_model import RATE, EmotionModel, load_model
from verifiers.judging import Judgement, clip_of, score_items

PARTIAL_SECONDS = 1.0
"""Of an unfinished candidate, less than this is undecided."""
MAX_PROMPTS = 1024
"""Prompts remembered, a few kB each; the least recently used goes first."""

_KEYS = {"device": DEVICES, "target": r"label|prompt"}
_EXAMPLE = "emotion:/models/my-classifier,device=cuda,target=prompt"


class EmotionOptions(NamedTuple):
    """What stands after `emotion:`; "" leaves the choice to us."""

    model: str
    device: str
    target: str


def parse_options(argument: str) -> EmotionOptions:
    """The options in `[MODEL][,device=DEVICE][,target=label|prompt]`.

    Raises:
        ConfigError: unknown or impossible options; all of them are listed.
    """
    model, *settings = (part.strip() for part in argument.split(","))
    values: dict[str, str] = {}
    problems = []
    for setting in settings:
        key, _, value = setting.partition("=")
        if key not in _KEYS:
            close = difflib.get_close_matches(key, _KEYS, n=1)
            hint = f"Did you mean '{close[0]}'?" if close else f"Expected one of: {', '.join(_KEYS)}."
            problems.append(f"Unknown option '{key}' in 'emotion:{argument}'. {hint} For example {_EXAMPLE}.")
        elif not re.fullmatch(_KEYS[key], value):
            problems.append(f"{key} is '{value}' in 'emotion:{argument}'; for example {_EXAMPLE}.")
        values[key] = value
    if problems:
        raise ConfigError(problems)
    return EmotionOptions(model, values.get("device", ""), values.get("target", "label"))


def create(argument: str) -> EmotionVerifier:
    """The verifier for `[MODEL][,device=DEVICE][,target=label|prompt]`, as written after `emotion:`; "" is `nano`.

    Raises:
        ConfigError: the argument is wrong, or the machine has no such device.
        WeightsError: the model's weights are not here and cannot be had, or are of another kind.
        MissingDependencyError: the package that runs the model is not installed.
    """
    options = parse_options(argument)
    return EmotionVerifier(load_model(options.model, options.device), by_prompt=options.target == "prompt")


class EmotionVerifier:
    """Probability and margin of the wanted emotion; higher is better."""

    name = "emotion"
    version = "1"
    supports_partial = True

    def __init__(self, model: EmotionModel, *, by_prompt: bool = False) -> None:
        """Judge with a model, by the emotion of the prompt's audio or by the request's label."""
        self.judge = f"{model.judge}:prompt" if by_prompt else model.judge
        protocol = "emotion-prompt@1" if by_prompt else "emotion-label@1"
        worst = {"similarity": -1.0} if by_prompt else {}
        self.metrics = tuple(
            Metric(name=name, higher_is_better=True, worst=value, protocol=protocol)
            for name, value in {**worst, "target": 0.0, "margin": -1.0}.items()
        )
        self._model = model
        self._by_prompt = by_prompt
        self._prompts: OrderedDict[str, Heard] = OrderedDict()

    def score(self, items: Sequence[Item]) -> list[Score]:
        """One score per item; its values also hold the probability of every emotion."""
        return score_items(self, items, self._judge, partial_seconds=PARTIAL_SECONDS)

    def _judge(self, items: Sequence[Item]) -> list[Judgement | Failure]:
        wanted = self._of_prompts(items) if self._by_prompt else [self._label(item.request) for item in items]
        problems = [
            target if isinstance(target, Failure) else self._too_short(clip_of(item))
            for item, target in zip(items, wanted, strict=True)
        ]
        # A candidate with nothing to compare with would be heard for nothing.
        asked = [index for index, problem in enumerate(problems) if problem is None]
        heard = dict(zip(asked, self._model.hear([clip_of(items[index]).at(RATE) for index in asked]), strict=True))
        return [
            problem or self._compare(target, heard[index])
            for index, (target, problem) in enumerate(zip(wanted, problems, strict=True))
        ]

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
        return Judgement(values, {"wanted": wanted, "heard": _most_probable(shares)})

    def _shares(self, heard: Heard) -> dict[str, float]:
        """Probability by emotion; labels of one name are added."""
        shares = dict.fromkeys(self._model.emotions, 0.0)
        for emotion, probability in zip(self._model.emotions, heard.probabilities.tolist(), strict=True):
            shares[emotion] += probability
        return shares

    def _label(self, request: Request) -> str | Failure:
        given = request.metadata.get("emotion") or (request.prompt.style if request.prompt else None)
        known = ", ".join(dict.fromkeys(self._model.emotions))
        if not given:
            message = f"'{request.id}' asks for no emotion: its metadata has no 'emotion' and its prompt no style."
            return Failure(FailureKind.NO_REFERENCE, f"{message} Expected one of {known}.")
        name = emotion_name(given)
        if name in self._model.emotions:
            return name
        message = f"'{request.id}' asks for {given!r}, which {self._model.judge} does not know; it knows {known}."
        return Failure(FailureKind.NO_REFERENCE, message)

    def _of_prompts(self, items: Sequence[Item]) -> list[Heard | Failure]:
        sources = [item.request.prompt.audio if item.request.prompt else None for item in items]
        keys = [_key(source) for source in sources]
        found: dict[str, Heard | Failure] = {}
        clips: dict[str, Clip] = {}
        for key, source in dict(zip(keys, sources, strict=True)).items():
            if key in self._prompts:
                self._prompts.move_to_end(key)
                found[key] = self._prompts[key]
                continue
            loaded = self._loaded(source)
            if isinstance(loaded, Failure):
                found[key] = loaded
            else:
                clips[key] = loaded
        for key, heard in zip(clips, self._model.hear([clip.at(RATE) for clip in clips.values()]), strict=True):
            found[key] = self._prompts[key] = heard
        while len(self._prompts) > MAX_PROMPTS:
            self._prompts.popitem(last=False)
        return [found[key] for key in keys]

    def _loaded(self, source: AudioSource | None) -> Clip | Failure:
        if source is None:
            return Failure(FailureKind.NO_REFERENCE, "The request has no prompt audio to take the emotion from.")
        try:
            clip = load_clip(source)
        except AudioError as error:
            return Failure(FailureKind.NO_REFERENCE, str(error))
        failure = audio_failure(clip) or self._too_short(clip)
        if failure is not None:
            return Failure(FailureKind.NO_REFERENCE, f"The prompt audio cannot be used: {failure.message}")
        return clip

    def _too_short(self, clip: Clip) -> Failure | None:
        if clip.seconds >= self._model.shortest_seconds:
            return None
        message = f"The clip has {clip.seconds:.3f} s; the classifier needs {self._model.shortest_seconds:.3f} s."
        return Failure(FailureKind.SHORT, message)


def cosine(first: np.ndarray, second: np.ndarray) -> float:
    """Of two vectors; 0 where one has no direction."""
    lengths = float(np.linalg.norm(first)) * float(np.linalg.norm(second))
    return float(np.clip(first @ second / lengths, -1.0, 1.0)) if lengths > 0 else 0.0


def _most_probable(shares: dict[str, float]) -> str:
    return max(shares, key=lambda emotion: shares[emotion])


def _key(source: AudioSource | None) -> str:
    if isinstance(source, Path):
        # A file that was replaced while this process lives is another prompt.
        stat = source.stat() if source.is_file() else None
        return f"path:{source.resolve()}:{stat.st_mtime_ns if stat else ''}:{stat.st_size if stat else ''}"
    return f"clip:{source.sha256}" if source is not None else "none"
