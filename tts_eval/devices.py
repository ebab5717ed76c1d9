"""Where a model runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tts_eval.errors import ConfigError

if TYPE_CHECKING:
    import torch

DEVICES = r"cpu|cuda(:\d+)?"
"""Pattern of what a user may write."""


def most_together(device: torch.device | str, most: int) -> int:
    """How many samples of audio go through a model together: `most` on a GPU; 0 on a CPU, where clips come alone.

    There a batch gains nothing, and its padding would change the last digits of a clip's number with its company:
    a run that was resumed, or spread over workers, would not repeat them.
    """
    return 0 if str(device).startswith("cpu") else most


def choose_device(device: str) -> torch.device:
    """The device of that name; for "" a GPU where there is one, else the CPU.

    Raises:
        ConfigError: the machine has no such device.
    """
    import torch

    chosen = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        raise ConfigError([f"device is '{device}', but PyTorch sees {count} CUDA devices here; use device=cpu."])
    return chosen
