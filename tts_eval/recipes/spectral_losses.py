"""How far two sounds are apart, and a critic that tells real spectra from decoded ones.

`SpectralDistance` compares magnitudes at several resolutions: log distance by mel band, log distance
by bin, and spectral convergence (error relative to the sound), all in amplitude of a full-scale
sine. It says nothing about phase; the critic does, as it sees complex spectra.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm

from tts_eval.mel import MelSettings, mel_filters
from tts_eval.synthesizers.nano_codec import RATE

DISTANCE_FFTS = (256, 512, 1024, 2048)
MEL_BANDS = {256: 20, 512: 40, 1024: 80, 2048: 100}
CRITIC_FFTS = (320, 640, 1280)
FLOOR = 3e-5
"""Amplitudes below -90 dB are all silence."""


class SpectralDistance(nn.Module):
    """Mean distance of two sounds over `DISTANCE_FFTS`."""

    def __init__(self) -> None:
        super().__init__()
        for size in DISTANCE_FFTS:
            filters = mel_filters(MelSettings(rate=RATE, fft_size=size, hop=size // 4, bands=MEL_BANDS[size]))
            # A narrow low band may hold no bin of a short transform.
            self.register_buffer(f"filters_{size}", torch.from_numpy(filters / filters.sum(0).clip(1e-9)), False)
            self.register_buffer(f"window_{size}", torch.hann_window(size), False)

    def forward(self, made: Tensor, real: Tensor) -> Tensor:
        """One number for audio [B, T] and [B, T]."""
        return torch.stack([self._distance(size, made.float(), real.float()) for size in DISTANCE_FFTS]).mean()

    def _distance(self, size: int, made: Tensor, real: Tensor) -> Tensor:
        window = self.get_buffer(f"window_{size}")
        filters = self.get_buffer(f"filters_{size}")
        # One transform for both; the small number keeps the gradient of a magnitude of 0 finite.
        spectrum = _spectrum(torch.cat([made, real]), size, size // 4, window)
        magnitude = (spectrum.real.square() + spectrum.imag.square() + 1e-12).sqrt()
        ours, theirs = magnitude.chunk(2)
        mel = _log(ours @ filters) - _log(theirs @ filters)
        convergence = (ours - theirs).square().sum((1, 2)).sqrt() / theirs.square().sum((1, 2)).sqrt().clamp(min=1e-3)
        return mel.abs().mean() + 0.5 * (_log(ours) - _log(theirs)).abs().mean() + 0.5 * convergence.mean()


class Opinion(NamedTuple):
    """What the critic says about some clips, at each resolution."""

    verdicts: list[Tensor]
    features: list[Tensor]


class SpectralCritic(nn.Module):
    """Three small convolutional networks over complex spectra; a verdict above 0 says "real"."""

    def __init__(self, channels: int = 16) -> None:
        super().__init__()
        self.critics = nn.ModuleList(_Critic(size, channels) for size in CRITIC_FFTS)

    def forward(self, audio: Tensor) -> Opinion:
        """An opinion about audio [B, T]."""
        features = [critic(audio.float()) for critic in self.critics]
        return Opinion([layers[-1] for layers in features], [layer for layers in features for layer in layers[:-1]])


class _Critic(nn.Module):
    def __init__(self, size: int, channels: int) -> None:
        super().__init__()
        self.size = size
        self.register_buffer("window", torch.hann_window(size), False)
        self.window: Tensor
        strides = ((1, 2), (2, 2), (2, 2), (1, 2))
        widths = (2, channels, channels, 2 * channels, 2 * channels)
        self.layers = nn.ModuleList(
            weight_norm(nn.Conv2d(before, after, (3, 5), stride=stride, padding=(1, 2)))
            for before, after, stride in zip(widths[:-1], widths[1:], strides, strict=True)
        )
        self.last = weight_norm(nn.Conv2d(widths[-1], 1, 3, padding=1))

    def forward(self, audio: Tensor) -> list[Tensor]:
        spectrum = _spectrum(audio, self.size, self.size // 4, self.window)
        # Amplitudes to the power 0.3, as loudness goes, with the phase kept.
        power = spectrum.real.square() + spectrum.imag.square() + 1e-10
        hidden = torch.stack([spectrum.real, spectrum.imag], 1) * power.pow(-0.35)[:, None]
        features = []
        for layer in self.layers:
            hidden = functional.leaky_relu(layer(hidden), 0.1)
            features.append(hidden)
        return [*features, self.last(hidden)]


def critic_loss(real: Opinion, made: Opinion) -> Tensor:
    """Hinge loss of the critic."""
    losses = [
        functional.relu(1 - truth).mean() + functional.relu(1 + guess).mean()
        for truth, guess in zip(real.verdicts, made.verdicts, strict=True)
    ]
    return torch.stack(losses).mean()


def deception_loss(made: Opinion) -> Tensor:
    """What the decoder pays for being found out."""
    return torch.stack([functional.relu(1 - verdict).mean() for verdict in made.verdicts]).mean()


def feature_distance(real: Opinion, made: Opinion) -> Tensor:
    """How differently the critic sees the two, relative to what it sees in the real one."""
    distances = [
        (ours - theirs.detach()).abs().mean() / theirs.detach().abs().mean().clamp(min=1e-4)
        for theirs, ours in zip(real.features, made.features, strict=True)
    ]
    return torch.stack(distances).mean()


def _spectrum(audio: Tensor, size: int, hop: int, window: Tensor) -> Tensor:
    """Complex [B, frames, bins]; a full-scale sine has amplitude 1/2 whatever the size."""
    transformed = torch.stft(audio, size, hop, window=window, center=True, pad_mode="constant", return_complex=True)
    return transformed.transpose(1, 2) / (size / 2)


def _log(amplitude: Tensor) -> Tensor:
    return amplitude.clamp(min=FLOOR).log()
