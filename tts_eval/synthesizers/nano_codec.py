"""The speech codec of `llasa-nano`: 16 kHz speech as one token every 40 ms, and back in any voice.

The encoder turns a log-mel spectrogram into one point per token on a small grid (finite scalar
quantisation, Mentzer et al. 2023, arXiv:2309.15505); the point's number is the token. The decoder
turns tokens into the spectrum of overlapping frames and adds them up (an inverse STFT head as in
Vocos, Siuzdak 2023, arXiv:2306.00814). Only the decoder is told who speaks, by a GE2E embedding of
any clip of that person, in every layer: the few bits of a token are left for what is said and how.

Clips are brought to one loudness before they are encoded, and decoded at that loudness. Nothing is
normalised over time, so a token hears a bounded stretch of audio, and `decode` of a piece with
`receptive_frames` of context on each side gives the samples that decoding everything gives.
Not handled: music, several voices at once, other rates than 16 kHz.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from tts_eval.errors import WeightsError
from tts_eval.files import write_atomically, write_text_atomically
from tts_eval.mel import MelSettings, mel_filters

RATE = 16_000
FRAME = 160
"""Samples between two spectra: 100 frames a second."""
FFT = 640
BANDS = 80
KERNEL = 7
VOICE = 256
"""Size of a GE2E speaker embedding."""
LOUDNESS = 0.06
"""Root mean square of the loud frames of every clip that goes in or comes out."""
LOUD_RANGE = 0.01
"""A frame counts as loud down to this share of the power of the loudest: -20 dB."""
QUIETEST = 1e-5
"""Mel magnitudes below this are all the same to the encoder."""
MOST_MAGNITUDE = 100.0
FORMAT = "tts-eval-nano-codec@1"


@dataclass(frozen=True, slots=True, kw_only=True)
class CodecConfig:
    """The codec's shape."""

    codes_per_second: int = 25
    levels: tuple[int, ...] = (8, 8, 8, 8)
    """Steps of each dimension of the grid; their product is the number of tokens."""
    encoder_width: int = 256
    encoder_blocks: int = 4
    decoder_width: int = 256
    decoder_blocks: int = 4
    """Layers at the rate of the tokens."""
    frame_width: int = 192
    frame_blocks: int = 4
    """Layers at 100 frames a second."""
    voice_width: int = 128

    def __post_init__(self) -> None:
        if self.codes_per_second < 1 or RATE // FRAME % self.codes_per_second:
            raise ValueError(
                f"{self.codes_per_second} codes a second do not divide {RATE // FRAME} frames; use 25 or 50."
            )

    @property
    def codes(self) -> int:
        """How many different tokens there are."""
        return math.prod(self.levels)

    @property
    def frames_per_code(self) -> int:
        """Spectra per token."""
        return RATE // FRAME // self.codes_per_second

    @property
    def hop(self) -> int:
        """Samples per token."""
        return self.frames_per_code * FRAME


class ScalarQuantiser(nn.Module):
    """Rounds each dimension of a point to one of a few levels; the gradient passes as if nothing were rounded."""

    def __init__(self, levels: tuple[int, ...]) -> None:
        super().__init__()
        level = torch.tensor(levels)
        self.register_buffer("level", level, persistent=False)
        self.register_buffer("place", torch.cumprod(level, 0) // level, persistent=False)
        self.level: Tensor
        self.place: Tensor

    def forward(self, points: Tensor) -> Tensor:
        """Quantised points in [-1, 1], float32 [..., dimensions]."""
        # An even number of levels has no middle: the points are shifted by half a level, and 0 stays 0.
        half = (self.level - 1) * (1 + 1e-3) / 2
        offset = 0.5 * (self.level % 2 == 0)
        bounded = torch.tanh(points.float() + torch.atanh(offset / half)) * half - offset
        rounded = bounded + (bounded.round() - bounded).detach()
        return rounded / (self.level // 2)

    def codes(self, quantised: Tensor) -> Tensor:
        """Numbers of quantised points, int64 [...]."""
        digits = (quantised * (self.level // 2)).round().long() + self.level // 2
        return (digits * self.place).sum(-1)

    def points(self, codes: Tensor) -> Tensor:
        """Quantised points of the numbers, float32 [..., dimensions]."""
        middle = self.level // 2
        return ((codes[..., None] // self.place) % self.level - middle) / middle.float()


class TimeConvolution(nn.Module):
    """A convolution over time of [B, T, channels] that keeps its length."""

    def __init__(self, inputs: int, outputs: int, kernel: int = KERNEL, *, groups: int = 1) -> None:
        super().__init__()
        self.reach, self.groups = kernel // 2, groups
        self.weight = nn.Parameter(torch.empty(outputs, inputs // groups, 1, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs))
        nn.init.trunc_normal_(self.weight, std=(inputs // groups * kernel) ** -0.5)

    def forward(self, signal: Tensor) -> Tensor:
        """[B, T, outputs] from [B, T, inputs]."""
        # As an image of height 1, [B, T, channels] is "channels last": nothing is copied.
        image = signal.transpose(1, 2).unsqueeze(2)
        convolved = functional.conv2d(image, self.weight, self.bias, padding=(0, self.reach), groups=self.groups)
        return convolved.squeeze(2).transpose(1, 2)


class Block(nn.Module):
    """ConvNeXt: each channel mixes over time, then each frame mixes its channels; a voice may steer both."""

    def __init__(self, width: int, voice_width: int = 0) -> None:
        super().__init__()
        self.over_time = TimeConvolution(width, width, groups=width)
        self.norm = nn.LayerNorm(width, elementwise_affine=not voice_width)
        self.steer = nn.Linear(voice_width, 2 * width) if voice_width else None
        self.widen = nn.Linear(width, 3 * width)
        self.narrow = nn.Linear(3 * width, width)
        self.scale = nn.Parameter(torch.full((width,), 0.3))
        if self.steer is not None:
            nn.init.zeros_(self.steer.weight)
            nn.init.zeros_(self.steer.bias)

    def forward(self, signal: Tensor, voice: Tensor | None = None) -> Tensor:
        """[B, T, width] from [B, T, width] and the voice [B, voice width]."""
        hidden = self.norm(self.over_time(signal))
        if self.steer is not None:
            gain, shift = self.steer(voice)[:, None].chunk(2, dim=-1)
            hidden = hidden * (1 + gain) + shift
        return cast(Tensor, signal + self.scale * self.narrow(functional.gelu(self.widen(hidden), approximate="tanh")))


class LogMel(nn.Module):
    """Log-mel frames, 4 of them for each 640 samples, centred on their hop."""

    def __init__(self) -> None:
        super().__init__()
        filters = mel_filters(MelSettings(rate=RATE, fft_size=FFT, hop=FRAME, bands=BANDS))
        self.register_buffer("filters", torch.from_numpy(filters / filters.sum(0)), persistent=False)
        self.register_buffer("window", torch.hann_window(FFT), persistent=False)
        self.filters: Tensor
        self.window: Tensor

    def forward(self, audio: Tensor) -> Tensor:
        """About zero mean and unit variance, float32 [B, T // 160, 80]."""
        padded = functional.pad(audio.float(), ((FFT - FRAME) // 2, (FFT - FRAME) // 2))
        spectrum = torch.stft(padded, FFT, FRAME, window=self.window, center=False, return_complex=True)
        magnitude = spectrum.abs().transpose(1, 2) / (FFT / 2)
        with torch.autocast(audio.device.type, enabled=False):
            mel = magnitude @ self.filters
        return (mel.clamp(min=QUIETEST).log() + 7.5) / 2.5


class InverseSpectrum(nn.Module):
    """Audio from magnitudes and phases: windowed inverse transforms, added up."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("window", torch.hann_window(FFT), persistent=False)
        self.window: Tensor

    def forward(self, spectrum: Tensor) -> Tensor:
        """[B, frames * 160] from [B, frames, 2 * 321]: log magnitudes, then phases."""
        log_magnitude, phase = spectrum.float().chunk(2, dim=-1)
        magnitude = log_magnitude.exp().clamp(max=MOST_MAGNITUDE)
        frames = torch.fft.irfft(torch.polar(magnitude, phase), n=FFT, dim=-1) * self.window
        envelope = (self.window**2).expand(1, frames.shape[1], FFT)
        return _overlap_add(frames) / _overlap_add(envelope)


def _overlap_add(frames: Tensor) -> Tensor:
    count = frames.shape[1]
    length = (count - 1) * FRAME + FFT
    added = functional.fold(frames.transpose(1, 2), (1, length), (1, FFT), stride=(1, FRAME))[:, 0, 0]
    edge = (FFT - FRAME) // 2
    return added[:, edge : edge + count * FRAME]


class Encoder(nn.Module):
    """Points on the grid from audio, before rounding."""

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        self.group = config.frames_per_code
        width = config.encoder_width
        self.mel = LogMel()
        self.enter = TimeConvolution(BANDS, width // 2)
        self.first = Block(width // 2)
        self.shrink = nn.Linear(width // 2 * self.group, width)
        self.blocks = nn.ModuleList(Block(width) for _ in range(config.encoder_blocks))
        self.norm = nn.LayerNorm(width)
        self.leave = nn.Linear(width, len(config.levels))

    def forward(self, audio: Tensor) -> Tensor:
        """[B, codes, dimensions] from [B, codes * hop]."""
        frames = self.first(self.enter(self.mel(audio)))
        hidden = self.shrink(frames.reshape(len(frames), -1, self.group * frames.shape[-1]))
        for block in self.blocks:
            hidden = block(hidden)
        return cast(Tensor, self.leave(self.norm(hidden)))


class Decoder(nn.Module):
    """Audio from points on the grid and a voice."""

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        self.group = config.frames_per_code
        self.voice = nn.Sequential(nn.Linear(VOICE, config.voice_width), nn.SiLU())
        self.enter = nn.Linear(len(config.levels), config.decoder_width)
        self.blocks = nn.ModuleList(
            Block(config.decoder_width, config.voice_width) for _ in range(config.decoder_blocks)
        )
        self.spread = nn.Linear(config.decoder_width, self.group * config.frame_width)
        self.frame_blocks = nn.ModuleList(
            Block(config.frame_width, config.voice_width) for _ in range(config.frame_blocks)
        )
        self.norm = nn.LayerNorm(config.frame_width)
        self.leave = nn.Linear(config.frame_width, 2 * (FFT // 2 + 1))
        self.inverse = InverseSpectrum()

    def forward(self, points: Tensor, speaker: Tensor) -> Tensor:
        """[B, codes * hop] from [B, codes, dimensions] and the embedding [B, 256]."""
        # A unit vector of 256 numbers: times 16 they are about 1 each.
        voice = self.voice(speaker * VOICE**0.5)
        hidden = self.enter(points)
        for block in self.blocks:
            hidden = block(hidden, voice)
        frames = self.spread(hidden).reshape(len(hidden), hidden.shape[1] * self.group, -1)
        for block in self.frame_blocks:
            frames = block(frames, voice)
        spectrum = self.leave(self.norm(frames))
        with torch.autocast(spectrum.device.type, enabled=False):
            return cast(Tensor, self.inverse(spectrum))


class NanoCodec(nn.Module):
    """Encoder, grid and decoder."""

    def __init__(self, config: CodecConfig | None = None) -> None:
        super().__init__()
        self.config = config or CodecConfig()
        self.encoder = Encoder(self.config)
        self.quantiser = ScalarQuantiser(self.config.levels)
        self.decoder = Decoder(self.config)

    @property
    def receptive_frames(self) -> int:
        """Tokens on each side that a token's audio depends on."""
        reach = KERNEL // 2
        overlapping = FFT // FRAME // 2
        frames = self.config.frame_blocks * reach + overlapping
        return self.config.decoder_blocks * reach + math.ceil(frames / self.config.frames_per_code)

    @torch.inference_mode()
    def encode(self, audio: Tensor) -> Tensor:
        """Tokens, int64 [B, ceil(T / hop)], of audio [B, T] at 16 kHz; each row is a clip at any loudness."""
        padded = functional.pad(audio, (0, -audio.shape[1] % self.config.hop))
        return self.quantiser.codes(self.quantiser(self.encoder(padded * loudness_gain(padded))))

    @torch.inference_mode()
    def decode(self, codes: Tensor, speaker: Tensor) -> Tensor:
        """Audio, float32 [B, frames * hop], of tokens [B, frames] in the voice of a GE2E embedding [B, 256]."""
        return cast(Tensor, self.decoder(self.quantiser.points(codes), speaker))

    def save(self, folder: Path, *, dtype: torch.dtype = torch.float16) -> None:
        """Write `model.safetensors` and `config.json`.

        Raises:
            StoreError: the folder cannot be written.
        """
        from safetensors.torch import save_file

        tensors = {name: tensor.detach().to("cpu", dtype).contiguous() for name, tensor in self.state_dict().items()}
        write_atomically(folder / "model.safetensors", lambda path: save_file(tensors, path))
        write_text_atomically(folder / "config.json", json.dumps({"format": FORMAT, **asdict(self.config)}, indent=1))

    @classmethod
    def load(cls, folder: Path) -> NanoCodec:
        """The codec in `folder`, in float32 and ready to use.

        Raises:
            WeightsError: the folder does not hold a codec that `save` wrote.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            codec = cls(read_config(folder))
            tensors = load_file(folder / "model.safetensors")
            codec.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
        except (OSError, RuntimeError, SafetensorError) as error:
            raise WeightsError(
                f"{folder} does not hold a nano codec ({error}). Expected config.json and model.safetensors "
                "as 'python -m tts_eval.recipes.codec' writes them."
            ) from error
        return codec.eval()


def loudness_gain(audio: Tensor) -> Tensor:
    """The factor, [B, 1], that brings the loud frames of each row to `LOUDNESS`; 1 for silence."""
    whole = audio.shape[1] // FRAME * FRAME
    if not whole:
        return torch.ones_like(audio[:, :1])
    power = audio[:, :whole].reshape(len(audio), -1, FRAME).square().mean(-1)
    loud = power > LOUD_RANGE * power.amax(1, keepdim=True)
    mean = (power * loud).sum(1, keepdim=True) / loud.sum(1, keepdim=True).clamp(min=1)
    return torch.where(mean > 0, LOUDNESS / mean.clamp(min=1e-12).sqrt(), torch.ones_like(mean))


def level(samples_16k: np.ndarray) -> np.ndarray:
    """Samples at the codec's loudness, float32 [T], never beyond full scale."""
    audio = torch.from_numpy(np.array(samples_16k, dtype=np.float32))[None]
    levelled: np.ndarray = (audio * loudness_gain(audio)).clamp(-1, 1)[0].numpy()
    return levelled


def read_config(folder: Path) -> CodecConfig:
    """The shape of the codec in `folder`.

    Raises:
        WeightsError: its config.json is not as `save` writes it.
    """
    try:
        content: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        if content.pop("format", None) != FORMAT:
            raise ValueError(f"it is not of format {FORMAT}")
        unknown = set(content) - {field.name for field in fields(CodecConfig)}
        if unknown:
            raise ValueError(f"it has unknown entries: {', '.join(sorted(unknown))}")
        return CodecConfig(**{**content, "levels": tuple(content["levels"])})
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise WeightsError(f"{folder / 'config.json'} is not a nano codec's ({error}).") from error
