"""Whisper checkpoints of transformers: tiny random ones, and the real tiny.en out of its CTranslate2 files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.perf.whisper_weights import transformers_weights
from tts_eval.audio import read_audio
from tts_eval.errors import WeightsError
from tts_eval.weights import locate
from verifiers import whisper_ctranslate2
from verifiers.recognition import RATE, Recogniser, Utterance

LANGUAGES = ("en", "de")


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


def save_real_whisper(source: Path, folder: Path) -> Path:
    """Whisper tiny.en out of its CTranslate2 files as an English-only checkpoint of transformers."""
    import json

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
    weights = transformers_weights(source)
    weights["proj_out.weight"] = weights["model.decoder.embed_tokens.weight"]
    model.load_state_dict(weights)
    settings = json.loads((source / "config.json").read_text())
    model.generation_config = GenerationConfig(
        is_multilingual=False, no_timestamps_token_id=50362, max_length=448, suppress_tokens=settings["suppress_ids"],
        begin_suppress_tokens=settings["suppress_ids_begin"], **ends,
    )  # fmt: skip
    model.save_pretrained(folder)
    return folder


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
