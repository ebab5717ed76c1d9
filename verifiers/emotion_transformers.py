"""Any audio classifier of transformers that has emotions for classes.

The embedding is what goes into the last linear layer: for wav2vec 2.0, HuBERT, WavLM and Whisper classifiers the
mean over time of the projected states. Clips share a batch where padding changes nothing, which is where the
model's convolutions are layer-normed and the feature extractor gives an attention mask; else they come one by one.
Where the feature extractor has a window of its own (Whisper's has 30 s) only the beginning of longer clips is heard.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tts_eval.devices import most_together
from tts_eval.emotions import Heard
from tts_eval.execution import batched_by_length
from verifiers.emotion_model import RATE, checked_emotions
from verifiers.transformers_audio import load_audio_model

if TYPE_CHECKING:
    import torch

BATCH_SECONDS = 120
"""Most audio of a batch, padding included."""
SHORTEST_SECONDS = 0.1


class TransformersEmotions:
    """A sequence classifier with its feature extractor."""

    shortest_seconds = SHORTEST_SECONDS

    def __init__(self, folder: Path, name: str, device: torch.device) -> None:
        """Load config.json, preprocessor_config.json and the weights of `folder`.

        Raises:
            WeightsError: they are not those of an emotion classifier at 16 kHz.
            MissingDependencyError: transformers is not installed.
        """
        model, self._extractor = load_audio_model(
            "AutoModelForAudioClassification",
            folder,
            device,
            kind="emotion classifier",
            example="superb/wav2vec2-base-superb-er",
            extra="transformers",
        )
        labels = [model.config.id2label[index] for index in range(model.config.num_labels)]
        self.emotions = checked_emotions(labels, str(folder))
        self.judge = f"transformers:{name}"
        self._device = device
        self._model = model
        # The group norm of the base models takes its statistics over the padding too, mask or not.
        masks = model.config.to_dict().get("feat_extract_norm") == "layer" and self._extractor.return_attention_mask
        self._most_samples = most_together(device, BATCH_SECONDS * RATE) if masks else 0

    def hear(self, clips_16k: Sequence[np.ndarray]) -> list[Heard]:
        """One result per clip."""
        heard: dict[int, Heard] = {}
        for batch in batched_by_length([len(clip) for clip in clips_16k], self._most_samples):
            results = self._run([clips_16k[index] for index in batch])
            heard |= dict(zip(batch, results, strict=True))
        return [heard[index] for index in range(len(clips_16k))]

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
