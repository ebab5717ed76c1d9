"""Any audio classifier of transformers that has emotions for classes, read from safetensors only.

The embedding is what goes into the last linear layer: for wav2vec 2.0, HuBERT, WavLM and Whisper classifiers the
mean over time of the projected states. Clips share a batch where the feature extractor asks for an
attention mask, that is, where padding changes nothing; models without one hear clips one by one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tts_eval.emotions import Heard
from tts_eval.errors import MissingDependencyError, WeightsError
from tts_eval.execution import batched
from tts_eval.hub import quiet_transformers
from verifiers.emotion_model import RATE, checked_emotions

if TYPE_CHECKING:
    import torch

BATCH_SECONDS = 120.0
"""Most audio of a batch, padding included."""
SHORTEST_SECONDS = 0.1


class TransformersEmotions:
    """A sequence classifier with its feature extractor."""

    shortest_seconds = SHORTEST_SECONDS

    def __init__(self, folder: Path, name: str, device: torch.device) -> None:
        """Load config.json, preprocessor_config.json and *.safetensors of `folder`.

        Raises:
            WeightsError: they are not those of an emotion classifier at 16 kHz.
            MissingDependencyError: transformers is not installed.
        """
        try:
            from transformers import AutoFeatureExtractor, AutoModelForAudioClassification
        except ImportError as error:
            raise MissingDependencyError("transformers", f"emotion:{name}", "tts-eval-harness[transformers]") from error
        try:
            with quiet_transformers():
                loader: Any = AutoFeatureExtractor
                self._extractor = loader.from_pretrained(folder)
                loaded: Any = AutoModelForAudioClassification.from_pretrained(
                    folder, use_safetensors=True, output_loading_info=True
                )
        except Exception as error:  # transformers and safetensors raise whatever they like
            raise WeightsError(
                f"transformers cannot load an audio classifier from {folder}: {str(error).splitlines()[0]} Expected "
                "config.json, preprocessor_config.json and *.safetensors of AutoModelForAudioClassification."
            ) from error
        model, info = loaded
        if info["missing_keys"]:
            raise WeightsError(
                f"{folder} lacks the weights {', '.join(sorted(info['missing_keys'])[:3])}: it is not an audio "
                "classifier as it was trained. Give the folder of the fine-tuned classifier."
            )
        if self._extractor.sampling_rate != RATE:
            raise WeightsError(f"{folder} hears audio at {self._extractor.sampling_rate} Hz; expected {RATE} Hz.")
        labels = [model.config.id2label[index] for index in range(model.config.num_labels)]
        self.emotions = checked_emotions(labels, str(folder))
        self.judge = f"transformers:{name}"
        self._device = device
        self._model = model.eval().to(device)
        self._masks = bool(getattr(self._extractor, "return_attention_mask", False))

    def hear(self, clips_16k: Sequence[np.ndarray]) -> list[Heard]:
        """One result per clip."""
        heard: dict[int, Heard] = {}
        for batch in self._batches([len(clip) for clip in clips_16k]):
            results = self._run([clips_16k[index] for index in batch])
            heard |= dict(zip(batch, results, strict=True))
        return [heard[index] for index in range(len(clips_16k))]

    def _batches(self, lengths: Sequence[int]) -> Iterator[Sequence[int]]:
        order = sorted(range(len(lengths)), key=lambda index: lengths[index])
        longest = max(lengths, default=1)
        yield from batched(order, max(int(BATCH_SECONDS * RATE / longest), 1) if self._masks else 1)

    def _run(self, clips: Sequence[np.ndarray]) -> list[Heard]:
        import torch

        inputs = self._extractor(
            [np.array(clip) for clip in clips], sampling_rate=RATE, return_tensors="pt", padding=self._padding()
        )
        pooled: list[torch.Tensor] = []
        hook = self._model.classifier.register_forward_pre_hook(lambda _, given: pooled.append(given[0]))
        try:
            with torch.inference_mode():
                logits = self._model(**inputs.to(self._device)).logits
        finally:
            hook.remove()
        probabilities = logits.double().softmax(dim=-1).cpu().numpy()
        embeddings = pooled[0].float().cpu().numpy()
        return [Heard(row, embedding) for row, embedding in zip(probabilities, embeddings, strict=True)]

    def _padding(self) -> bool | str:
        # Whisper's extractor, and the spectrogram transformer's, pad to the model's own window unless told otherwise.
        return True if self._extractor.__class__.__name__.startswith(("Wav2Vec2", "SeamlessM4T")) else "max_length"
