"""wav2vec 2.0 and its kin in fairseq's layout, as the field's published files have it, read for transformers.

The names differ, the numbers do not. Sizes come from the weights; what they do not tell is the same in
every member of the family.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

STRIDES = (5, 2, 2, 2, 2, 2, 2)
"""Of the convolutions before the transformer."""

_RENAMED = (
    (r"feature_extractor\.conv_layers\.(\d+)\.0\.(.*)", r"feature_extractor.conv_layers.\1.conv.\2"),
    (r"feature_extractor\.conv_layers\.(\d+)\.2\.(?:1\.)?(.*)", r"feature_extractor.conv_layers.\1.layer_norm.\2"),
    (r"layer_norm\.(.*)", r"feature_projection.layer_norm.\1"),
    (r"post_extract_proj\.(.*)", r"feature_projection.projection.\1"),
    (r"mask_emb", r"masked_spec_embed"),
    (r"encoder\.pos_conv\.0\.bias", r"encoder.pos_conv_embed.conv.bias"),
    (r"encoder\.pos_conv\.0\.weight_g", r"encoder.pos_conv_embed.conv.parametrizations.weight.original0"),
    (r"encoder\.pos_conv\.0\.weight_v", r"encoder.pos_conv_embed.conv.parametrizations.weight.original1"),
    # The relative positions of WavLM.
    (r"encoder\.layers\.(\d+)\.self_attn\.grep_linear\.(.*)", r"encoder.layers.\1.attention.gru_rel_pos_linear.\2"),
    (r"encoder\.layers\.(\d+)\.self_attn\.grep_a", r"encoder.layers.\1.attention.gru_rel_pos_const"),
    (r"encoder\.layers\.0\.self_attn\.relative_attention_bias\.(.*)", r"encoder.layers.0.attention.rel_attn_embed.\1"),
    (r"encoder\.layers\.(\d+)\.self_attn\.(.*)", r"encoder.layers.\1.attention.\2"),
    (r"encoder\.layers\.(\d+)\.self_attn_layer_norm\.(.*)", r"encoder.layers.\1.layer_norm.\2"),
    (r"encoder\.layers\.(\d+)\.fc1\.(.*)", r"encoder.layers.\1.feed_forward.intermediate_dense.\2"),
    (r"encoder\.layers\.(\d+)\.fc2\.(.*)", r"encoder.layers.\1.feed_forward.output_dense.\2"),
)


def renamed(state: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """The weights below `prefix`, under transformers' names."""
    return {_renamed(key.removeprefix(prefix)): value for key, value in state.items() if key.startswith(prefix)}


def sizes(state: Mapping[str, Any]) -> dict[str, Any]:
    """What weights under transformers' names say of the settings of its Wav2Vec2Config and WavLMConfig.

    Raises:
        KeyError: a weight that tells a size is missing.
    """
    convolutions = [state[f"feature_extractor.conv_layers.{index}.conv.weight"].shape for index in range(len(STRIDES))]
    hidden, grouped, positions = state["encoder.pos_conv_embed.conv.parametrizations.weight.original1"].shape
    norms = [key for key in state if re.fullmatch(r"encoder\.layers\.\d+\.layer_norm\.weight", key)]
    return {
        "hidden_size": hidden,
        "num_hidden_layers": len(norms),
        "intermediate_size": state["encoder.layers.0.feed_forward.intermediate_dense.weight"].shape[0],
        "conv_dim": [shape[0] for shape in convolutions],
        "conv_kernel": [shape[2] for shape in convolutions],
        "conv_stride": list(STRIDES),
        "num_conv_pos_embeddings": positions,
        "num_conv_pos_embedding_groups": hidden // grouped,
    }


def _renamed(key: str) -> str:
    for pattern, replacement in _RENAMED:
        if re.fullmatch(pattern, key):
            return re.sub(pattern, replacement, key)
    return key
