"""CTC recognisers on wav2vec 2.0's frame: wav2vec 2.0, HuBERT, WavLM and their kin, such as hubert-large-ls960-ft.

Greedy: the best symbol of every frame, repeats and blanks removed. The likelihood is the exact CTC
probability of the text's letters, summed over all alignments, so it needs no search either. What of a
text the vocabulary cannot spell (punctuation, digits) parts words and is not scored.
Which language a checkpoint knows is not written in it: whoever names one says that it knows the requests'.
Not handled: language models on top, adapters, clips over 30 s (`verifiers.long_audio`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from tts_eval.devices import most_together
from tts_eval.errors import ConfigError
from tts_eval.execution import batched_by_length
from verifiers.recognition import RATE, Transcript, Utterance, scored_text

if TYPE_CHECKING:
    import torch

    from verifiers.transformers_checkpoint import Checkpoint

BATCH_SECONDS = 120
"""Audio in one batch, padding included."""


class CTCRecogniser:
    """An `AutoModelForCTC` that hears raw audio, in float32; on the GPU where there is one."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        import torch
        from transformers import AutoModelForCTC, Wav2Vec2CTCTokenizer, Wav2Vec2FeatureExtractor

        if "conv_kernel" not in checkpoint.config or checkpoint.config.get("add_adapter"):
            raise ConfigError(
                [
                    f"{checkpoint.name} ({checkpoint.config.get('model_type')}) is no CTC model on wav2vec 2.0's "
                    "convolutions; expected wav2vec 2.0, HuBERT or WavLM, e.g. "
                    "transformers:facebook/hubert-large-ls960-ft."
                ]
            )
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._features: Any = Wav2Vec2FeatureExtractor.from_pretrained(checkpoint.folder)
        tokenizer: Any = Wav2Vec2CTCTokenizer.from_pretrained(checkpoint.folder)
        model: Any = AutoModelForCTC.from_pretrained(checkpoint.folder, dtype=torch.float32, weights_only=True)
        self._model = model.eval().to(self._device)
        self._blank = int(tokenizer.pad_token_id)
        self._delimiter: str = tokenizer.word_delimiter_token
        special = set(tokenizer.all_special_tokens) - {self._delimiter}
        self._symbols: dict[int, str] = {
            index: mark for mark, index in tokenizer.get_vocab().items() if mark not in special
        }
        self._letters = {mark: index for index, mark in self._symbols.items()}
        self.text_tokens = int(self._model.config.vocab_size)
        self.judge = f"transformers:{checkpoint.name}@{checkpoint.fingerprint}:float32:ctc"

    def supports(self, language: str) -> bool:
        """Always: see the module's docstring."""
        return True

    def recognise(self, utterances: Sequence[Utterance]) -> list[Transcript]:
        """One transcript per utterance, in order."""
        found: dict[int, Transcript] = {}
        for batch in self._batches([len(utterance.audio_16k) for utterance in utterances]):
            found.update(zip(batch, self._batch([utterances[index] for index in batch]), strict=True))
        return [found[index] for index in range(len(utterances))]

    def _batches(self, lengths: Sequence[int]) -> Iterator[list[int]]:
        """Indices in order of length, as many at a time as fit into BATCH_SECONDS with their padding."""
        # Models without an attention mask were trained on unpadded clips and hear padding as speech.
        most = most_together(self._device, BATCH_SECONDS * RATE) if self._features.return_attention_mask else 0
        return batched_by_length(lengths, most)

    def _batch(self, utterances: Sequence[Utterance]) -> list[Transcript]:
        import torch

        frames = [self._frames(len(utterance.audio_16k)) for utterance in utterances]
        if max(frames) < 1:  # shorter than the model's first step: nothing can be heard in 25 ms
            return [self._nothing_heard(utterance) for utterance in utterances]
        inputs = self._features(
            [np.array(utterance.audio_16k) for utterance in utterances],
            sampling_rate=RATE,
            padding=True,
            return_tensors="pt",
        ).to(self._device)
        with torch.inference_mode():
            log_probs = self._model(**inputs).logits.log_softmax(dim=-1)
        return [
            self._transcript(utterance, log_probs[row, :length]) if length > 0 else self._nothing_heard(utterance)
            for row, (utterance, length) in enumerate(zip(utterances, frames, strict=True))
        ]

    def _transcript(self, utterance: Utterance, log_probs: torch.Tensor) -> Transcript:
        heard = ""
        if utterance.transcribe:
            heard = self._read(log_probs.argmax(dim=-1).tolist())
        letters = self._spelled(scored_text(utterance, heard))
        return Transcript(heard, self._log_prob(log_probs, letters), len(letters))

    def _read(self, symbols: Sequence[int]) -> str:
        # The blank parts double letters, so repeats are merged before it goes.
        merged = (self._symbols.get(symbol, "") for symbol, _ in groupby(symbols))
        return " ".join("".join(merged).replace(self._delimiter, " ").split())

    def _log_prob(self, log_probs: torch.Tensor, letters: Sequence[int]) -> float:
        import torch

        if not letters:
            return 0.0
        loss = torch.nn.functional.ctc_loss(
            log_probs[:, None],
            torch.tensor([letters], device=log_probs.device),
            torch.tensor([len(log_probs)]),
            torch.tensor([len(letters)]),
            blank=self._blank,
            reduction="sum",
        )
        # Infinite where the text has more letters than the clip has room for: no better than guessing them.
        return max(-float(loss), self._guessed(letters))

    def _nothing_heard(self, utterance: Utterance) -> Transcript:
        letters = self._spelled(scored_text(utterance, ""))
        return Transcript("", self._guessed(letters), len(letters))

    def _guessed(self, letters: Sequence[int]) -> float:
        return -len(letters) * math.log(self.text_tokens)

    def _spelled(self, text: str) -> list[int]:
        """The text in the model's letters, a word delimiter between words."""
        capitals = "A" in self._letters and "a" not in self._letters
        cased = (text.upper() if capitals else text.lower()).replace("’", "'")
        known = "".join(mark if mark in self._letters and mark != self._delimiter else " " for mark in cased)
        spaced = self._delimiter if self._delimiter in self._letters else ""
        return [self._letters[mark] for mark in spaced.join(known.split())]

    def _frames(self, samples: int) -> int:
        """How many frames the model makes of that many samples."""
        config = self._model.config
        for kernel, stride in zip(config.conv_kernel, config.conv_stride, strict=True):
            samples = max((samples - kernel) // stride + 1, 0)
        return samples
