"""Checkpoints from the Hugging Face hub, and transformers without its chatter."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tts_eval.errors import MissingDependencyError, WeightsError
from tts_eval.synthesizers.llasa.options import Source


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
        raise MissingDependencyError("transformers", f"The {purpose}", "tts-eval-harness[llasa]") from error
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
