"""Checkpoints by folder or by their name on the Hugging Face hub, and transformers without its chatter."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tts_eval.errors import MissingDependencyError, WeightsError

SETTINGS = ("*.json", "*.txt")
# Whisper large-v3 has float32 shards beside them, which are the same weights twice over.
SAFETENSORS = ("model.safetensors", "model-*-of-*.safetensors")
PICKLES = ("pytorch_model.bin", "pytorch_model-*-of-*.bin")


class Source(NamedTuple):
    """A folder, or a hub name with a revision ("" is the newest)."""

    name: str
    revision: str

    @classmethod
    def parse(cls, text: str) -> Source:
        """Split NAME@REVISION; a folder may have an @ in its name."""
        name, _, revision = text.partition("@")
        return cls(text, "") if Path(text).expanduser().exists() else cls(name, revision)

    @property
    def is_hub_name(self) -> bool:
        """Whether the name looks like OWNER/NAME, and not like a path."""
        is_path = self.name.startswith(("/", ".", "~"))
        return not is_path and re.fullmatch(r"[\w.-]+/[\w.-]+", self.name) is not None


def download(source: Source, purpose: str, patterns: Sequence[str]) -> Path:
    """The folder of the hub's files that match one of the patterns; what is here already is not fetched again.

    Raises:
        WeightsError: no such repository or revision, or no way to it.
        MissingDependencyError: transformers, and so its hub client, is not installed.
    """
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError
    except ImportError as error:
        raise MissingDependencyError("transformers", f"The {purpose}", "tts-eval-harness[transformers]") from error
    try:
        return Path(snapshot_download(source.name, revision=source.revision or None, allow_patterns=list(patterns)))
    except HFValidationError as error:
        raise WeightsError(f"No folder '{source.name}' ({purpose}), and no possible name on the hub.") from error
    except (HfHubHTTPError, OSError) as error:  # offline, no such repository or revision, no permission, no space
        name = f"{source.name}@{source.revision}" if source.revision else source.name
        raise WeightsError(
            f"'{name}' ({purpose}) is no folder here and cannot be had from the hub: {error}. Give the folder of a "
            "checkpoint, or check the name and the connection."
        ) from error


def download_checkpoint(source: Source, purpose: str, others: Sequence[str] = ()) -> Path:
    """The folder of a checkpoint of transformers, or of one with the files `others`; pickles where it has nothing else.

    Raises:
        WeightsError, MissingDependencyError: as `download`.
    """
    folder = download(source, purpose, [*SETTINGS, *SAFETENSORS, *others])
    if has_files(folder, (*SAFETENSORS, *others)):
        return folder
    return download(source, purpose, [*SETTINGS, *PICKLES])


def local_or_hub(source: Source, purpose: str, others: Sequence[str] = ()) -> Path:
    """The source where it is a folder; else its checkpoint from the hub, with the files `others` beside it.

    Raises:
        WeightsError, MissingDependencyError: as `download`.
    """
    folder = Path(source.name).expanduser()
    if folder.is_dir():
        return folder.resolve()
    if others:
        download(source, purpose, others)
    return download_checkpoint(source, purpose)


def has_files(folder: Path, patterns: Sequence[str]) -> bool:
    """Whether the folder has a file that matches one of the patterns."""
    return any(path for pattern in patterns for path in folder.glob(pattern))


def checkpoint_fingerprint(folder: Path) -> str:
    """Twelve hex digits that change with the settings, the vocabulary and the weights of a checkpoint."""
    weights = SAFETENSORS if has_files(folder, SAFETENSORS) else PICKLES
    return fingerprint(path for pattern in (*SETTINGS, *weights) for path in folder.glob(pattern))


def fingerprint(files: Iterable[Path]) -> str:
    """Twelve hex digits that change with the name or the bytes of any of the files, in whatever order they come."""
    total = hashlib.sha256()
    for file in sorted(set(files)):
        with file.open("rb") as stream:
            total.update(file.name.encode() + hashlib.file_digest(stream, "sha256").digest())
    return total.hexdigest()[:12]


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """No progress bars of transformers meanwhile: loading takes seconds, and the command line has bars of its own."""
    from transformers.utils import logging as transformers_logging

    logging: Any = transformers_logging
    was_active = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if was_active:
            logging.enable_progress_bar()
