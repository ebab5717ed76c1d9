"""One step of training the language model, and everything that must survive between two.

The model is a small `LlamaForCausalLM`; what is kept is a moving average of its weights, saved as a
checkpoint folder in Llasa's format. The number to watch beside the loss is the gap: how much worse the
right speech becomes when it stands behind a wrong text. While it is near zero the model has learned
what speech sounds like, and not yet to read.
"""

from __future__ import annotations

import copy
import json
import math
import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

import torch
from torch import Tensor, nn

from tts_eval.files import TEMPORARY_PREFIX, write_text_atomically
from tts_eval.phonemes import SYMBOLS
from tts_eval.recipes.checkpoints import LearningRate, load_checkpoint, save_checkpoint
from tts_eval.recipes.language_batches import Batch, Vocabulary
from tts_eval.recipes.phoneme_tokenizer import PADDING, phoneme_tokenizer
from tts_eval.recipes.token_table import TokenTable
from tts_eval.synthesizers.llasa.format import SPEECH_END, SPEECH_START, TEXT_END, TEXT_START, speech_token

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast


PREDICTED = 256
"""Predictions are made in multiples of this, for the sake of `language_batches.WIDTHS`."""

TEMPERATURE = 0.6
"""What users will call 1. A model of a few million parameters spreads its bets: of its own distribution the tails are
mostly wrong sounds (WER of an early llasa-nano on mini-dev: 37 % at 1, 35 % at 0.8, 28 % at 0.6)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelShape:
    """Sizes of the model, and whose codes it speaks."""

    codec: str
    """Digest of the codec: what was learned of one codec's codes means nothing in another's."""
    levels: tuple[int, ...]
    """The codec's grid."""
    codes_per_second: int
    width: int = 256
    layers: int = 8
    heads: int = 4
    kv_heads: int = 2
    inner_width: int = 640
    context: int = 1024
    longest: int = 512
    """Tokens of a training sequence: beyond them the model is lost."""
    dropout: float = 0.0
    """Of attention; it makes a step half as long again, and pays where the data are an hour or two."""

    @property
    def codes(self) -> int:
        """How many codes there are."""
        return math.prod(self.levels)


class Speaker(nn.Module):
    """What is averaged: the Llama, and the table that takes the place of its embeddings."""

    def __init__(self, shape: ModelShape, vocabulary: Vocabulary, size: int) -> None:
        super().__init__()
        self.llama = _llama(shape, size)
        self.table = TokenTable(size, shape.width, vocabulary.first_code, shape.levels)
        self.llama.model.embed_tokens.weight.requires_grad_(False)  # written at export

    def forward(self, inputs: Tensor, wanted: Tensor) -> Tensor:
        """Logits [N, vocabulary] at the positions `wanted` of `inputs`, both [B, T]."""
        table = self.table()
        # Padding is on the right, where no token looks: causal attention needs no mask for it.
        hidden = self.llama.model(inputs_embeds=nn.functional.embedding(inputs, table), use_cache=False)
        chosen = hidden.last_hidden_state[wanted]
        spare = -len(chosen) % PREDICTED
        return nn.functional.linear(nn.functional.pad(chosen, (0, 0, 0, spare)), table)[: len(chosen)]


class Validation(NamedTuple):
    """Nats per token on sentences that no training heard."""

    loss: float
    wrong_text_loss: float
    """The same speech behind the text of another clip."""
    accuracy: float
    """Share of tokens that are the most probable ones."""


class LanguageTraining:
    """The state of a training run."""

    def __init__(
        self,
        shape: ModelShape,
        rate: LearningRate,
        *,
        device: torch.device,
        bf16: bool = False,
        seed: int = 0,
    ) -> None:
        torch.manual_seed(seed)
        self.shape, self.rate, self.device, self.bf16, self.seed = shape, rate, device, bf16, seed
        self.step = 0
        self.tokenizer = phoneme_tokenizer(shape.codes)
        self.vocabulary = _vocabulary(self.tokenizer, shape.codes)
        self.student = Speaker(shape, self.vocabulary, len(self.tokenizer)).to(device)
        self.average = copy.deepcopy(self.student).requires_grad_(False)
        self.average.train(False)
        self.optimiser = torch.optim.AdamW(_groups(self.student), lr=rate.rate, betas=(0.9, 0.95))
        self._keep = 0.999

    def learn(self, batch: Batch) -> dict[str, Tensor]:
        """Take one step; returns its losses."""
        torch.manual_seed(hash((self.seed, self.step)) & 0x7FFFFFFF)  # dropout follows the step, so training resumes
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate.at(self.step)
        self.student.train()
        loss = self._loss(self.student, batch.to(self.device))
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        gradient = nn.utils.clip_grad_norm_(self.student.parameters(), 1.0)
        self.optimiser.step()
        keep = min(self._keep, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.parameters()), list(self.student.parameters()), 1 - keep)
        self.step += 1
        return {"loss": loss.detach(), "gradient": gradient}

    @torch.no_grad()
    def validate(self, right: Batch, wrong: Batch) -> Validation:
        """The averaged model on held-out speech, behind its own text and behind others'."""
        logits, labels = self._predictions(self.average, right.to(self.device))
        loss = nn.functional.cross_entropy(logits, labels)
        return Validation(
            loss=float(loss),
            wrong_text_loss=float(self._loss(self.average, wrong.to(self.device))),
            accuracy=float((logits.argmax(-1) == labels).float().mean()),
        )

    def _loss(self, model: Speaker, batch: Batch) -> Tensor:
        logits, labels = self._predictions(model, batch)
        return nn.functional.cross_entropy(logits, labels)

    def _predictions(self, model: Speaker, batch: Batch) -> tuple[Tensor, Tensor]:
        """Logits [N, vocabulary] and labels [N] of the tokens that are to be predicted."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            wanted = batch.labels[:, 1:] >= 0
            logits = model(batch.inputs[:, :-1], wanted)
        return logits.float(), batch.labels[:, 1:][wanted]

    def save(self, folder: Path) -> None:
        """Write a checkpoint and `folder/model`."""
        modules = {"student": self.student, "average": self.average}
        save_checkpoint(folder, self.step, asdict(self.shape), modules, {"student": self.optimiser})
        self.export(folder / "model")

    def resume(self, folder: Path) -> bool:
        """Load the latest checkpoint under `folder`, if there is one.

        Raises:
            ConfigError: the checkpoint is of a model of another shape, or for another codec.
        """
        modules = {"student": self.student, "average": self.average}
        self.step = load_checkpoint(folder, asdict(self.shape), modules, {"student": self.optimiser})
        return self.step > 0

    def export(self, folder: Path) -> None:
        """Write the averaged model: float16 safetensors, tokenizer and tts_eval.json; a codec that lies there stays."""
        folder.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(dir=folder.parent, prefix=TEMPORARY_PREFIX))
        shipped = copy.deepcopy(self.average.llama)
        with torch.no_grad():
            shipped.model.embed_tokens.weight.copy_(self.average.table())
        cast(nn.Module, shipped).to("cpu", torch.float16)
        shipped.save_pretrained(scratch)
        (scratch / "model.safetensors").chmod(0o644)  # safetensors leaves it to its owner
        self.tokenizer.save_pretrained(scratch)
        notes = {
            "text": "phonemes",
            "chat": False,
            "words": True,
            "codec": "codec",
            "codes_per_second": self.shape.codes_per_second,
            "temperature": TEMPERATURE,
            "context": self.shape.context,
            "trained_tokens": self.shape.longest,
        }
        write_text_atomically(scratch / "tts_eval.json", json.dumps(notes, indent=2) + "\n")
        scratch.chmod(0o755)
        if (folder / "codec").is_dir():
            shutil.copytree(folder / "codec", scratch / "codec")
        old = Path(tempfile.mkdtemp(dir=folder.parent, prefix=TEMPORARY_PREFIX))
        if folder.is_dir():
            folder.rename(old / folder.name)
        scratch.rename(folder)
        shutil.rmtree(old)


def _llama(shape: ModelShape, vocabulary: int) -> LlamaForCausalLM:
    from transformers import LlamaConfig, LlamaForCausalLM

    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=vocabulary,
            hidden_size=shape.width,
            intermediate_size=shape.inner_width,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.heads,
            num_key_value_heads=shape.kv_heads,
            max_position_embeddings=shape.context,
            attention_dropout=shape.dropout,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=None,
        )
    )


def _vocabulary(tokenizer: PreTrainedTokenizerFast, codes: int) -> Vocabulary:
    def number(token: str) -> int:
        return cast(int, tokenizer.convert_tokens_to_ids(token))

    return Vocabulary(
        symbols={symbol: number(symbol) for symbol in SYMBOLS},
        text_start=number(TEXT_START),
        text_end=number(TEXT_END),
        speech_start=number(SPEECH_START),
        speech_end=number(SPEECH_END),
        first_code=number(speech_token(0)),
        codes=codes,
        padding=number(PADDING),
    )


def _groups(model: nn.Module) -> list[dict[str, object]]:
    """Matrices decay, gains do not."""
    learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
    matrices = [parameter for parameter in learned if parameter.ndim > 1]
    gains = [parameter for parameter in learned if parameter.ndim <= 1]
    return [{"params": matrices, "weight_decay": 0.1}, {"params": gains, "weight_decay": 0.0}]
