"""CAM++ as equations in plain numpy, on weights under their published names.

Written from the paper (arXiv 2303.00332) and the layout of the published checkpoint, one clip at a time and in
float64, with loops for convolutions: it shares no code with the package, and knows nothing of batches or padding.
"""

from __future__ import annotations

import numpy as np

BANDS, IMAGE, CHANNELS, BOTTLENECK, GROWTH, SIZE = 16, 4, 12, 8, 5, 7
LAYERS = (2, 3, 2)
DILATIONS = (1, 2, 2)
SEGMENT = 100

State = dict[str, np.ndarray]


def random_state(seed: int) -> State:
    """A small checkpoint in the published layout."""
    generator = np.random.default_rng(seed)
    state: State = {}

    def weight(name: str, *shape: int) -> None:
        scale = 1.0 / np.sqrt(np.prod(shape[1:]))
        state[f"{name}.weight"] = (scale * generator.standard_normal(shape)).astype(np.float32)

    def norm(name: str, size: int, affine: bool = True) -> None:
        if affine:
            state[f"{name}.weight"] = (1 + 0.2 * generator.standard_normal(size)).astype(np.float32)
            state[f"{name}.bias"] = (0.2 * generator.standard_normal(size)).astype(np.float32)
        state[f"{name}.running_mean"] = (0.3 * generator.standard_normal(size)).astype(np.float32)
        state[f"{name}.running_var"] = generator.uniform(0.5, 2.0, size).astype(np.float32)
        state[f"{name}.num_batches_tracked"] = np.array(3)

    weight("head.conv1", IMAGE, 1, 3, 3)
    norm("head.bn1", IMAGE)
    for layer in ("layer1", "layer2"):
        for block in range(2):
            for part in (1, 2):
                weight(f"head.{layer}.{block}.conv{part}", IMAGE, IMAGE, 3, 3)
                norm(f"head.{layer}.{block}.bn{part}", IMAGE)
        weight(f"head.{layer}.0.shortcut.0", IMAGE, IMAGE, 1, 1)
        norm(f"head.{layer}.0.shortcut.1", IMAGE)
    weight("head.conv2", IMAGE, IMAGE, 3, 3)
    norm("head.bn2", IMAGE)

    weight("xvector.tdnn.linear", CHANNELS, IMAGE * BANDS // 8, 5)
    norm("xvector.tdnn.nonlinear.batchnorm", CHANNELS)
    channels = CHANNELS
    for block, layers in enumerate(LAYERS, start=1):
        for layer in range(1, layers + 1):
            base = f"xvector.block{block}.tdnnd{layer}"
            norm(f"{base}.nonlinear1.batchnorm", channels)
            weight(f"{base}.linear1", BOTTLENECK, channels, 1)
            norm(f"{base}.nonlinear2.batchnorm", BOTTLENECK)
            weight(f"{base}.cam_layer.linear_local", GROWTH, BOTTLENECK, 3)
            weight(f"{base}.cam_layer.linear1", BOTTLENECK // 2, BOTTLENECK, 1)
            weight(f"{base}.cam_layer.linear2", GROWTH, BOTTLENECK // 2, 1)
            for part, size in (("linear1", BOTTLENECK // 2), ("linear2", GROWTH)):
                state[f"{base}.cam_layer.{part}.bias"] = generator.standard_normal(size).astype(np.float32)
            channels += GROWTH
        norm(f"xvector.transit{block}.nonlinear.batchnorm", channels)
        weight(f"xvector.transit{block}.linear", channels // 2, channels, 1)
        channels //= 2
    norm("xvector.out_nonlinear.batchnorm", channels)
    weight("xvector.dense.linear", SIZE, 2 * channels, 1)
    norm("xvector.dense.nonlinear.batchnorm", SIZE, affine=False)
    return state


def embedding(state: State, features: np.ndarray) -> np.ndarray:
    """The embedding [SIZE] of features [T, BANDS]."""
    exact = {name: value.astype(np.float64) for name, value in state.items()}
    frames = _head(exact, features.astype(np.float64).T)
    frames = _relu(_norm(exact, "xvector.tdnn.nonlinear.batchnorm", _conv(exact, "xvector.tdnn.linear", frames, 2)))
    for block, (layers, dilation) in enumerate(zip(LAYERS, DILATIONS, strict=True), start=1):
        for layer in range(1, layers + 1):
            new = _dense_layer(exact, f"xvector.block{block}.tdnnd{layer}", frames, dilation)
            frames = np.concatenate([frames, new])
        base = f"xvector.transit{block}"
        frames = exact[f"{base}.linear.weight"][:, :, 0] @ _relu(_norm(exact, f"{base}.nonlinear.batchnorm", frames))
    frames = _relu(_norm(exact, "xvector.out_nonlinear.batchnorm", frames))
    statistics = np.concatenate([frames.mean(axis=1), frames.std(axis=1, ddof=1)])
    return _norm(exact, "xvector.dense.nonlinear.batchnorm", exact["xvector.dense.linear.weight"][:, :, 0] @ statistics)


def _head(state: State, features: np.ndarray) -> np.ndarray:
    image = _relu(_norm(state, "head.bn1", _conv2(state, "head.conv1", features[None], 1)))
    for base, stride in (("layer1.0", 2), ("layer1.1", 1), ("layer2.0", 2), ("layer2.1", 1)):
        name = f"head.{base}"
        inner = _relu(_norm(state, f"{name}.bn1", _conv2(state, f"{name}.conv1", image, stride)))
        inner = _norm(state, f"{name}.bn2", _conv2(state, f"{name}.conv2", inner, 1))
        if stride == 2:
            mixed = np.einsum("oi,ift->oft", state[f"{name}.shortcut.0.weight"][:, :, 0, 0], image[:, ::2])
            image = _norm(state, f"{name}.shortcut.1", mixed)
        image = _relu(inner + image)
    image = _relu(_norm(state, "head.bn2", _conv2(state, "head.conv2", image, 2)))
    return image.reshape(-1, image.shape[-1])


def _dense_layer(state: State, base: str, frames: np.ndarray, dilation: int) -> np.ndarray:
    hidden = state[f"{base}.linear1.weight"][:, :, 0] @ _relu(_norm(state, f"{base}.nonlinear1.batchnorm", frames))
    hidden = _relu(_norm(state, f"{base}.nonlinear2.batchnorm", hidden))
    local = _conv(state, f"{base}.cam_layer.linear_local", hidden, 1, dilation)
    gated = np.empty_like(local)
    for start in range(0, hidden.shape[1], SEGMENT):
        context = hidden.mean(axis=1) + hidden[:, start : start + SEGMENT].mean(axis=1)
        inner = _relu(_linear(state, f"{base}.cam_layer.linear1", context))
        weights = 1 / (1 + np.exp(-_linear(state, f"{base}.cam_layer.linear2", inner)))
        gated[:, start : start + SEGMENT] = local[:, start : start + SEGMENT] * weights[:, None]
    return gated


def _linear(state: State, name: str, vector: np.ndarray) -> np.ndarray:
    return state[f"{name}.weight"][:, :, 0] @ vector + state[f"{name}.bias"]


def _conv(state: State, name: str, frames: np.ndarray, stride: int, dilation: int = 1) -> np.ndarray:
    weight = state[f"{name}.weight"]
    reach = dilation * (weight.shape[2] // 2)
    padded = np.pad(frames, ((0, 0), (reach, reach)))
    times = range(0, frames.shape[1], stride)
    taps = [padded[:, time : time + 2 * reach + 1 : dilation] for time in times]
    return np.stack([np.einsum("oik,ik->o", weight, tap) for tap in taps], axis=1)


def _conv2(state: State, name: str, image: np.ndarray, stride: int) -> np.ndarray:
    """3 x 3 with zeros around; the stride is that of the frequency axis alone."""
    weight = state[f"{name}.weight"]
    padded = np.pad(image, ((0, 0), (1, 1), (1, 1)))
    height, time = image.shape[1:]
    total = np.zeros((weight.shape[0], -(-height // stride), time))
    for down in range(3):
        for right in range(3):
            shifted = padded[:, down : down + height : stride, right : right + time]
            total += np.einsum("oi,ift->oft", weight[:, :, down, right], shifted)
    return total


def _norm(state: State, name: str, values: np.ndarray) -> np.ndarray:
    shape = (-1,) + (1,) * (values.ndim - 1)
    mean, variance = state[f"{name}.running_mean"].reshape(shape), state[f"{name}.running_var"].reshape(shape)
    normed = (values - mean) / np.sqrt(variance + 1e-5)
    if f"{name}.weight" not in state:
        return normed
    return normed * state[f"{name}.weight"].reshape(shape) + state[f"{name}.bias"].reshape(shape)


def _relu(values: np.ndarray) -> np.ndarray:
    return np.maximum(values, 0)
