"""ECAPA-TDNN as UniSpeech's speaker verification has it: frames of features in, one embedding out.

Desplanques et al. 2020 (arXiv 2005.07143) with UniSpeech's choices: batch norm after the ReLU, no
normalisation of the attention, which sees the frames alone. Rows of a batch may have different
lengths: every layer that looks beyond a frame is told where a row ends, so that padding changes
nothing. Sizes come from the checkpoint (`from_state`).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

DILATIONS = (2, 3, 4)
"""Of the three SE-Res2 blocks; a checkpoint does not say."""
NORM_EPSILON = 1e-5
SMALLEST_VARIANCE = 1e-9


class FrameConv(nn.Module):
    """Convolution that keeps the number of frames, ReLU, batch norm."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 1, dilation: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv1d(inputs, outputs, kernel, dilation=dilation, padding=dilation * (kernel // 2))
        self.bn = nn.BatchNorm1d(outputs)

    def forward(self, frames: Tensor) -> Tensor:
        """Frames [B, outputs, T] of frames [B, inputs, T], which must be 0 in the padding."""
        result: Tensor = self.bn(torch.relu(self.conv(frames)))
        return result


class Res2Conv(nn.Module):
    """Convolutions over slices of the channels, each of which also hears the slice before it."""

    def __init__(self, channels: int, slices: int, dilation: int) -> None:
        super().__init__()
        self.width = channels // slices
        self.convs = nn.ModuleList(
            nn.Conv1d(self.width, self.width, 3, dilation=dilation, padding=dilation) for _ in range(slices - 1)
        )
        self.bns = nn.ModuleList(nn.BatchNorm1d(self.width) for _ in range(slices - 1))

    def forward(self, frames: Tensor, mask: Tensor) -> Tensor:
        """Frames [B, channels, T]; the last slice passes unchanged."""
        *slices, last = torch.split(frames * mask, self.width, dim=1)
        heard: list[Tensor] = []
        for piece, conv, norm in zip(slices, self.convs, self.bns, strict=True):
            before = heard[-1] + piece if heard else piece
            heard.append(norm(torch.relu(conv(before))) * mask)
        return torch.cat([*heard, last], dim=1)


class ChannelGate(nn.Module):
    """Squeeze and excitation: a weight in (0, 1) per channel, from the channels' means over time."""

    def __init__(self, channels: int, bottleneck: int) -> None:
        super().__init__()
        self.linear1 = nn.Linear(channels, bottleneck)
        self.linear2 = nn.Linear(bottleneck, channels)

    def forward(self, frames: Tensor, mask: Tensor) -> Tensor:
        """Weighted frames [B, channels, T]."""
        mean = (frames * mask).sum(dim=2) / mask.sum(dim=2)
        return frames * torch.sigmoid(self.linear2(torch.relu(self.linear1(mean))))[:, :, None]


class Res2Block(nn.Module):
    """A residual block; the number of channels stays."""

    def __init__(self, channels: int, slices: int, dilation: int, bottleneck: int) -> None:
        super().__init__()
        self.before = FrameConv(channels, channels)
        self.res2 = Res2Conv(channels, slices, dilation)
        self.after = FrameConv(channels, channels)
        self.gate = ChannelGate(channels, bottleneck)

    def forward(self, frames: Tensor, mask: Tensor) -> Tensor:
        """Frames [B, channels, T]."""
        result: Tensor = frames + self.gate(self.after(self.res2(self.before(frames), mask)), mask)
        return result


class AttentivePooling(nn.Module):
    """Mean and standard deviation over time, weighted by attention."""

    def __init__(self, channels: int, bottleneck: int) -> None:
        super().__init__()
        self.linear1 = nn.Conv1d(channels, bottleneck, 1)
        self.linear2 = nn.Conv1d(bottleneck, channels, 1)

    def forward(self, frames: Tensor, mask: Tensor) -> Tensor:
        """Statistics [B, 2 * channels]."""
        logits = self.linear2(torch.tanh(self.linear1(frames)))
        weights = logits.masked_fill(mask == 0, float("-inf")).softmax(dim=2)
        mean = (weights * frames).sum(dim=2)
        variance = (weights * frames.square()).sum(dim=2) - mean.square()
        return torch.cat([mean, variance.clamp(min=SMALLEST_VARIANCE).sqrt()], dim=1)


class EcapaTdnn(nn.Module):
    """The head; its input is a learned mix of the layers of a speech model."""

    def __init__(
        self, *, layers: int, inputs: int, channels: int, slices: int, gate: int, pooled: int, attention: int, size: int
    ) -> None:
        """Make it of these sizes.

        Args:
            layers: how many layers are mixed.
            inputs: features per frame.
            channels: of the blocks.
            slices: of a Res2 convolution.
            gate: bottleneck of a channel gate.
            pooled: channels that are pooled.
            attention: bottleneck of the pooling's attention.
            size: numbers of the embedding.
        """
        super().__init__()
        self.layers, self.inputs = layers, inputs
        self.feature_weight = nn.Parameter(torch.zeros(layers))
        self.layer1 = FrameConv(inputs, channels, kernel=5)
        self.blocks = nn.ModuleList(Res2Block(channels, slices, dilation, gate) for dilation in DILATIONS)
        self.conv = nn.Conv1d(channels * len(DILATIONS), pooled, 1)
        self.pooling = AttentivePooling(pooled, attention)
        self.bn = nn.BatchNorm1d(2 * pooled)
        self.linear = nn.Linear(2 * pooled, size)

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor]) -> EcapaTdnn:
        """The head with these weights, in evaluation mode.

        Raises:
            KeyError: a weight that tells a size is missing.
            RuntimeError: other weights are missing, too many, or do not fit.
        """
        head = cls(
            layers=len(state["feature_weight"]),
            inputs=state["layer1.conv.weight"].shape[1],
            channels=state["layer1.conv.weight"].shape[0],
            slices=1
            + len([key for key in state if key.startswith("blocks.0.res2.convs.") and key.endswith(".weight")]),
            gate=state["blocks.0.gate.linear1.weight"].shape[0],
            pooled=state["conv.weight"].shape[0],
            attention=state["pooling.linear1.weight"].shape[0],
            size=state["linear.weight"].shape[0],
        )
        head.load_state_dict(dict(state))
        return head.eval()

    def forward(self, layers: Tensor, lengths: Tensor) -> Tensor:
        """Embeddings [B, size] of layers [layers, B, T, inputs], of which `lengths` [B] frames are no padding."""
        weights = self.feature_weight.softmax(dim=0)
        mixed = torch.einsum("l,lbtd->bdt", weights, layers)
        mask = (torch.arange(mixed.shape[2], device=mixed.device) < lengths[:, None])[:, None, :].to(mixed.dtype)
        frames = self.layer1(standardised(mixed, mask))
        outputs = []
        for block in self.blocks:
            frames = block(frames, mask)
            outputs.append(frames)
        pooled = self.pooling(torch.relu(self.conv(torch.cat(outputs, dim=1))), mask)
        result: Tensor = self.linear(self.bn(pooled))
        return result


def standardised(frames: Tensor, mask: Tensor) -> Tensor:
    """Each channel with mean 0 and variance 1 over its row's frames; 0 in the padding."""
    count = mask.sum(dim=2, keepdim=True)
    centred = (frames - (frames * mask).sum(dim=2, keepdim=True) / count) * mask
    variance = centred.square().sum(dim=2, keepdim=True) / count
    return centred * torch.rsqrt(variance + NORM_EPSILON)
