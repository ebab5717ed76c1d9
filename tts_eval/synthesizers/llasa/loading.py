"""From a spec to a model that speaks: every mismatch is found here, before anything is generated."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from tts_eval.devices import choose_device
from tts_eval.errors import MissingDependencyError, WeightsError
from tts_eval.hub import Source, quiet_transformers
from tts_eval.loaded import once
from tts_eval.synthesizers.codec import Codec, codecs, codes_per_second
from tts_eval.synthesizers.engine.engine import Engine
from tts_eval.synthesizers.engine.token_head import TokenHead
from tts_eval.synthesizers.engine.transformer import from_llama
from tts_eval.synthesizers.llasa.checkpoint import (
    CheckpointNotes,
    codec_source,
    digest,
    find_checkpoint,
    read_json,
    read_notes,
)
from tts_eval.synthesizers.llasa.format import LlasaFormat, frontends
from tts_eval.synthesizers.llasa.options import LlasaOptions
from tts_eval.synthesizers.llasa.words import WordFormat
from tts_eval.synthesizers.phoneme_alignment import PhonemeAligner

ENGINE_VERSION = 2
"""Raised whenever the same job would say something else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A checkpoint, ready to speak."""

    engine: Engine
    format: LlasaFormat | WordFormat
    context: int
    style: str
    """How a style is written, e.g. "Speaker {style} "; "" for models that know none."""
    revision: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedCodec:
    """A codec and the digest of its weights."""

    codec: Codec
    revision: str


def load(options: LlasaOptions) -> Loaded:
    """The model that the options describe.

    Raises:
        ConfigError: a device that this machine does not have.
        WeightsError: the checkpoint cannot be had, is not in Llasa's format, or does not match its codec.
        MissingDependencyError: transformers is not installed.
    """
    device = choose_device(options.device)
    dtype = _number_type(options.dtype, device)
    folder = find_checkpoint(options.source, "Llasa checkpoint")
    notes = read_notes(folder)
    style = LlasaFormat.load(folder, frontend=frontends.load(notes.text), chat=notes.chat)
    source = options.codec or codec_source(folder, notes)
    codec = load_codec(source, device)
    _check_codec(folder, notes, style, codec.codec)
    model = _load_llama(folder, device, dtype)
    embedding, output = model.model.embed_tokens.weight.detach(), model.lm_head.weight.detach() / notes.temperature
    if style.vocabulary > len(embedding):
        raise WeightsError(
            f"{folder} has {len(embedding)} embeddings for a vocabulary of {style.vocabulary} tokens; expected one "
            "for each. Tokenizer and weights are of different checkpoints."
        )
    context = min(notes.context, int(model.config.max_position_embeddings))
    head = TokenHead(embedding, output, first=style.first, codes=style.codes, end=style.end)
    engine = Engine(from_llama(model, context), head, codec.codec, embedding=embedding, rows=options.rows)
    return Loaded(
        engine=engine,
        format=WordFormat(
            style, PhonemeAligner.load(find_checkpoint(source, "codec"), device), longest=notes.trained_tokens
        )
        if notes.words
        else style,
        context=context,
        style=notes.style,
        revision=f"{digest(folder)}+codec{codec.revision}+{device.type}-{str(dtype).removeprefix('torch.')}"
        f"+engine{ENGINE_VERSION}",
    )


def load_codec(source: Source, device: torch.device) -> LoadedCodec:
    """The codec in a folder or on the hub, by the `model_type` (or `format`) that its config.json names.

    Raises:
        WeightsError: it cannot be had, or nobody knows its kind.
    """
    folder = find_checkpoint(source, "codec")
    config = read_json(folder / "config.json")
    kind = str(config.get("model_type") or config.get("format") or "")
    if kind not in codecs:
        known = ", ".join(entry.name for entry in codecs)
        raise WeightsError(f"{folder} is a codec of kind '{kind}'; expected one of: {known}.")
    load = codecs.load(kind)
    codec = once(lambda: load(folder, device), load, folder, str(device))  # SIM-r often has the synthesizer's own
    return LoadedCodec(codec=codec, revision=digest(folder))


def _number_type(dtype: str, device: torch.device) -> torch.dtype:
    """Float32 on a CPU and bfloat16 on a GPU, unless the options say otherwise."""
    kind: torch.dtype = getattr(torch, dtype or ("float32" if device.type == "cpu" else "bfloat16"))
    return kind


def _check_codec(folder: Path, notes: CheckpointNotes, style: LlasaFormat, codec: Codec) -> None:
    rate = codes_per_second(codec)
    if abs(rate - notes.codes_per_second) > 1e-6:
        raise WeightsError(
            f"The codec makes {rate:g} codes a second (hop {codec.hop} at {codec.rate} Hz), but {folder} was trained "
            f'with {notes.codes_per_second:g}. Give its own codec with codec=FOLDER, or say "codes_per_second" in '
            f"{folder / 'tts_eval.json'}."
        )
    if codec.codes != style.codes:
        raise WeightsError(
            f"The codec has {codec.codes} codes, but the vocabulary of {folder} has {style.codes} speech tokens; "
            "expected as many of each. Give the checkpoint's own codec with codec=FOLDER."
        )


def _load_llama(folder: Path, device: torch.device, dtype: torch.dtype) -> Any:
    try:
        from transformers import LlamaForCausalLM
    except ImportError as error:
        raise MissingDependencyError("transformers", "The synthesizer 'llasa'", "tts-eval-harness[llasa]") from error
    kind = read_json(folder / "config.json").get("model_type")
    if kind != "llama":
        raise WeightsError(f"{folder} is a '{kind}'; expected a Llama, which Llasa is.")
    try:
        with quiet_transformers():
            model = LlamaForCausalLM.from_pretrained(
                folder, local_files_only=True, use_safetensors=True, trust_remote_code=False, dtype=dtype
            )
    except Exception as error:  # transformers and safetensors raise half a dozen kinds
        raise WeightsError(f"{folder} cannot be loaded as a Llama: {error}") from error
    module: torch.nn.Module = model
    return module.eval().to(device)
