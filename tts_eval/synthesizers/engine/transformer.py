"""A Llama decoder for many rows, one position at a time.

It runs the weights of transformers' `LlamaForCausalLM`, laid out for decoding: queries, keys and
values in one matrix, gate and up in one. A step costs about half of what transformers' own forward
does on a CPU, where the time goes to small calls, and all of it can be captured in a CUDA graph.
The query heads that share a key head are treated as several queries on one key, so no key is ever
repeated. Not handled: other architectures, rotary embeddings that change with the length.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from tts_eval.errors import WeightsError
from tts_eval.synthesizers.engine.cache import Index, KVCache
from tts_eval.synthesizers.engine.shape import Shape

Prefix = list[tuple[Tensor, Tensor]]
"""Keys and values [kv_heads, T, head_size] of each layer."""


@dataclass(frozen=True, slots=True)
class Layer:
    """The weights of one layer; biases are None where there are none."""

    attention_norm: Tensor
    qkv: Tensor
    qkv_bias: Tensor | None
    output: Tensor
    output_bias: Tensor | None
    mlp_norm: Tensor
    gate_up: Tensor
    gate_up_bias: Tensor | None
    down: Tensor
    down_bias: Tensor | None


class Transformer:
    """Embeddings in, hidden states out."""

    def __init__(self, layers: list[Layer], norm: Tensor, epsilon: float, shape: Shape, rotary: Tensor) -> None:
        self.shape = shape
        self._layers = layers
        self._norm = norm
        self._epsilon = epsilon
        self._rotary = rotary
        """Cosine and signed sine [positions, 2, head_size]."""

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self._norm.device

    @property
    def dtype(self) -> torch.dtype:
        """What the weights are."""
        return self._norm.dtype

    @property
    def positions(self) -> int:
        """How many positions it can tell apart."""
        return len(self._rotary)

    @torch.inference_mode()
    def prefill(self, inputs: Tensor) -> Prefix:
        """Keys and values of `inputs` [T, width]; T may be 0."""
        rotary = self._rotary[: len(inputs)]
        hidden = inputs
        prefix: Prefix = []
        for layer in self._layers:
            queries, keys, values = self._project(layer, hidden, rotary)
            prefix.append((keys.transpose(0, 1), values.transpose(0, 1)))
            if layer is self._layers[-1] or not len(inputs):
                continue  # nobody looks at what the last layer makes of the prompt
            mixed = functional.scaled_dot_product_attention(
                queries.transpose(0, 1)[None],
                keys.transpose(0, 1)[None],
                values.transpose(0, 1)[None],
                is_causal=True,
                enable_gqa=self.shape.heads != self.shape.kv_heads,
            )
            hidden = self._finish(layer, hidden, mixed[0].transpose(0, 1).reshape(len(inputs), -1))
        return prefix

    def step(self, inputs: Tensor, positions: Tensor, cache: KVCache, column: Index, length: int) -> Tensor:
        """Hidden states [rows, width] of one more position per row, which is kept in `cache` at `column`.

        Args:
            inputs: embeddings [rows, width] of the new positions.
            positions: how many positions of its own each row has seen, int64 [rows].
            cache: slot i belongs to row i.
            column: where the new keys and values go.
            length: columns to look at; at least `column + 1`.
        """
        rows, shape = len(inputs), self.shape
        rotary = self._rotary[positions]
        mask = cache.mask[:rows, None, None, :length] if cache.is_ragged or not isinstance(column, int) else None
        hidden = inputs
        for index, layer in enumerate(self._layers):
            queries, keys, values = self._project(layer, hidden, rotary)
            cache.write(index, rows, column, keys, values)
            mixed = functional.scaled_dot_product_attention(
                queries.view(rows, shape.kv_heads, -1, shape.head_size),
                *cache.read(index, rows, length),
                attn_mask=None if mask is None else mask.expand(-1, shape.kv_heads, shape.heads // shape.kv_heads, -1),
            )
            hidden = self._finish(layer, hidden, mixed.reshape(rows, -1))
        return self._normed(hidden, self._norm)

    def _project(self, layer: Layer, hidden: Tensor, rotary: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values [rows, heads, head_size], the first two rotated to their positions."""
        shape = self.shape
        both = shape.heads + shape.kv_heads
        mixed = functional.linear(self._normed(hidden, layer.attention_norm), layer.qkv, layer.qkv_bias)
        mixed = mixed.view(len(hidden), both + shape.kv_heads, shape.head_size)
        plain = mixed[:, :both]
        turned = torch.addcmul(plain * rotary[:, :1], plain.roll(shape.head_size // 2, dims=-1), rotary[:, 1:])
        return turned[:, : shape.heads], turned[:, shape.heads :], mixed[:, both:]

    def _finish(self, layer: Layer, hidden: Tensor, mixed: Tensor) -> Tensor:
        """The layer's output, from what attention found."""
        hidden = hidden + functional.linear(mixed, layer.output, layer.output_bias)
        normed = self._normed(hidden, layer.mlp_norm)
        gate, up = functional.linear(normed, layer.gate_up, layer.gate_up_bias).chunk(2, dim=-1)
        return hidden + functional.linear(functional.silu(gate) * up, layer.down, layer.down_bias)

    def _normed(self, hidden: Tensor, weight: Tensor) -> Tensor:
        return functional.rms_norm(hidden, weight.shape, weight, self._epsilon)


def from_llama(model: Any, positions: int) -> Transformer:
    """The decoder of a `LlamaForCausalLM`, able to tell `positions` positions apart.

    The layers are taken out of `model`, which cannot be used afterwards: two copies of a large model
    would not fit where one does.

    Raises:
        WeightsError: the model is no plain Llama.
    """
    config = model.config
    rope = (config.rope_parameters or {}).get("rope_type", "default")
    if config.model_type != "llama" or config.hidden_act != "silu" or rope in ("dynamic", "longrope"):
        raise WeightsError(
            f"The checkpoint is a '{config.model_type}' with activation '{config.hidden_act}' and rotary embedding "
            f"'{rope}'; expected a Llama with silu and a fixed rotary embedding (default, linear, llama3, yarn)."
        )
    rotary = _rotary(model, positions)
    heads, kv_heads = config.num_attention_heads, config.num_key_value_heads
    layers = []
    while model.model.layers:
        layers.append(_layer(model.model.layers[0]))
        del model.model.layers[0]
    matrices = sum(w.numel() for layer in layers for w in (layer.qkv, layer.output, layer.gate_up, layer.down))
    shape = Shape(
        layers=len(layers),
        width=config.hidden_size,
        heads=heads,
        kv_heads=kv_heads,
        head_size=rotary.shape[-1],
        matrix_weights=matrices,
    )
    return Transformer(layers, model.model.norm.weight.detach(), config.rms_norm_eps, shape, rotary)


def _rotary(model: Any, positions: int) -> Tensor:
    weight = model.model.norm.weight
    with torch.inference_mode():
        cosine, sine = model.model.rotary_emb(weight, torch.arange(positions, device=weight.device)[None])
        half = sine.shape[-1] // 2
        # Rolling by half a head and turning a sign is transformers' `rotate_half`; the sign is kept here.
        signed = torch.cat([-sine[0, :, :half], sine[0, :, half:]], dim=-1)
        return torch.stack([cosine[0], signed], dim=1)


def _layer(source: Any) -> Layer:
    attention, mlp = source.self_attn, source.mlp

    def joined(*linears: Any) -> tuple[Tensor, Tensor | None]:
        bias = None if linears[0].bias is None else torch.cat([linear.bias.detach() for linear in linears])
        return torch.cat([linear.weight.detach() for linear in linears]), bias

    qkv, qkv_bias = joined(attention.q_proj, attention.k_proj, attention.v_proj)
    gate_up, gate_up_bias = joined(mlp.gate_proj, mlp.up_proj)
    output, output_bias = joined(attention.o_proj)
    down, down_bias = joined(mlp.down_proj)
    return Layer(
        attention_norm=source.input_layernorm.weight.detach(),
        qkv=qkv,
        qkv_bias=qkv_bias,
        output=output,
        output_bias=output_bias,
        mlp_norm=source.post_attention_layernorm.weight.detach(),
        gate_up=gate_up,
        gate_up_bias=gate_up_bias,
        down=down,
        down_bias=down_bias,
    )
