"""OpenAI's own Whisper as a recogniser: the reference that other implementations are held against.

Always the published decoding: 30 s window, beam 5, no temperature fallback, no timestamps, no voice
activity detection. Clips are encoded and their wanted texts scored in batches, from the decoder's
logits over text tokens. Checkpoints are read with `weights_only`.
Not handled: clips over 30 s (`verifiers.long_audio`), language detection.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tts_eval.errors import ConfigError, MissingDependencyError, WeightsError
from tts_eval.execution import batched
from verifiers.recognition import DEFAULT_MODEL, Transcript, Utterance, scored_text, summed_log_probs

if TYPE_CHECKING:
    import torch
    from whisper import Whisper
    from whisper.tokenizer import Tokenizer

NAME = "openai-whisper"
BATCH = 8
"""Clips, each in a window of at most 30 s."""
BEAM = 5


class OpenAIWhisperRecogniser:
    """A `whisper.Whisper` model; float32 on a CPU, float16 on a GPU."""

    def __init__(self, model: Whisper, name: str, fingerprint: str) -> None:
        from whisper.tokenizer import get_tokenizer

        self._model = model
        self._half = model.device.type == "cuda"
        self.text_tokens = int(get_tokenizer(model.is_multilingual, num_languages=model.num_languages).eot)
        self.judge = f"{NAME}:{name}@{fingerprint}:{'float16' if self._half else 'float32'}:exact"

    def supports(self, language: str) -> bool:
        """Whether the model has a token for the language; English-only models know `en`."""
        from whisper.tokenizer import LANGUAGES

        return language in (list(LANGUAGES)[: self._model.num_languages] if self._model.is_multilingual else ["en"])

    def recognise(self, utterances: Sequence[Utterance]) -> list[Transcript]:
        """One transcript per utterance, in order; batches hold clips of one language."""
        languages: dict[str, list[int]] = {}
        for index, utterance in enumerate(utterances):
            languages.setdefault(utterance.language, []).append(index)
        found: dict[int, Transcript] = {}
        for language, indices in languages.items():
            for batch in batched(indices, BATCH):
                transcripts = self._batch([utterances[index] for index in batch], language)
                found.update(zip(batch, transcripts, strict=True))
        return [found[index] for index in range(len(utterances))]

    def _batch(self, utterances: Sequence[Utterance], language: str) -> list[Transcript]:
        import torch
        from whisper import DecodingOptions
        from whisper.tokenizer import get_tokenizer

        tokenizer = get_tokenizer(
            self._model.is_multilingual,
            num_languages=self._model.num_languages,
            language=language,
            task="transcribe",
        )
        options = DecodingOptions(language=language, beam_size=BEAM, without_timestamps=True, fp16=self._half)
        with torch.inference_mode():
            encoded = self._model.embed_audio(self._features(utterances))
            # One by one: openai-whisper's beam search does not repeat the encodings of a batch for its beams.
            heard = [
                self._model.decode(row, options).text.strip() if utterance.transcribe else ""
                for row, utterance in zip(encoded, utterances, strict=True)
            ]
            texts = [scored_text(utterance, text) for utterance, text in zip(utterances, heard, strict=True)]
            log_probs = self._log_probs(encoded, texts, tokenizer)
        return [Transcript(text, *scored) for text, scored in zip(heard, log_probs, strict=True)]

    def _features(self, utterances: Sequence[Utterance]) -> torch.Tensor:
        """Log-mel features [B, mels, frames], the audio padded to 30 s as in `whisper.transcribe`."""
        import torch
        from whisper.audio import N_FRAMES, N_SAMPLES, log_mel_spectrogram, pad_or_trim

        mels = [
            pad_or_trim(
                log_mel_spectrogram(np.array(utterance.audio_16k), n_mels=self._model.dims.n_mels, padding=N_SAMPLES),
                N_FRAMES,
            )
            for utterance in utterances
        ]
        return torch.stack(mels).to(self._model.device, torch.float16 if self._half else torch.float32)

    def _log_probs(self, encoded: torch.Tensor, wanted: Sequence[str], tokenizer: Tokenizer) -> list[tuple[float, int]]:
        import torch

        tokens = [tokenizer.encode(f" {text.strip()}", disallowed_special=()) if text else [] for text in wanted]
        start = [*tokenizer.sot_sequence, tokenizer.no_timestamps]
        room = self._model.dims.n_text_ctx - len(start)
        longest = min(max(map(len, tokens)), room)
        if not longest:
            return [(0.0, 0)] * len(tokens)
        rows = [[*start, *text[:room], *[tokenizer.eot] * (longest - len(text))] for text in tokens]
        logits = self._model.logits(torch.tensor(rows, device=self._model.device), encoded)
        # Row p predicts token p + 1, and the choice is among text tokens, as in Whisper's word alignment.
        predicting = logits[:, len(start) - 1 : -1, : self.text_tokens].float().softmax(dim=-1)
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


def load(model: str = DEFAULT_MODEL) -> OpenAIWhisperRecogniser:
    """The recogniser for an official name (downloaded by openai-whisper on first use) or a .pt file.

    Raises:
        MissingDependencyError: openai-whisper is not installed.
        ConfigError: no model goes by that name and no file is there.
        WeightsError: the checkpoint cannot be downloaded or read.
    """
    try:
        import whisper
    except ImportError as error:
        raise MissingDependencyError(
            "openai-whisper", f"asr:{NAME}:{model}", "tts-eval-harness[openai-whisper]"
        ) from error
    path = Path(model).expanduser()
    official = model in whisper.available_models()
    if not official and not path.is_file():
        raise ConfigError(
            [
                f"Unknown model '{model}' for {NAME}: expected one of {', '.join(whisper.available_models())}, "
                f"or an existing .pt file, e.g. asr:{NAME}:/models/small.pt."
            ]
        )
    try:
        loaded = whisper.load_model(model if official else str(path))
    except Exception as error:  # unpickling, checksum, connection: all mean there is no model
        raise WeightsError(
            f"openai-whisper cannot load '{model}': {type(error).__name__}: {(str(error).splitlines() or [''])[0]} "
            "Expected a checkpoint that holds 'dims' and 'model_state_dict' and nothing but tensors and numbers; "
            f"check the file or the connection, or use asr:{DEFAULT_MODEL}."
        ) from error
    return OpenAIWhisperRecogniser(
        loaded.eval(), model if official else path.name, _official_digest(model) if official else _digest(path)
    )


def _official_digest(name: str) -> str:
    import whisper

    # The address of an official checkpoint holds the SHA-256 that the download is checked against.
    return str(whisper._MODELS[name]).split("/")[-2][:12]


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()[:12]
