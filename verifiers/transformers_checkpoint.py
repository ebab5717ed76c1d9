"""A speech recogniser's folder in transformers' format, here or on the Hugging Face hub."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tts_eval.errors import ConfigError, WeightsError
from tts_eval.hub import PICKLES, SAFETENSORS, Source, checkpoint_fingerprint, download_checkpoint, has_files

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
    with readable(folder):
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return Checkpoint(folder, folder.resolve().name if local else model, config)


@contextmanager
def readable(folder: Path) -> Iterator[None]:
    """Name the folder in whatever goes wrong while its files are read.

    Raises:
        WeightsError: in place of what a library raised.
    """
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
