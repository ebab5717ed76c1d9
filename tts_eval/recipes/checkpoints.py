"""Checkpoints of a training run: complete or absent, the latest one found again, older ones removed.

A checkpoint is a folder with every module's tensors (safetensors), the optimisers' state (read back
with weights_only) and the step it was written at together with the shape of what is trained.
"""

from __future__ import annotations

import json
import math
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import nn

from tts_eval.errors import ConfigError
from tts_eval.files import TEMPORARY_PREFIX

KEPT = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class LearningRate:
    """Rises, stays, and falls as 1 - sqrt over the last steps, so that the end need not be known at the start."""

    rate: float
    warmup_steps: int = 300
    steps: int | None = None
    """Where training ends, if that is known."""
    decay_steps: int = 0

    def at(self, step: int) -> float:
        """The learning rate of a step."""
        rate = self.rate * min(1.0, (step + 1) / self.warmup_steps)
        if self.steps is None or step < self.steps - self.decay_steps:
            return rate
        return rate * (1 - math.sqrt((step - self.steps + self.decay_steps) / self.decay_steps))


def steps_to_go(step: Callable[[], int], *, steps: int | None, minutes: float | None) -> Iterator[None]:
    """Yields before each step, until `steps` are taken or `minutes` over.

    SIGINT or SIGTERM ends it as well, once the step is done, so that a checkpoint can be written; a second
    signal ends the process at once.
    """
    started = time.monotonic()
    with _signals() as came:
        while not came and (steps is None or step() < steps):
            if minutes is not None and time.monotonic() - started >= 60 * minutes:
                return
            yield


@contextmanager
def _signals() -> Iterator[list[int]]:
    """The first SIGINT or SIGTERM, once it has come; the next one finds the handlers that were there before."""
    came: list[int] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def note(number: int, frame: FrameType | None) -> None:
        came.append(number)
        restore()

    for number in before:
        signal.signal(number, note)
    try:
        yield came
    finally:
        restore()


def save_checkpoint(
    folder: Path,
    step: int,
    config: Mapping[str, Any],
    modules: Mapping[str, nn.Module],
    optimisers: Mapping[str, torch.optim.Optimizer],
) -> None:
    """Write `folder/checkpoint-STEP`; all but the last two go."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    for leftover in folder.glob(f"{TEMPORARY_PREFIX}*"):
        shutil.rmtree(leftover)
    scratch = Path(tempfile.mkdtemp(dir=folder, prefix=TEMPORARY_PREFIX))
    # Cloned, because tied weights may not be written twice as one memory.
    tensors = {
        f"{part}.{name}": tensor.detach().cpu().clone()
        for part, module in modules.items()
        for name, tensor in module.state_dict().items()
    }
    save_file(tensors, scratch / "model.safetensors")
    torch.save({name: optimiser.state_dict() for name, optimiser in optimisers.items()}, scratch / "optimisers.pt")
    (scratch / "progress.json").write_text(json.dumps({"step": step, "config": dict(config)}), encoding="utf-8")
    scratch.chmod(0o755)
    target = folder / f"checkpoint-{step:08}"
    shutil.rmtree(target, ignore_errors=True)
    scratch.rename(target)
    for old in _checkpoints(folder)[:-KEPT]:
        shutil.rmtree(old, ignore_errors=True)


def load_checkpoint(
    folder: Path,
    config: Mapping[str, Any],
    modules: Mapping[str, nn.Module],
    optimisers: Mapping[str, torch.optim.Optimizer],
) -> int:
    """Load the latest checkpoint under `folder`; returns its step, 0 where there is none.

    Raises:
        ConfigError: the checkpoint is of another shape.
    """
    from safetensors.torch import load_file

    checkpoints = _checkpoints(folder)
    if not checkpoints:
        return 0
    progress = json.loads((checkpoints[-1] / "progress.json").read_text(encoding="utf-8"))
    if progress["config"] != json.loads(json.dumps(dict(config))):
        raise ConfigError(
            [f"{checkpoints[-1]} is of another shape or codec: {progress['config']}. Choose another --out."]
        )
    tensors = load_file(checkpoints[-1] / "model.safetensors")
    for part, module in modules.items():
        prefix = f"{part}."
        module.load_state_dict({k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)})
    states = torch.load(checkpoints[-1] / "optimisers.pt", map_location="cpu", weights_only=True)
    for name, optimiser in optimisers.items():
        optimiser.load_state_dict(states[name])
    return int(progress["step"])


def _checkpoints(folder: Path) -> list[Path]:
    return sorted(folder.glob("checkpoint-*"))
