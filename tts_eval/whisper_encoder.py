"""The encoder of Whisper in torch, with every layer's states and with gradients.

CTranslate2 runs Whisper faster, but only forward, and gives only the last layer. Training a codec needs
gradients, and how something is said shows in the layers between. The weights are those that the
`asr:tiny.en` verifier uses, so nothing more is fetched: CTranslate2's file is read here.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from tts_eval.errors import WeightsError
from tts_eval.mel import MelSettings, mel_filters

RATE = 16_000
FFT = 400
HOP = 160
_FLOAT16 = 4
_VERSION = 6


class WhisperEncoder(nn.Module):
    """Frozen; hears at most 30 s, and no more than it is given: there is no padding to 30 s."""

    def __init__(self, weights: Path) -> None:
        """Load the encoder of a Whisper model in CTranslate2's format, float16.

        Raises:
            WeightsError: `weights` is no such file.
        """
        super().__init__()
        tensors = read_ctranslate2(weights, "encoder/")
        try:
            self._build(tensors)
        except (KeyError, RuntimeError) as error:
            raise WeightsError(f"{weights} holds no Whisper encoder ({error}); run 'tts-eval fetch' again.") from error
        self.requires_grad_(False)

    def _build(self, tensors: dict[str, Tensor]) -> None:
        width, bands, _ = tensors["conv1/weight"].shape
        settings = MelSettings(rate=RATE, fft_size=FFT, hop=HOP, bands=bands)
        self.register_buffer("filters", torch.from_numpy(mel_filters(settings).copy()), False)
        self.register_buffer("window", torch.hann_window(FFT), False)
        self.register_buffer("positions", tensors["position_encodings/encodings"], False)
        self.first = nn.Conv1d(bands, width, 3, padding=1)
        self.second = nn.Conv1d(width, width, 3, stride=2, padding=1)
        for number, convolution in enumerate((self.first, self.second), start=1):
            convolution.load_state_dict({part: tensors[f"conv{number}/{part}"] for part in ("weight", "bias")})
        layers = sum(name.endswith("self_attention/linear_0/weight") for name in tensors)
        self.layers = nn.ModuleList(_layer(tensors, index, width) for index in range(layers))
        self.norm = nn.LayerNorm(width)
        _load_norm(self.norm, tensors, "layer_norm")

    def forward(self, audio: Tensor) -> Tensor:
        """[B, T // 320, width] of audio [B, T] at 16 kHz; about unit variance."""
        normed: Tensor = self.norm(self.states(audio)[-1])
        return normed

    def states(self, audio: Tensor) -> list[Tensor]:
        """What goes into the first layer and comes out of each, [B, T // 320, width], of audio [B, T] at 16 kHz."""
        mel = self.mel(audio.float())
        hidden = functional.gelu(self.second(functional.gelu(self.first(mel)))).transpose(1, 2).contiguous()
        states = [hidden + self.get_buffer("positions")[: hidden.shape[1]]]
        for layer in self.layers:
            states.append(layer(states[-1]))
        return states

    def mel(self, audio: Tensor) -> Tensor:
        """Whisper's features [B, bands, T // 160]: log10 power within 80 dB of the loudest, scaled."""
        window = self.get_buffer("window")
        spectrum = torch.stft(audio, FFT, HOP, window=window, return_complex=True)[..., :-1]
        power = spectrum.real.square() + spectrum.imag.square()
        mel = (power.transpose(1, 2) @ self.get_buffer("filters")).transpose(1, 2)
        log = mel.clamp(min=1e-10).log10()
        return (torch.maximum(log, log.amax((1, 2), keepdim=True) - 8.0) + 4.0) / 4.0


def read_ctranslate2(path: Path, prefix: str) -> dict[str, Tensor]:
    """The float16 tensors of a CTranslate2 model whose names begin with `prefix`, in float32, without the prefix.

    Raises:
        WeightsError: the file is not in CTranslate2's format of version 6.
    """
    content = memoryview(path.read_bytes())
    place = 0

    def take(kind: str) -> int:
        nonlocal place
        (value,) = struct.unpack_from("<" + kind, content, place)
        place += struct.calcsize(kind)
        return int(value)

    def take_name() -> str:
        nonlocal place
        length = take("H")
        place += length
        return bytes(content[place - length : place]).rstrip(b"\0").decode()

    tensors: dict[str, Tensor] = {}
    try:
        if take("I") != _VERSION:
            raise ValueError(f"not version {_VERSION}")
        take_name()
        take("I")
        for _ in range(take("I")):
            name = take_name()
            shape = [take("I") for _ in range(take("B"))]
            kind, size = take("B"), take("I")
            if name.startswith(prefix) and kind == _FLOAT16:
                values = np.frombuffer(content[place : place + size], np.float16).astype(np.float32)
                tensors[name.removeprefix(prefix)] = torch.from_numpy(values.reshape(shape))
            place += size
    except (struct.error, ValueError) as error:
        raise WeightsError(
            f"{path} is not a CTranslate2 model ({error}). Run 'tts-eval fetch whisper-tiny.en'."
        ) from error
    return tensors


def _layer(tensors: dict[str, Tensor], index: int, width: int) -> nn.TransformerEncoderLayer:
    at = f"layer_{index}"
    layer = nn.TransformerEncoderLayer(
        width, width // 64, 4 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
    )
    _load_norm(layer.norm1, tensors, f"{at}/self_attention/layer_norm")
    _load_norm(layer.norm2, tensors, f"{at}/ffn/layer_norm")
    pairs = {
        "self_attn.in_proj_": f"{at}/self_attention/linear_0/",
        "self_attn.out_proj.": f"{at}/self_attention/linear_1/",
        "linear1.": f"{at}/ffn/linear_0/",
        "linear2.": f"{at}/ffn/linear_1/",
    }
    state = {ours + part: tensors[theirs + part] for ours, theirs in pairs.items() for part in ("weight", "bias")}
    layer.load_state_dict(state, strict=False)
    return layer


def _load_norm(norm: nn.LayerNorm, tensors: dict[str, Tensor], name: str) -> None:
    norm.load_state_dict({"weight": tensors[f"{name}/gamma"], "bias": tensors[f"{name}/beta"]})
