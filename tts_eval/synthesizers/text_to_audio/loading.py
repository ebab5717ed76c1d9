"""From the name of a checkpoint to a voice that speaks."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tts_eval.devices import choose_device
from tts_eval.errors import MissingDependencyError, TTSEvalError, WeightsError
from tts_eval.hub import checkpoint_fingerprint, local_or_hub, quiet_transformers
from tts_eval.synthesizers.text_to_audio.options import VoiceOptions
from tts_eval.synthesizers.text_to_audio.voice import Voice

if TYPE_CHECKING:
    import torch

PURPOSE = "text-to-audio model"
TOKENIZERS = ("*.model",)
"""Files of checkpoints beside settings and weights."""
VOICES = {
    "speecht5": "tts_eval.synthesizers.text_to_audio.speecht5:SpeechT5Voice",
    "vits": "tts_eval.synthesizers.text_to_audio.vits:VitsVoice",
}
"""`model_type` of config.json -> who speaks with it."""


class Loaded(NamedTuple):
    """A voice, where it runs, and what is known of its weights."""

    voice: Voice
    device: torch.device
    revision: str


def load(options: VoiceOptions) -> Loaded:
    """The voice of a checkpoint.

    Raises:
        WeightsError: there is no such checkpoint, or it is of no type that can speak here.
        MissingDependencyError: transformers, or what the checkpoint needs beside it, is not installed.
        ConfigError: there is no such device or speaker.
    """
    try:
        import transformers  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError(
            "transformers", "The synthesizer 'transformers'", "tts-eval-harness[transformers]"
        ) from error
    device = choose_device(options.device)
    folder = local_or_hub(options.source, PURPOSE, TOKENIZERS)
    kind = _model_type(folder)
    if kind not in VOICES:
        raise WeightsError(f"{folder} is of type '{kind}'; expected a model of type {' or '.join(sorted(VOICES))}.")
    module, _, name = VOICES[kind].partition(":")
    try:
        with quiet_transformers():
            voice: Voice = getattr(importlib.import_module(module), name)(folder, options, device)
    except TTSEvalError:
        raise
    except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
        raise WeightsError(f"{folder} cannot be loaded as a {PURPOSE} of type '{kind}': {error}") from error
    label = folder.name if Path(options.source.name).expanduser().is_dir() else options.source.name
    return Loaded(voice, device, f"{label}@{checkpoint_fingerprint(folder)}{voice.identity}+{device.type}")


def _model_type(folder: Path) -> str:
    try:
        return str(json.loads((folder / "config.json").read_text(encoding="utf-8"))["model_type"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(
            f"{folder} has no config.json of transformers with a model_type ({error!r}); expected a {PURPOSE}."
        ) from error
