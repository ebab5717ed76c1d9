"""Recognisers by name: `[BACKEND:]MODEL[:exact]`, as users write it after `asr:` or `likelihood:`."""

from __future__ import annotations

from pathlib import Path

from tts_eval.errors import ConfigError
from verifiers.recognition import DEFAULT_MODEL, Recogniser

BACKENDS = ("faster-whisper", "openai-whisper")


def load_recogniser(argument: str, verifier: str) -> Recogniser:
    """The recogniser for `[BACKEND:]MODEL[:exact]`; "" means tiny.en. Messages name the `verifier` it is for.

    Raises:
        ConfigError: the argument names no backend, model or mode.
        WeightsError: the model's weights are not on this machine.
        MissingDependencyError: the backend is not installed.
    """
    backend, model, exact = _parse(argument, verifier)
    if backend == "openai-whisper":
        from verifiers import whisper_openai

        return whisper_openai.load(model)
    from verifiers import whisper_ctranslate2

    return whisper_ctranslate2.load(model, exact=exact)


def _parse(argument: str, verifier: str) -> tuple[str, str, bool]:
    """Backend, model, and whether `exact` was asked for."""
    parts = [part.strip() for part in argument.split(":")]
    backend = parts.pop(0) if parts[0] in BACKENDS else ""
    exact = parts[-1:] == ["exact"] and bool(parts.pop())
    model = ":".join(parts)
    problems = []
    if len(parts) > 1 and not Path(model).expanduser().exists():
        written = f"'{verifier}:{argument}'"
        if not backend:
            problems.append(f"'{parts[0]}' in {written} is no backend; expected {' or '.join(BACKENDS)}.")
        if not exact:
            problems.append(f"'{parts[-1]}' in {written} is no mode; expected 'exact' or nothing.")
        if backend and exact:
            problems.append(f"'{model}' in {written} is no model.")
    if problems:
        grammar = f"{verifier}:[BACKEND:]MODEL[:exact]{'[:PROTOCOL]' if verifier == 'asr' else ''}"
        examples = ("tiny.en", "base:exact", "/models/whisper-small-ct2", "openai-whisper:small.en")
        raise ConfigError(
            [*problems, f"Write {grammar}, e.g. {', '.join(f'{verifier}:{example}' for example in examples)}."]
        )
    return backend or BACKENDS[0], model or DEFAULT_MODEL, exact
