"""DistillMOS: the opinion score of speech that a small network learned from a large one.

Follows microsoft/Distill-MOS 0.9.1 (MIT), whose weights it runs, with the transformer of
xls_r_sqa 0.1.0: compressed complex spectrum, 6 convolutions, 7 transformer layers, attention pooling. A clip
is padded with zeros to 7.68 s; of a longer one, windows of that length at most a second apart are averaged.
Unlike the original, the windows of many clips share a call, and nothing is printed. Runs on the CPU.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from tts_eval.errors import WeightsError
from tts_eval.execution import batched

RATE = 16_000
WINDOW = 122_880
MOST_HOP = RATE
FFT, HOP = 320, 160
COMPRESSION = 0.3
CHANNELS = (64, 64, 128, 256, 256, 256)
BINS_LEFT = 4
"""Of the spectrum's 161, after the convolutions."""
WIDTH, HEADS, LAYERS, FRAMES = 200, 8, 7, 384
_PARTS = re.compile(r"^transformer_pool_attn\.(transformer\.|pool\.)?|^cnn\.(?=cnn\.)")
"""Parts of the original that the names of its weights begin with."""
MAX_BATCH = 4
"""Windows per call, of about 0.1 GB each."""


class DistillMosNetwork(nn.Module):
    """Windows of 7.68 s in, opinions out."""

    def __init__(self) -> None:
        super().__init__()
        convolutions: list[nn.Module] = []
        for index, (inputs, outputs) in enumerate(zip((2, *CHANNELS), CHANNELS, strict=False)):
            stride = (1 if index == 0 else 2, 2 if index == len(CHANNELS) - 1 else 1)
            convolutions += [nn.Conv2d(inputs, outputs, 3, stride=stride, padding=(0, 1)), nn.LeakyReLU(0.1)]
        features = CHANNELS[-1] * BINS_LEFT
        layer = nn.TransformerEncoderLayer(WIDTH, HEADS, dim_feedforward=2 * WIDTH, dropout=0.0, batch_first=True)
        self.cnn = nn.Sequential(*convolutions)
        self.norm_input = nn.BatchNorm1d(features)
        self.norm = nn.BatchNorm1d(features)
        self.linear_proj = nn.Linear(features, WIDTH)
        self.transformer_encoder = nn.TransformerEncoder(layer, LAYERS, enable_nested_tensor=False)
        self.norm_trans = nn.BatchNorm1d(WIDTH)
        self.linear1 = nn.Linear(WIDTH, 2 * WIDTH)
        self.linear2 = nn.Linear(2 * WIDTH, 1)
        self.linear3 = nn.Linear(WIDTH, 1)

    def forward(self, windows: Tensor) -> Tensor:
        """Opinions [B] from 1 to 5 of windows [B, 122880] at 16 kHz."""
        loudest = windows.abs().amax(dim=1, keepdim=True) + 1e-8
        x = self.cnn(compressed_spectrum(windows / loudest)).flatten(1, 2)
        x = self.linear_proj(self.norm(self.norm_input(x)).transpose(1, 2)) + positions()
        x = self.norm_trans(self.transformer_encoder(x).transpose(1, 2)).transpose(1, 2)
        attention = self.linear2(torch.relu(self.linear1(x))).softmax(dim=1)
        quality: Tensor = self.linear3((attention * x).sum(dim=1))[:, 0].sigmoid()
        return 1.0 + 4.0 * quality


class DistillMos:
    """The network with its published weights."""

    shortest_seconds = 0.0

    def __init__(self, checkpoint: Path) -> None:
        """Load `distill_mos_v7.pt`.

        Raises:
            WeightsError: the file is not that checkpoint.
        """
        self._network = DistillMosNetwork()
        try:
            state = torch.load(checkpoint, map_location="cpu", weights_only=True)["model"]
            names = {key: _PARTS.sub("", key) for key in state if not key.endswith("position_encoding.pe")}
            self._network.load_state_dict({name: state[key] for key, name in names.items()})
        except Exception as error:  # torch raises half a dozen kinds for a damaged or foreign file
            raise WeightsError(
                f"{checkpoint} is not the DistillMOS checkpoint ({error}). "
                f"Delete {checkpoint.parent} and run: tts-eval fetch distillmos"
            ) from error
        self._network.eval()

    def rate(self, clips_16k: Sequence[np.ndarray]) -> list[float]:
        """One opinion from 1 to 5 per clip of finite samples at 16 kHz."""
        with torch.inference_mode():
            # Clip by clip: the last digits of a number would else depend on its company.
            return [self._rate(windows_of(np.asarray(clip, dtype=np.float32))) for clip in clips_16k]

    def _rate(self, windows: Sequence[np.ndarray]) -> float:
        opinions: list[float] = []
        for batch in batched(windows, MAX_BATCH):
            opinions += self._network(torch.from_numpy(np.stack(batch))).tolist()
        return float(np.mean(opinions))


def windows_of(samples: np.ndarray) -> list[np.ndarray]:
    """Evenly spaced windows of 7.68 s that cover the clip, at most a second apart; a short clip is padded."""
    surplus = len(samples) - WINDOW
    if surplus <= 0:
        return [np.pad(samples, (0, -surplus))]
    starts = np.linspace(0, 1, math.ceil(surplus / MOST_HOP) + 1)
    return [samples[int(start * surplus) :][:WINDOW] for start in starts]


def compressed_spectrum(windows: Tensor) -> Tensor:
    """Real and imaginary parts [B, 2, 161, frames], their magnitude raised to the power 0.3."""
    edge = (FFT - HOP) // 2
    padded = nn.functional.pad(windows, (edge, edge), mode="reflect")
    window = torch.hann_window(FFT, device=windows.device)
    spectrum = torch.stft(padded, FFT, HOP, FFT, window, center=False, return_complex=True)
    parts = torch.view_as_real(spectrum).permute(0, 3, 1, 2)
    magnitude = parts.square().sum(dim=1, keepdim=True).sqrt().clamp(min=1e-12)
    return parts * magnitude ** (COMPRESSION - 1.0)


def positions() -> Tensor:
    """Sines and cosines of each frame [1, 384, 200], whose wavelengths reach twice the window."""
    frequencies = torch.exp(torch.arange(0, WIDTH, 2) * (-math.log(2 * FRAMES) / WIDTH))
    angles = torch.arange(FRAMES)[:, None] * frequencies
    return torch.stack([angles.sin(), angles.cos()], dim=2).reshape(1, FRAMES, WIDTH)
