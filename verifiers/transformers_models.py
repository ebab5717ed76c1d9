"""Speech recognisers that transformers carries, by folder or hub name: Whisper, and CTC models on wav2vec 2.0's frame.

config.json says which of the two a checkpoint is. Weights are float32, the number type of the
published protocols that use them; pickled ones are read with `weights_only`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tts_eval.errors import ConfigError, MissingDependencyError, WeightsError
from tts_eval.hub import (
    PICKLES,
    SAFETENSORS,
    Source,
    checkpoint_fingerprint,
    download_checkpoint,
    has_files,
    quiet_transformers,
)
from verifiers.recognition import Recogniser

NAME = "transformers"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A folder in transformers' format."""

    folder: Path
    name: str
    """What reports call it."""
    config: dict[str, Any]
    """Its config.json."""

    @property
    def fingerprint(self) -> str:
        """Twelve hex digits that change with the settings, the vocabulary and the weights."""
        return checkpoint_fingerprint(self.folder)


def load(model: str) -> Recogniser:
    """The recogniser in a folder, or of that OWNER/NAME[@REVISION] on the Hugging Face hub.

    Raises:
        MissingDependencyError: transformers is not installed.
        ConfigError: the model is neither, or the checkpoint is no speech recogniser.
        WeightsError: the checkpoint cannot be downloaded or read.
    """
    try:
        import transformers  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError("transformers", f"{NAME}:{model}", "tts-eval-harness[transformers]") from error
    checkpoint = find(model)
    architectures = checkpoint.config.get("architectures") or [""]
    with _readable(checkpoint.folder), quiet_transformers():
        if checkpoint.config.get("model_type") == "whisper":
            from verifiers.whisper_transformers import TransformersWhisperRecogniser

            return TransformersWhisperRecogniser(checkpoint)
        if architectures[0].endswith("ForCTC"):
            from verifiers.ctc import CTCRecogniser

            return CTCRecogniser(checkpoint)
    raise ConfigError(
        [
            f"{checkpoint.name} holds {architectures[0] or 'no model that its config.json names'}; {NAME} recognises "
            "speech with Whisper (WhisperForConditionalGeneration) or a CTC model (...ForCTC), e.g. "
            f"{NAME}:openai/whisper-small or {NAME}:facebook/hubert-large-ls960-ft."
        ]
    )


def find(model: str) -> Checkpoint:
    """The checkpoint's folder here, downloaded where it is none.

    Raises:
        ConfigError: neither a folder with a checkpoint nor a possible hub name.
        WeightsError: it cannot be had from the hub.
    """
    folder, source = Path(model).expanduser(), Source.parse(model)
    local = folder.exists() or model.startswith(("/", ".", "~"))
    if not local and not source.is_hub_name:
        raise ConfigError(
            [
                f"Unknown model '{model}' for {NAME}: expected the folder of a checkpoint or OWNER/NAME[@REVISION] of "
                f"one on the Hugging Face hub, e.g. {NAME}:openai/whisper-small."
            ]
        )
    if not local:
        folder = download_checkpoint(source, "speech recogniser")
    missing = [file for file in ("config.json", "preprocessor_config.json") if not (folder / file).is_file()]
    if not has_files(folder, (*SAFETENSORS, *PICKLES)):
        missing.append("model.safetensors")
    if missing:
        raise ConfigError(
            [
                f"{folder} is no checkpoint of transformers: it lacks {', '.join(missing)}. Expected the folder that "
                "save_pretrained() of a model and its processor wrote."
            ]
        )
    with _readable(folder):
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return Checkpoint(folder, folder.resolve().name if local else model, config)


@contextmanager
def _readable(folder: Path) -> Iterator[None]:
    try:
        yield
    except (WeightsError, ConfigError):
        raise
    except Exception as error:  # transformers, tokenizers and safetensors raise half a dozen kinds
        reason = (str(error).strip().splitlines() or [""])[0]
        raise WeightsError(
            f"transformers cannot load the speech recogniser in {folder}: {type(error).__name__}: {reason} "
            "Check that weights, config.json and vocabulary belong together."
        ) from error
