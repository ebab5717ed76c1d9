"""WavLM and UniSpeech's ECAPA-TDNN as equations in plain numpy, on weights under their published names.

Written from the papers and the layout of the published checkpoint, one clip at a time and in float64: it shares
no code with the package, and knows nothing of batches, padding or transformers.
"""

from __future__ import annotations

import math

import numpy as np
from random_weights import RandomWeights

STRIDES = (5, 2, 2, 2, 2, 2, 2)
KERNELS = (10, 3, 3, 3, 3, 2, 2)
FARTHEST = 800
WAVLM = "feature_extract.model."

# Sizes of the small checkpoint.
CONV, HIDDEN, INNER, HEADS, LAYERS, BUCKETS = 8, 12, 20, 3, 2, 16
POSITIONS, GROUPS = 6, 4
CHANNELS, SCALE, GATE, POOLED, ATTENTION, SIZE = 16, 8, 5, 18, 4, 7

State = dict[str, np.ndarray]


def random_state(seed: int, large: bool) -> State:
    """A small checkpoint in the published layout; `large` has the norms of WavLM-large, else those of base-plus."""
    weights = RandomWeights(seed)
    weights.normal(f"{WAVLM}mask_emb", HIDDEN)
    for index, kernel in enumerate(KERNELS):
        base = f"{WAVLM}feature_extractor.conv_layers.{index}"
        weights.normal(f"{base}.0.weight", CONV, CONV if index else 1, kernel)
        if large:
            weights.affine(f"{base}.2.1", CONV)
        elif index == 0:
            weights.affine(f"{base}.2", CONV)
    weights.affine(f"{WAVLM}layer_norm", CONV)
    weights.linear(f"{WAVLM}post_extract_proj", HIDDEN, CONV)
    weights.normal(f"{WAVLM}encoder.pos_conv.0.bias", HIDDEN, scale=0.2)
    weights.normal(f"{WAVLM}encoder.pos_conv.0.weight_g", 1, 1, POSITIONS, scale=1.0)
    weights.normal(f"{WAVLM}encoder.pos_conv.0.weight_v", HIDDEN, HIDDEN // GROUPS, POSITIONS)
    weights.affine(f"{WAVLM}encoder.layer_norm", HIDDEN)
    for index in range(LAYERS):
        base = f"{WAVLM}encoder.layers.{index}"
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            weights.linear(f"{base}.self_attn.{part}", HIDDEN, HIDDEN)
        weights.linear(f"{base}.self_attn.grep_linear", 8, HIDDEN // HEADS)
        weights.normal(f"{base}.self_attn.grep_a", 1, HEADS, 1, 1, scale=1.0)
        if index == 0:
            weights.normal(f"{base}.self_attn.relative_attention_bias.weight", BUCKETS, HEADS, scale=1.0)
        weights.affine(f"{base}.self_attn_layer_norm", HIDDEN)
        weights.linear(f"{base}.fc1", INNER, HIDDEN)
        weights.linear(f"{base}.fc2", HIDDEN, INNER)
        weights.affine(f"{base}.final_layer_norm", HIDDEN)

    weights.normal("feature_weight", LAYERS + 1, scale=1.0)
    weights.linear("layer1.conv", CHANNELS, HIDDEN, 5)
    weights.batch_norm("layer1.bn", CHANNELS)
    width = CHANNELS // SCALE
    for layer in ("layer2", "layer3", "layer4"):
        for part in ("Conv1dReluBn1", "Conv1dReluBn2"):
            weights.linear(f"{layer}.{part}.conv", CHANNELS, CHANNELS, 1)
            weights.batch_norm(f"{layer}.{part}.bn", CHANNELS)
        for index in range(SCALE - 1):
            weights.linear(f"{layer}.Res2Conv1dReluBn.convs.{index}", width, width, 3)
            weights.batch_norm(f"{layer}.Res2Conv1dReluBn.bns.{index}", width)
        weights.linear(f"{layer}.SE_Connect.linear1", GATE, CHANNELS)
        weights.linear(f"{layer}.SE_Connect.linear2", CHANNELS, GATE)
    weights.linear("conv", POOLED, 3 * CHANNELS, 1)
    weights.linear("pooling.linear1", ATTENTION, POOLED, 1)
    weights.linear("pooling.linear2", POOLED, ATTENTION, 1)
    weights.batch_norm("bn", 2 * POOLED)
    weights.linear("linear", SIZE, 2 * POOLED)
    weights.normal("loss_calculator.projection.weight", 11, SIZE)
    return weights.state


def embedding(state: State, samples: np.ndarray, large: bool) -> np.ndarray:
    """The model's answer [SIZE] to a clip [T], not normalised."""
    state = {name: np.asarray(value, np.float64) for name, value in state.items()}
    return head(state, layers(state, samples.astype(np.float64), large))


def layers(state: State, samples: np.ndarray, large: bool) -> np.ndarray:
    """What each transformer layer hears, and the encoder's output [LAYERS + 1, T, HIDDEN]."""
    if large:
        samples = (samples - samples.mean()) / np.sqrt(samples.var() + 1e-5)
    frames = samples[None, :]
    for index, stride in enumerate(STRIDES):
        base = f"{WAVLM}feature_extractor.conv_layers.{index}"
        frames = convolve(frames, state[f"{base}.0.weight"], None, stride=stride)
        if large:
            frames = layer_norm(state, f"{base}.2.1", frames.T).T
        elif index == 0:  # a group norm with one channel a group
            spread = np.sqrt(frames.var(axis=1, keepdims=True) + 1e-5)
            frames = (frames - frames.mean(axis=1, keepdims=True)) / spread
            frames = frames * state[f"{base}.2.weight"][:, None] + state[f"{base}.2.bias"][:, None]
        frames = gelu(frames)
    x = affine_map(state, f"{WAVLM}post_extract_proj", layer_norm(state, f"{WAVLM}layer_norm", frames.T))

    direction = state[f"{WAVLM}encoder.pos_conv.0.weight_v"]
    length = np.sqrt(np.square(direction).sum(axis=(0, 1), keepdims=True))
    kernel = state[f"{WAVLM}encoder.pos_conv.0.weight_g"] * direction / length
    bias = state[f"{WAVLM}encoder.pos_conv.0.bias"]
    share = HIDDEN // GROUPS
    placed = [
        convolve(x.T[g * share : (g + 1) * share], kernel[g * share : (g + 1) * share], None, padding=POSITIONS // 2)
        for g in range(GROUPS)
    ]
    x = x + gelu(np.concatenate(placed)[:, : len(x)] + bias[:, None]).T
    norm = f"{WAVLM}encoder.layer_norm"
    if not large:
        x = layer_norm(state, norm, x)

    heard = []
    offsets = position_bias(state, len(x))
    for index in range(LAYERS):
        heard.append(x)
        base = f"{WAVLM}encoder.layers.{index}"
        if large:
            x = x + attend(state, f"{base}.self_attn", layer_norm(state, f"{base}.self_attn_layer_norm", x), offsets)
            x = x + feed_forward(state, base, layer_norm(state, f"{base}.final_layer_norm", x))
        else:
            x = layer_norm(state, f"{base}.self_attn_layer_norm", x + attend(state, f"{base}.self_attn", x, offsets))
            x = layer_norm(state, f"{base}.final_layer_norm", x + feed_forward(state, base, x))
    return np.stack([*heard, layer_norm(state, norm, x) if large else x])


def attend(state: State, base: str, x: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Self-attention whose relative position bias each query gates for itself."""
    width = HIDDEN // HEADS
    query, key, value = (affine_map(state, f"{base}.{part}_proj", x) for part in "qkv")
    out = np.zeros_like(x)
    for h in range(HEADS):
        own = slice(h * width, (h + 1) * width)
        gates = affine_map(state, f"{base}.grep_linear", x[:, own])
        update, reset = sigmoid(gates[:, :4].sum(axis=1)), sigmoid(gates[:, 4:].sum(axis=1))
        scale = update * (reset * state[f"{base}.grep_a"][0, h, 0, 0] - 1.0) + 2.0
        logits = query[:, own] @ key[:, own].T / math.sqrt(width) + scale[:, None] * offsets[h]
        out[:, own] = softmax(logits, axis=1) @ value[:, own]
    return affine_map(state, f"{base}.out_proj", out)


def position_bias(state: State, frames: int) -> np.ndarray:
    """Bias of each head for each pair of frames [HEADS, T, T], before any gate."""
    table = state[f"{WAVLM}encoder.layers.0.self_attn.relative_attention_bias.weight"]
    half = BUCKETS // 2
    exact = half // 2

    def bucket(offset: int) -> int:
        distance = abs(offset)
        if distance >= exact:
            far = math.log(distance / exact) / math.log(FARTHEST / exact) * (half - exact)
            distance = min(exact + int(far), half - 1)
        return distance + (half if offset > 0 else 0)

    return np.array([[table[bucket(k - q)] for k in range(frames)] for q in range(frames)]).transpose(2, 0, 1)


def feed_forward(state: State, base: str, x: np.ndarray) -> np.ndarray:
    return affine_map(state, f"{base}.fc2", gelu(affine_map(state, f"{base}.fc1", x)))


def head(state: State, heard: np.ndarray) -> np.ndarray:
    """ECAPA-TDNN on the weighted sum of the layers."""
    mixed = np.einsum("l,ltd->dt", softmax(state["feature_weight"], axis=0), heard) + 1e-6
    x = (mixed - mixed.mean(axis=1, keepdims=True)) / np.sqrt(mixed.var(axis=1, keepdims=True) + 1e-5)
    x = conv_relu_norm(state, "layer1.conv", "layer1.bn", x, padding=2)
    outputs = []
    for layer, dilation in (("layer2", 2), ("layer3", 3), ("layer4", 4)):
        inner = conv_relu_norm(state, f"{layer}.Conv1dReluBn1.conv", f"{layer}.Conv1dReluBn1.bn", x)
        slices = np.split(inner, SCALE)
        base = f"{layer}.Res2Conv1dReluBn"
        done: list[np.ndarray] = []
        for i in range(SCALE - 1):
            piece = slices[i] + done[-1] if done else slices[i]
            done.append(
                conv_relu_norm(
                    state, f"{base}.convs.{i}", f"{base}.bns.{i}", piece, padding=dilation, dilation=dilation
                )
            )
        inner = np.concatenate([*done, slices[-1]])
        inner = conv_relu_norm(state, f"{layer}.Conv1dReluBn2.conv", f"{layer}.Conv1dReluBn2.bn", inner)
        squeezed = np.maximum(affine_map(state, f"{layer}.SE_Connect.linear1", inner.mean(axis=1)), 0)
        x = x + inner * sigmoid(affine_map(state, f"{layer}.SE_Connect.linear2", squeezed))[:, None]
        outputs.append(x)
    pooled = np.maximum(convolve(np.concatenate(outputs), state["conv.weight"], state["conv.bias"]), 0)
    logits = np.tanh(convolve(pooled, state["pooling.linear1.weight"], state["pooling.linear1.bias"]))
    weights = softmax(convolve(logits, state["pooling.linear2.weight"], state["pooling.linear2.bias"]), axis=1)
    mean = (weights * pooled).sum(axis=1)
    deviation = np.sqrt(np.maximum((weights * pooled**2).sum(axis=1) - mean**2, 1e-9))
    return affine_map(state, "linear", batch_norm(state, "bn", np.concatenate([mean, deviation])[:, None])[:, 0])


def conv_relu_norm(
    state: State, conv: str, norm: str, x: np.ndarray, padding: int = 0, dilation: int = 1
) -> np.ndarray:
    convolved = convolve(x, state[f"{conv}.weight"], state[f"{conv}.bias"], padding=padding, dilation=dilation)
    return batch_norm(state, norm, np.maximum(convolved, 0))


def convolve(
    x: np.ndarray, kernel: np.ndarray, bias: np.ndarray | None, stride: int = 1, padding: int = 0, dilation: int = 1
) -> np.ndarray:
    x = np.pad(x, ((0, 0), (padding, padding)))
    reach = dilation * (kernel.shape[2] - 1)
    starts = range(0, x.shape[1] - reach, stride)
    taps = np.stack([x[:, start : start + reach + 1 : dilation] for start in starts])
    out = np.einsum("cik,tik->ct", kernel, taps)
    return out if bias is None else out + bias[:, None]


def affine_map(state: State, name: str, x: np.ndarray) -> np.ndarray:
    return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]


def layer_norm(state: State, name: str, x: np.ndarray) -> np.ndarray:
    scaled = (x - x.mean(axis=-1, keepdims=True)) / np.sqrt(x.var(axis=-1, keepdims=True) + 1e-5)
    return scaled * state[f"{name}.weight"] + state[f"{name}.bias"]


def batch_norm(state: State, name: str, x: np.ndarray) -> np.ndarray:
    scaled = (x - state[f"{name}.running_mean"][:, None]) / np.sqrt(state[f"{name}.running_var"][:, None] + 1e-5)
    return scaled * state[f"{name}.weight"][:, None] + state[f"{name}.bias"][:, None]


def softmax(x: np.ndarray, axis: int) -> np.ndarray:
    exponentials = np.exp(x - x.max(axis=axis, keepdims=True))
    return exponentials / exponentials.sum(axis=axis, keepdims=True)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def gelu(x: np.ndarray) -> np.ndarray:
    return x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))
