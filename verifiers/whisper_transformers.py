"""Whisper checkpoints of transformers, decoded as Seed-TTS-Eval does: float32, greedy, 30 s window, language given.

Clips are encoded once; that encoding gives the transcript and, teacher-forced, the log-probability of
the wanted text among text tokens.
Not handled: clips over 30 s (`verifiers.long_audio`), language detection.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tts_eval.execution import batched
from verifiers.recognition import MAX_SECONDS, RATE, Transcript, Utterance, scored_text, summed_log_probs

if TYPE_CHECKING:
    import torch

    from verifiers.transformers_checkpoint import Checkpoint

BATCH_SECONDS = 240
"""Audio in one batch; every clip takes its 30 s window of it."""


class TransformersWhisperRecogniser:
    """`WhisperForConditionalGeneration` with its tokenizer and features; on the GPU where there is one."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        import torch
        from transformers import AutoTokenizer, WhisperFeatureExtractor, WhisperForConditionalGeneration

        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._features: Any = WhisperFeatureExtractor.from_pretrained(checkpoint.folder)
        self._tokenizer: Any = AutoTokenizer.from_pretrained(checkpoint.folder)
        model: Any = WhisperForConditionalGeneration.from_pretrained(
            checkpoint.folder, dtype=torch.float32, weights_only=True
        )
        self._model = model.eval().to(self._device)
        self._languages = getattr(self._model.generation_config, "lang_to_id", None) or {}
        self.text_tokens = self._id("<|endoftext|>")
        self.judge = f"transformers:{checkpoint.name}@{checkpoint.fingerprint}:float32:greedy"

    def supports(self, language: str) -> bool:
        """Whether the model has a token for the language; English-only models know `en`."""
        return f"<|{language}|>" in self._languages if self._languages else language == "en"

    def recognise(self, utterances: Sequence[Utterance]) -> list[Transcript]:
        """One transcript per utterance, in order; a batch holds one language and wants all transcripts or none."""
        groups: dict[tuple[str, bool], list[int]] = {}
        for index, utterance in enumerate(utterances):
            groups.setdefault((utterance.language, utterance.transcribe), []).append(index)
        found: dict[int, Transcript] = {}
        for indices in groups.values():
            for batch in batched(indices, int(BATCH_SECONDS / MAX_SECONDS)):
                found.update(zip(batch, self._batch([utterances[index] for index in batch]), strict=True))
        return [found[index] for index in range(len(utterances))]

    def _batch(self, utterances: Sequence[Utterance]) -> list[Transcript]:
        import torch

        heard = [""] * len(utterances)
        with torch.inference_mode():
            features = self._features(
                [np.array(utterance.audio_16k) for utterance in utterances], sampling_rate=RATE, return_tensors="pt"
            ).input_features.to(self._device)
            encoded = self._model.get_encoder()(features)
            if utterances[0].transcribe:
                heard = self._transcripts(features, encoded, utterances[0].language)
            texts = [scored_text(utterance, text) for utterance, text in zip(utterances, heard, strict=True)]
            log_probs = self._log_probs(encoded, texts, utterances[0].language)
        return [Transcript(text, *scored) for text, scored in zip(heard, log_probs, strict=True)]

    def _transcripts(self, features: torch.Tensor, encoded: Any, language: str) -> list[str]:
        import torch

        # English-only checkpoints refuse to be told their language.
        told = {"language": language, "task": "transcribe"} if self._languages else {}
        tokens = self._model.generate(
            features,
            encoder_outputs=encoded,
            attention_mask=torch.ones(features.shape[::2], dtype=torch.long, device=self._device),
            num_beams=1,
            do_sample=False,
            max_length=self._model.config.max_target_positions,
            **told,
        )
        texts = self._tokenizer.batch_decode(tokens, skip_special_tokens=True)
        return [text.strip() for text in texts]

    def _log_probs(self, encoded: Any, wanted: Sequence[str], language: str) -> list[tuple[float, int]]:
        import torch

        start = self._start(language)
        tokens = [self._text_ids(text) for text in wanted]
        room = self._model.config.max_target_positions - len(start)
        longest = min(max(map(len, tokens)), room)
        if not longest:
            return [(0.0, 0)] * len(tokens)
        rows = [[*start, *text[:room], *[self.text_tokens] * (longest - len(text))] for text in tokens]
        logits = self._model(
            encoder_outputs=encoded, decoder_input_ids=torch.tensor(rows, device=self._device), use_cache=False
        ).logits
        # Row p predicts token p + 1, and the choice is among text tokens, as in the other backends.
        predicting = logits[:, len(start) - 1 : -1, : self.text_tokens].softmax(dim=-1)
        return [
            (
                summed_log_probs(
                    predicting[row, range(min(len(text), room)), text[:room]].tolist(),
                    max(len(text) - room, 0),
                    self.text_tokens,
                ),
                len(text),
            )
            for row, text in enumerate(tokens)
        ]

    def _text_ids(self, text: str) -> list[int]:
        # Whisper writes every text with a space before it; a special token spelled out in the text is no speech.
        ids = self._tokenizer.encode(f" {text.strip()}", add_special_tokens=False) if text else []
        return [token for token in ids if token < self.text_tokens]

    def _start(self, language: str) -> list[int]:
        told = [f"<|{language}|>", "<|transcribe|>"] if self._languages else []
        return [self._id(mark) for mark in ("<|startoftranscript|>", *told, "<|notimestamps|>")]

    def _id(self, mark: str) -> int:
        found = self._tokenizer.convert_tokens_to_ids(mark)
        if found is None or found == self._tokenizer.unk_token_id != self._tokenizer.eos_token_id:
            raise ValueError(f"the vocabulary has no {mark}; expected the tokenizer of a Whisper model.")
        return int(found)
