"""Models of transformers that hear a clip as a whole, with their feature extractor, out of a folder.

Weights are safetensors, or pickles read with `weights_only`; code beside them is not run. A folder without a
trained head is refused, where transformers would make one up.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tts_eval.errors import MissingDependencyError, WeightsError
from tts_eval.hub import quiet_transformers

if TYPE_CHECKING:
    import torch

RATE = 16_000


class AudioModel(NamedTuple):
    """A network that is ready to run, and what makes its inputs of samples."""

    network: Any
    extractor: Any


def load_audio_model(
    auto: str, folder: Path, device: torch.device, *, kind: str, example: str, extra: str, unused: Sequence[str] = ()
) -> AudioModel:
    """The model in a folder.

    Args:
        auto: Name of the class of transformers that knows its architecture.
        folder: Where config.json, preprocessor_config.json and the weights lie.
        device: Where it runs.
        kind: What it is called in messages, such as "x-vector model".
        example: A model that would do.
        extra: The extra of this package that brings transformers.
        unused: How the names of weights begin that may be missing.

    Raises:
        WeightsError: the folder holds no such model for audio at 16 kHz.
        MissingDependencyError: transformers is not installed.
    """
    try:
        import torch
        import transformers
    except ImportError as error:
        raise MissingDependencyError("transformers", str(folder), f"tts-eval-harness[{extra}]") from error
    local = {"local_files_only": True, "trust_remote_code": False}
    extractors: Any = transformers.AutoFeatureExtractor
    try:
        with quiet_transformers():
            extractor = extractors.from_pretrained(folder, **local)
            network, loading = getattr(transformers, auto).from_pretrained(
                folder, dtype=torch.float32, weights_only=True, output_loading_info=True, **local
            )
    except Exception as error:  # transformers and safetensors raise half a dozen kinds
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise WeightsError(
            f"transformers cannot load the {kind} in {folder}: {reason} Expected config.json, "
            "preprocessor_config.json and *.safetensors that belong together."
        ) from error
    missing = sorted(key for key in loading["missing_keys"] if not key.startswith(tuple(unused)))
    if missing:
        raise WeightsError(
            f"{folder} has no weights for {', '.join(missing[:3])} ({len(missing)} in all); expected a fine-tuned "
            f"{kind}, such as {example}."
        )
    if extractor.sampling_rate != RATE:
        raise WeightsError(f"{folder} hears {extractor.sampling_rate} Hz; expected a model for {RATE} Hz.")
    return AudioModel(network.eval().to(device), extractor)
