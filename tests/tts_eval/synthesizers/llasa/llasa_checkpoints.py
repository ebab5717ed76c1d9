"""A tiny random Llasa, saved as a real checkpoint: Llama, tokenizer with a chat template, X-Codec-2."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from tts_eval.synthesizers.llasa.format import MARKS, SPEECH_END, speech_token

CODES = 64
# The shape of Llama 3.2's template, with the date that it would take from the clock.
CHAT_TEMPLATE = (
    "{%- if date_string is not defined %}{%- set date_string = strftime_now('%d %b %Y') %}{%- endif %}"
    "{{- bos_token }}{{- '<|start_header_id|>system<|end_header_id|>\n\nToday Date: '"
    " + date_string + '\n\n<|eot_id|>' }}"
    "{%- for message in messages %}{{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'"
    " + message['content'] | trim + '<|eot_id|>' }}{%- endfor %}"
)


def make_tokenizer(*, codes: int = CODES, chat: bool = True) -> Any:
    """Bytes as the base vocabulary, then Llasa's tokens, in the order of its training script."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    base = Tokenizer(models.BPE(vocab={mark: index for index, mark in enumerate(alphabet)}, merges=[]))
    base.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    base.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=base,
        bos_token="<|begin_of_text|>",
        eos_token="<|eot_id|>",
        additional_special_tokens=["<|start_header_id|>", "<|end_header_id|>"],
    )
    if chat:
        tokenizer.chat_template = CHAT_TEMPLATE
    tokenizer.add_tokens([*MARKS, *map(speech_token, range(codes))])
    return tokenizer


def save_llama(folder: Path, tokenizer: Any, *, context: int = 1024, **changes: Any) -> None:
    """A random Llama with grouped queries, for the tokenizer's vocabulary."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(7)
    settings: dict[str, Any] = {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "vocab_size": len(tokenizer),
        "max_position_embeddings": context,
        "initializer_range": 0.3,
        "tie_word_embeddings": False,
        "rope_parameters": {
            "rope_type": "llama3", "rope_theta": 500000.0, "factor": 4.0, "low_freq_factor": 1.0,
            "high_freq_factor": 4.0, "original_max_position_embeddings": 256,
        },
        "bos_token_id": None,
        "eos_token_id": None,
    }  # fmt: skip
    model = LlamaForCausalLM(LlamaConfig(**(settings | changes)))
    end = tokenizer.convert_tokens_to_ids(SPEECH_END)
    with torch.no_grad():
        # Only speech tokens and the end compete, as in a trained checkpoint; the end is made rare.
        model.lm_head.weight[: tokenizer.convert_tokens_to_ids(speech_token(0))] = 0.0
        model.lm_head.weight[end] = 0.1 * torch.randn(model.config.hidden_size)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def save_codec(folder: Path, *, levels: tuple[int, ...] = (4, 4, 4)) -> None:
    """A random X-Codec-2."""
    from transformers import Wav2Vec2BertConfig, Xcodec2Config, Xcodec2Model

    torch.manual_seed(11)
    semantic = Wav2Vec2BertConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, conv_depthwise_kernel_size=3,
        position_embeddings_type=None,
    )  # fmt: skip
    config = Xcodec2Config(
        hidden_size=64, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=2,
        head_dim=32, encoder_hidden_size=2, semantic_model_config=semantic.to_dict(), quantization_dim=80,
        quantization_levels=levels,
    )  # fmt: skip
    codec = Xcodec2Model(config)
    with torch.no_grad():  # so that other audio gets other codes
        codec.quantizer.project_in.weight *= 50_000.0
    codec.save_pretrained(folder)


def save_checkpoint(folder: Path, *, chat: bool = True, notes: dict[str, Any] | None = None, **llama: Any) -> Path:
    """A folder with everything that `llasa:FOLDER` needs."""
    save_llama(folder, make_tokenizer(chat=chat), **llama)
    save_codec(folder / "codec")
    (folder / "tts_eval.json").write_text(json.dumps({"codec": "codec"} | (notes or {})))
    return folder
