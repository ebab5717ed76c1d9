"""Small random checkpoints, layer by layer under the names that a published file gives them."""

from __future__ import annotations

import math

import numpy as np


class RandomWeights:
    """Weights that keep the size of what passes through them; biases and norms away from their neutral values."""

    def __init__(self, seed: int) -> None:
        self.state: dict[str, np.ndarray] = {}
        self._generator = np.random.default_rng(seed)

    def normal(self, name: str, *shape: int, scale: float = 0.0) -> None:
        scale = scale or 1.0 / math.sqrt(np.prod(shape[1:]) or 1.0)
        self.state[name] = (scale * self._generator.standard_normal(shape)).astype(np.float32)

    def affine(self, name: str, size: int) -> None:
        self.state[f"{name}.weight"] = (1 + 0.2 * self._generator.standard_normal(size)).astype(np.float32)
        self.normal(f"{name}.bias", size, scale=0.2)

    def linear(self, name: str, outputs: int, *inputs: int) -> None:
        self.normal(f"{name}.weight", outputs, *inputs)
        self.normal(f"{name}.bias", outputs, scale=0.2)

    def batch_norm(self, name: str, size: int) -> None:
        self.affine(name, size)
        self.normal(f"{name}.running_mean", size, scale=0.3)
        self.state[f"{name}.running_var"] = self._generator.uniform(0.5, 2.0, size).astype(np.float32)
        self.state[f"{name}.num_batches_tracked"] = np.array(3)
