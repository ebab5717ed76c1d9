"""Where a model runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tts_eval.errors import ConfigError

if TYPE_CHECKING:
    import torch

DEVICES = r"cpu|cuda(:\d+)?"
"""Pattern of what a user may write."""


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
