"""CAM++: frames of filter-bank features in, one embedding out.

Wang et al. 2023 (arXiv 2303.00332): small residual convolutions over time and frequency (`Head`), then a densely
connected TDNN at half the frame rate, each layer of which is gated by the mean of its clip and of its segment
of 100 frames (context-aware masking), then mean and standard deviation over time. Modules are called as in the
published checkpoints, sizes come from the weights (`from_state`). Rows of a batch may have different lengths:
what looks beyond a frame is told where a row ends, so that padding changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

DILATIONS = (1, 2, 2)
"""Of the three dense blocks; a checkpoint does not say."""
SEGMENT = 100
"""Frames at half rate that share a context: 2 s."""
STRIDE = 2
"""Frames of features per frame of the TDNN."""
HALVINGS = 3
"""Of the frequency axis."""


class Rows(NamedTuple):
    """Where the rows of a batch end."""

    lengths: Tensor
    """Frames [B]."""
    mask: Tensor
    """1 in a frame, 0 in the padding, [B, 1, T]."""

    @classmethod
    def of(cls, lengths: Tensor, like: Tensor) -> Rows:
        """The rows of `like` [B, ..., T]."""
        mask = torch.arange(like.shape[-1], device=like.device) < lengths[:, None]
        return cls(lengths.to(like.dtype), mask[:, None].to(like.dtype))


class NormRelu(nn.Module):
    """Batch norm, then ReLU."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.batchnorm = nn.BatchNorm1d(channels)

    def forward(self, frames: Tensor) -> Tensor:
        """As many numbers as `frames` [B, channels, T] has."""
        return torch.relu(self.batchnorm(frames))


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions; `halving` halves the frequency axis, never time."""

    def __init__(self, channels: int, halving: bool) -> None:
        super().__init__()
        stride = (2 if halving else 1, 1)
        self.conv1 = nn.Conv2d(channels, channels, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        projection = [nn.Conv2d(channels, channels, 1, stride=stride, bias=False), nn.BatchNorm2d(channels)]
        self.shortcut = nn.Sequential(*(projection if halving else []))

    def forward(self, image: Tensor, mask: Tensor) -> Tensor:
        """Image [B, channels, F or F / 2, T] of one that is 0 in the padding, as the result is."""
        inner = torch.relu(self.bn1(self.conv1(image))) * mask
        return torch.relu(self.bn2(self.conv2(inner)) + self.shortcut(image)) * mask


class Head(nn.Module):
    """The front-end convolution module: the features as an image, an eighth as high."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.layer1 = nn.ModuleList([ResidualBlock(channels, halving=True), ResidualBlock(channels, halving=False)])
        self.layer2 = nn.ModuleList([ResidualBlock(channels, halving=True), ResidualBlock(channels, halving=False)])
        self.conv2 = nn.Conv2d(channels, channels, 3, stride=(2, 1), padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """Frames [B, channels * bands / 8, T] of features [B, bands, T] that are 0 in the padding, as the result is."""
        mask = mask[:, None]
        image = torch.relu(self.bn1(self.conv1(features[:, None]))) * mask
        for block in (*self.layer1, *self.layer2):
            image = block(image, mask)
        image = torch.relu(self.bn2(self.conv2(image))) * mask
        return image.flatten(1, 2)


class ContextMask(nn.Module):
    """A convolution, each channel weighted by what the whole clip and its segment of 2 s sound like."""

    def __init__(self, inputs: int, outputs: int, dilation: int) -> None:
        super().__init__()
        self.linear_local = nn.Conv1d(inputs, outputs, 3, padding=dilation, dilation=dilation, bias=False)
        self.linear1 = nn.Conv1d(inputs, inputs // 2, 1)
        self.linear2 = nn.Conv1d(inputs // 2, outputs, 1)

    def forward(self, frames: Tensor, rows: Rows) -> Tensor:
        """Frames [B, outputs, T] of frames that are 0 in the padding."""
        time = frames.shape[2]
        segments = -(-time // SEGMENT)
        padded = nn.functional.pad(frames, (0, segments * SEGMENT - time))
        sums = padded.reshape(*frames.shape[:2], segments, SEGMENT).sum(dim=3)
        starts = SEGMENT * torch.arange(segments, device=frames.device)
        counts = (rows.lengths[:, None] - starts).clamp(1, SEGMENT)
        mean = sums.sum(dim=2, keepdim=True) / rows.lengths[:, None, None]
        context = mean + sums / counts[:, None]
        weights = torch.sigmoid(self.linear2(torch.relu(self.linear1(context))))
        local: Tensor = self.linear_local(frames)
        return local * weights.repeat_interleave(SEGMENT, dim=2)[:, :, :time]


class DenseLayer(nn.Module):
    """What one layer adds to the channels."""

    def __init__(self, inputs: int, bottleneck: int, growth: int, dilation: int) -> None:
        super().__init__()
        self.nonlinear1 = NormRelu(inputs)
        self.linear1 = nn.Conv1d(inputs, bottleneck, 1, bias=False)
        self.nonlinear2 = NormRelu(bottleneck)
        self.cam_layer = ContextMask(bottleneck, growth, dilation)

    def forward(self, frames: Tensor, rows: Rows) -> Tensor:
        """Frames [B, growth, T] of frames [B, inputs, T]."""
        hidden = self.nonlinear2(self.linear1(self.nonlinear1(frames)))
        result: Tensor = self.cam_layer(hidden * rows.mask, rows)
        return result


class DenseBlock(nn.Module):
    """Layers each of which hears the block's input and all layers before it."""

    def __init__(self, layers: int, inputs: int, bottleneck: int, growth: int, dilation: int) -> None:
        super().__init__()
        for index in range(layers):
            self.add_module(f"tdnnd{index + 1}", DenseLayer(inputs + index * growth, bottleneck, growth, dilation))

    def forward(self, frames: Tensor, rows: Rows) -> Tensor:
        """Frames [B, inputs + layers * growth, T]."""
        for layer in self.children():
            frames = torch.cat([frames, layer(frames, rows)], dim=1)
        return frames


class Transit(nn.Module):
    """Between two blocks: half as many channels."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.nonlinear = NormRelu(inputs)
        self.linear = nn.Conv1d(inputs, inputs // 2, 1, bias=False)

    def forward(self, frames: Tensor) -> Tensor:
        """Frames [B, inputs / 2, T]."""
        result: Tensor = self.linear(self.nonlinear(frames))
        return result


class Shrink(nn.Module):
    """The convolution that halves the frame rate."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Conv1d(inputs, outputs, 5, stride=STRIDE, padding=2, bias=False)
        self.nonlinear = NormRelu(outputs)

    def forward(self, frames: Tensor) -> Tensor:
        """Frames [B, outputs, (T + 1) // 2] of frames that are 0 in the padding."""
        result: Tensor = self.nonlinear(self.linear(frames))
        return result


class Embedding(nn.Module):
    """Statistics in, embedding out."""

    def __init__(self, inputs: int, size: int) -> None:
        super().__init__()
        self.linear = nn.Conv1d(inputs, size, 1, bias=False)
        self.nonlinear = nn.ModuleDict({"batchnorm": nn.BatchNorm1d(size, affine=False)})

    def forward(self, statistics: Tensor) -> Tensor:
        """Vectors [B, size]."""
        result: Tensor = self.nonlinear["batchnorm"](self.linear(statistics[:, :, None])[:, :, 0])
        return result


class CamPlusPlus(nn.Module):
    """The whole network."""

    def __init__(
        self, *, bands: int, image: int, channels: int, layers: tuple[int, ...], bottleneck: int, growth: int, size: int
    ) -> None:
        """Make it of these sizes.

        Args:
            bands: of the features.
            image: channels of the head.
            channels: of the TDNN's first block.
            layers: of the dense blocks.
            bottleneck: channels inside a dense layer.
            growth: channels that a dense layer adds.
            size: numbers of the embedding.
        """
        super().__init__()
        self.bands = bands
        self.head = Head(image)
        self.xvector = nn.ModuleDict({"tdnn": Shrink(image * bands // 2**HALVINGS, channels)})
        for index, (count, dilation) in enumerate(zip(layers, DILATIONS, strict=True), start=1):
            self.xvector[f"block{index}"] = DenseBlock(count, channels, bottleneck, growth, dilation)
            channels += count * growth
            self.xvector[f"transit{index}"] = Transit(channels)
            channels //= 2
        self.xvector["out_nonlinear"] = NormRelu(channels)
        self.xvector["dense"] = Embedding(2 * channels, size)

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor]) -> CamPlusPlus:
        """The network with these weights, in evaluation mode.

        Raises:
            KeyError: a weight that tells a size is missing.
            RuntimeError: other weights are missing, too many, or do not fit.
        """
        image = state["head.conv1.weight"].shape[0]
        channels, inputs = state["xvector.tdnn.linear.weight"].shape[:2]
        growth, bottleneck = state["xvector.block1.tdnnd1.cam_layer.linear_local.weight"].shape[:2]
        counts = [
            sum(key.startswith(f"xvector.block{index}.") and key.endswith(".linear_local.weight") for key in state)
            for index in range(1, len(DILATIONS) + 1)
        ]
        network = cls(
            bands=inputs // image * 2**HALVINGS,
            image=image,
            channels=channels,
            layers=tuple(counts),
            bottleneck=bottleneck,
            growth=growth,
            size=state["xvector.dense.linear.weight"].shape[0],
        )
        network.load_state_dict(dict(state))
        return network.eval()

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Embeddings [B, size] of features [B, T, bands], of which `lengths` [B] frames are no padding."""
        whole = Rows.of(lengths, features.mT)
        frames = self.xvector["tdnn"](self.head(features.mT * whole.mask, whole.mask))
        rows = Rows.of((lengths + STRIDE - 1) // STRIDE, frames)
        for index in range(1, len(DILATIONS) + 1):
            frames = self.xvector[f"transit{index}"](self.xvector[f"block{index}"](frames, rows))
        result: Tensor = self.xvector["dense"](statistics(self.xvector["out_nonlinear"](frames), rows))
        return result


def statistics(frames: Tensor, rows: Rows) -> Tensor:
    """Mean and standard deviation over time, [B, 2 * channels], of rows of two frames or more."""
    count = rows.lengths[:, None]
    mean = (frames * rows.mask).sum(dim=2) / count
    centred = (frames - mean[:, :, None]) * rows.mask
    # Over one frame less than there are, as the published training code has it.
    deviation = (centred.square().sum(dim=2) / (count - 1)).sqrt()
    return torch.cat([mean, deviation], dim=1)
