"""Models that FunASR runs, by their name on its hub or by folder.

Loading one sets the process's random seeds and thread count; that is FunASR's doing. Code that lies beside
a model is not run.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from tts_eval.errors import MissingDependencyError, WeightsError
from tts_eval.execution import available_cores
from tts_eval.hub import fingerprint

WEIGHTS = "model.pt"


class FunasrModel(NamedTuple):
    """A `funasr.AutoModel` and what it is called in scores."""

    model: Any
    judge: str


def load_funasr(model: str, *, needed_for: str, extra: str, device: str = "") -> FunasrModel:
    """The model of that name or in that folder, alone: without voice activity detection and punctuation.

    Args:
        model: What FunASR knows, OWNER/NAME of its hub, or a folder.
        needed_for: Who asks, for messages.
        extra: The extra of this package that brings funasr.
        device: Where it runs; "" leaves it to FunASR.

    Raises:
        MissingDependencyError: funasr is not installed.
        WeightsError: the model cannot be downloaded or read.
    """
    try:
        from funasr import AutoModel
    except ImportError as error:
        raise MissingDependencyError("funasr", needed_for, f"tts-eval-harness[{extra}]") from error
    folder = Path(model).expanduser()
    try:
        loaded = AutoModel(
            model=str(folder) if folder.is_dir() else model,
            disable_update=True,
            disable_pbar=True,
            log_level="ERROR",
            ncpu=available_cores(),
            **({"device": device} if device else {}),
        )
    except Exception as error:  # whatever FunASR, its hubs and their transport raise
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise WeightsError(
            f"FunASR cannot load '{model}': {reason} Check the connection, or give the folder of a copy."
        ) from error
    weights = Path(str(loaded.model_path)) / WEIGHTS
    if not weights.is_file():
        raise WeightsError(f"FunASR loaded no {weights}; expected the weights there. Use a folder that has them.")
    name = folder.resolve().name if folder.is_dir() else model
    return FunasrModel(loaded, f"funasr:{name}@{fingerprint([weights])}")
