"""Whisper checkpoints of transformers and OpenAI: tiny random ones, and real ones out of CTranslate2 files."""

from __future__ import annotations

import re
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tts_eval.audio import read_audio
from tts_eval.errors import WeightsError
from tts_eval.weights import locate
from verifiers import whisper_ctranslate2
from verifiers.recognition import RATE, Recogniser, Utterance

LANGUAGES = ("en", "de")
DTYPES = ("float32", "int8", "int16", "int32", "float16")


def save_tiny_whisper(
    folder: Path, *, languages: tuple[str, ...] = LANGUAGES, seed: int = 0, context: int = 40
) -> Path:
    """A random Whisper, saved as a real checkpoint; without `languages` it is an English-only one."""
    import torch
    from transformers import GenerationConfig, WhisperConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration

    tokenizer = _byte_tokenizer(languages)
    tokenizer.save_pretrained(folder)
    WhisperFeatureExtractor().save_pretrained(folder)
    ids = tokenizer.convert_tokens_to_ids
    ends = {"bos_token_id": ids("<|endoftext|>"), "eos_token_id": ids("<|endoftext|>"), "pad_token_id": 256}
    config = WhisperConfig(
        vocab_size=len(tokenizer), d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16, max_target_positions=context, init_std=0.5,
        decoder_start_token_id=ids("<|startoftranscript|>"), suppress_tokens=None, begin_suppress_tokens=None, **ends,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = WhisperForConditionalGeneration(config)
        model.model.decoder.layers[0].encoder_attn.out_proj.weight.data *= 50.0  # so that the audio has a say
    told: dict[str, Any] = {
        "lang_to_id": {f"<|{code}|>": ids(f"<|{code}|>") for code in languages},
        "task_to_id": {"transcribe": ids("<|transcribe|>")},
    }
    model.generation_config = GenerationConfig(
        decoder_start_token_id=ids("<|startoftranscript|>"), no_timestamps_token_id=ids("<|notimestamps|>"),
        is_multilingual=bool(languages), max_length=context, **ends, **(told if languages else {}),
    )  # fmt: skip
    model.save_pretrained(folder)
    return folder


def _byte_tokenizer(languages: tuple[str, ...]) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    base = Tokenizer(models.BPE(vocab={mark: index for index, mark in enumerate(alphabet)}, merges=[]))
    base.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    base.decoder = decoders.ByteLevel()
    end = "<|endoftext|>"
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=base, eos_token=end, unk_token=end, pad_token=end)
    marks = ["<|startoftranscript|>", *(f"<|{code}|>" for code in languages), "<|transcribe|>", "<|notimestamps|>"]
    tokenizer.add_special_tokens({"additional_special_tokens": marks})
    return tokenizer


def read_ctranslate2(folder: Path) -> dict[str, np.ndarray]:
    """The variables of a model.bin of binary version 6, as ctranslate2.specs.model_spec writes it; scalars left out."""
    data = memoryview((folder / "model.bin").read_bytes())
    position = 0

    def number(kind: str) -> int:
        nonlocal position
        (value,) = struct.unpack_from(f"<{kind}", data, position)
        position += struct.calcsize(kind)
        return int(value)

    def text() -> str:
        nonlocal position
        length = number("H")
        found = bytes(data[position : position + length - 1]).decode()
        position += length
        return found

    version, _, _ = number("I"), text(), number("I")
    assert version == 6
    found: dict[str, np.ndarray] = {}
    for _ in range(number("I")):
        name = text()
        shape = [number("I") for _ in range(number("B"))]
        dtype, size = DTYPES[number("B")], number("I")
        if shape:
            found[name] = np.frombuffer(data[position : position + size], dtype=dtype).reshape(shape).astype(np.float32)
        position += size
    return found


def transformers_names(variables: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The same weights under the names of `WhisperForConditionalGeneration`."""
    found: dict[str, np.ndarray] = {}
    for name, array in variables.items():
        side, _, rest = name.partition("/")
        part = rest.replace("layer_norm/gamma", "layer_norm/weight").replace("layer_norm/beta", "layer_norm/bias")
        part = re.sub(r"^layer_(\d+)", r"layers/\1", part)
        fixed = {"embeddings/weight": "embed_tokens/weight", "position_encodings/encodings": "embed_positions/weight"}
        part = fixed.get(part, part)
        part = re.sub(r"^(layers/\d+)/ffn/layer_norm", r"\1/final_layer_norm", part)
        part = re.sub(r"^(layers/\d+)/ffn/linear_(\d)", lambda m: f"{m[1]}/fc{int(m[2]) + 1}", part)
        part = re.sub(r"^(layers/\d+)/self_attention/layer_norm", r"\1/self_attn_layer_norm", part)
        part = re.sub(r"^(layers/\d+)/attention/layer_norm", r"\1/encoder_attn_layer_norm", part)
        part = part.replace("/self_attention/", "/self_attn/").replace("/attention/", "/encoder_attn/")
        fused = {3: "qkv", 2: "kv", 1: "q"}
        if match := re.fullmatch(r"(.*(?:self|encoder)_attn)/linear_(\d)/(weight|bias)", part):
            stem, index, kind = match[1], int(match[2]), match[3]
            if (stem.endswith("self_attn") and index == 1) or index == 2:
                found[f"model.{side}.{stem}.out_proj.{kind}".replace("/", ".")] = array
                continue
            count = 3 if stem.endswith("self_attn") else (1, 2)[index]
            for letter, piece in zip(fused[count], np.split(array, count), strict=True):
                if not (letter == "k" and kind == "bias"):  # Whisper's keys have none
                    found[f"model.{side}.{stem}.{letter}_proj.{kind}".replace("/", ".")] = piece
            continue
        found[f"model.{side}.{part}".replace("/", ".")] = array
    return found


def openai_names(weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Weights named as in transformers under the names of OpenAI's own implementation."""
    changes = (
        (r"^model\.", ""), (r"\.layers\.", ".blocks."), (r"encoder_attn_layer_norm", "cross_attn_ln"),
        (r"self_attn_layer_norm", "attn_ln"), (r"encoder_attn\.", "cross_attn."), (r"self_attn\.", "attn."),
        (r"q_proj", "query"), (r"k_proj", "key"), (r"v_proj", "value"), (r"out_proj", "out"),
        (r"fc1", "mlp.0"), (r"fc2", "mlp.2"), (r"final_layer_norm", "mlp_ln"),
        (r"^encoder\.layer_norm", "encoder.ln_post"), (r"^decoder\.layer_norm", "decoder.ln"),
        (r"embed_positions\.weight", "positional_embedding"), (r"embed_tokens", "token_embedding"),
    )  # fmt: skip
    found = {}
    for name, array in weights.items():
        changed = name
        for pattern, replacement in changes:
            changed = re.sub(pattern, replacement, changed)
        found[changed] = array
    return found


def save_real_whisper(source: Path, folder: Path) -> Path:
    """Whisper tiny.en out of its CTranslate2 files as an English-only checkpoint of transformers."""
    import json

    import torch
    from transformers import (
        GenerationConfig,
        PreTrainedTokenizerFast,
        WhisperConfig,
        WhisperFeatureExtractor,
        WhisperForConditionalGeneration,
    )

    end, start = 50256, 50257
    PreTrainedTokenizerFast(
        tokenizer_file=str(source / "tokenizer.json"), eos_token="<|endoftext|>", unk_token="<|endoftext|>"
    ).save_pretrained(folder)
    WhisperFeatureExtractor().save_pretrained(folder)
    ends = {"bos_token_id": end, "eos_token_id": end, "pad_token_id": end, "decoder_start_token_id": start}
    config = WhisperConfig(
        vocab_size=51864, d_model=384, encoder_layers=4, decoder_layers=4, encoder_attention_heads=6,
        decoder_attention_heads=6, encoder_ffn_dim=1536, decoder_ffn_dim=1536, suppress_tokens=None,
        begin_suppress_tokens=None, **ends,
    )  # fmt: skip
    model = WhisperForConditionalGeneration(config)
    weights = transformers_names(read_ctranslate2(source))
    weights["proj_out.weight"] = weights["model.decoder.embed_tokens.weight"]
    model.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})
    settings = json.loads((source / "config.json").read_text())
    model.generation_config = GenerationConfig(
        is_multilingual=False, no_timestamps_token_id=50362, max_length=448, suppress_tokens=settings["suppress_ids"],
        begin_suppress_tokens=settings["suppress_ids_begin"], **ends,
    )  # fmt: skip
    model.save_pretrained(folder)
    return folder


def save_real_openai(source: Path, path: Path) -> Path:
    """Whisper tiny.en out of its CTranslate2 files in OpenAI's format."""
    import torch

    dims = {
        "n_mels": 80, "n_audio_ctx": 1500, "n_audio_state": 384, "n_audio_head": 6, "n_audio_layer": 4,
        "n_vocab": 51864, "n_text_ctx": 448, "n_text_state": 384, "n_text_head": 6, "n_text_layer": 4,
    }  # fmt: skip
    weights = openai_names(transformers_names(read_ctranslate2(source)))
    torch.save(
        {"dims": dims, "model_state_dict": {name: torch.from_numpy(array) for name, array in weights.items()}}, path
    )
    return path


def real_weights() -> Path:
    """The CTranslate2 files of tiny.en."""
    try:
        return locate("whisper-tiny.en")
    except WeightsError as error:
        pytest.skip(str(error))


def utterances(*texts: str, language: str = "en") -> list[Utterance]:
    """One second of noise for the first text, two for the second, and so on."""
    generator = np.random.default_rng(0)
    return [
        Utterance(
            audio_16k=generator.normal(0, 0.1, RATE * (index + 1)).astype(np.float32), text=text, language=language
        )
        for index, text in enumerate(texts)
    ]


def real_speech(data: Path, count: int) -> list[Utterance]:
    """LibriSpeech clips of as many readers, with their texts."""
    clips = []
    for listing in sorted((data / "LibriSpeech" / "train-clean-5").rglob("*.trans.txt"))[:count]:
        name, _, text = listing.read_text(encoding="utf-8").splitlines()[0].partition(" ")
        audio = read_audio(listing.parent / f"{name}.flac").at(RATE)
        clips.append(Utterance(audio_16k=audio, text=text.capitalize(), language="en"))
    return clips


def check_same_words(recogniser: Recogniser, clips: list[Utterance]) -> None:
    """A recogniser with tiny.en's weights hears, and finds likely, what CTranslate2 does in the same 30 s window."""
    theirs = whisper_ctranslate2.load("tiny.en", exact=True).recognise(clips)
    for one, other in zip(recogniser.recognise(clips), theirs, strict=True):
        words, others = one.text.lower().split(), other.text.lower().split()
        # int8 there and float32 here, and not everyone searches with beams: a word may differ, a sentence may not.
        assert sum(word in others for word in words) >= 0.8 * len(words) > 3
        assert one.tokens == other.tokens
        assert abs(one.log_prob / one.tokens - other.log_prob / other.tokens) < 0.15
