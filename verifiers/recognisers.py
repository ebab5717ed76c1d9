"""Recognisers by name: `[BACKEND:]MODEL[:exact]`, as users write it after `asr:` or `likelihood:`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tts_eval.errors import ConfigError
from tts_eval.loaded import once, place_of
from verifiers.recognition import DEFAULT_MODEL, Recogniser
from verifiers.sharing import SharedRecogniser

BACKENDS = ("faster-whisper", "openai-whisper", "transformers", "funasr")
"""The first is meant where none is named."""
EXAMPLES = ("tiny.en", "base:exact", "/models/whisper-small-ct2", "openai-whisper:small.en", "transformers:FOLDER")
_DEFAULT_MODELS = {"faster-whisper": DEFAULT_MODEL, "openai-whisper": DEFAULT_MODEL, "funasr": "paraformer-zh"}


def load_recogniser(argument: str, verifier: str) -> Recogniser:
    """The recogniser for `[BACKEND:]MODEL[:exact]`; "" means tiny.en. Messages name the `verifier` it is for.

    Verifiers that ask for the same one share it, and what it hears.

    Raises:
        ConfigError: the argument names no backend, model or mode.
        WeightsError: the model's weights are not on this machine.
        MissingDependencyError: the backend is not installed.
    """
    backend, model, exact = _parse(argument, verifier)
    load, options = _loader(backend), {"exact": exact} if backend == BACKENDS[0] else {}
    # CTranslate2 hears a known text in a shorter window, unless it is told to keep Whisper's own.
    one_window = backend != BACKENDS[0] or exact
    return once(
        lambda: SharedRecogniser(load(model, **options), one_window=one_window), load, place_of(model), one_window
    )


def _loader(backend: str) -> Callable[..., Recogniser]:
    if backend == "openai-whisper":
        from verifiers import whisper_openai

        return whisper_openai.load
    if backend == "transformers":
        from verifiers import transformers_models

        return transformers_models.load
    if backend == "funasr":
        from verifiers import paraformer

        return paraformer.load
    from verifiers import whisper_ctranslate2

    return whisper_ctranslate2.load


def _parse(argument: str, verifier: str) -> tuple[str, str, bool]:
    """Backend, model, and whether `exact` was asked for."""
    parts = [part.strip() for part in argument.split(":")]
    named = parts[0] in BACKENDS
    backend = parts.pop(0) if named else BACKENDS[0]
    exact = parts[-1:] == ["exact"] and bool(parts.pop())
    model = ":".join(parts) or _DEFAULT_MODELS.get(backend, "")
    written = f"'{verifier}:{argument}'"
    problems = []
    if not model:
        problems.append(f"{written} names no model.")
    if len(parts) > 1 and not Path(model).expanduser().exists():
        if not named:
            problems.append(f"'{parts[0]}' in {written} is no backend; expected {' or '.join(BACKENDS)}.")
        if not exact:
            problems.append(f"'{parts[-1]}' in {written} is no mode; expected 'exact' or nothing.")
        if named and exact:
            problems.append(f"'{model}' in {written} is no model.")
    if problems:
        grammar = f"{verifier}:[BACKEND:]MODEL[:exact]{'[:PROTOCOL]' if verifier == 'asr' else ''}"
        raise ConfigError(
            [*problems, f"Write {grammar}, e.g. {', '.join(f'{verifier}:{example}' for example in EXAMPLES)}."]
        )
    return backend, model, exact
