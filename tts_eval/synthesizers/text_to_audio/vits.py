"""VITS and MMS-TTS of transformers.

Temperature scales both noises of the checkpoint, as with Piper: `noise_scale` (timbre and prosody detail) and
`noise_scale_duration`. At 1 the voice sounds as its author set it; at 0 it is deterministic. top_p, top_k and
repetition_penalty mean nothing to a VITS, and it does not clone. Texts in other alphabets need the
package uroman where the checkpoint says so, and checkpoints that read phonemes need phonemizer and espeak-ng.
"""

from __future__ import annotations

import math
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tts_eval.errors import ConfigError, MissingDependencyError, SynthesisError
from tts_eval.synthesizers.text_to_audio.voice import Said
from tts_eval.types import Request, Sampling

if TYPE_CHECKING:
    import torch

    from tts_eval.synthesizers.text_to_audio.options import VoiceOptions


class VitsVoice:
    """`VitsModel` with its tokenizer."""

    def __init__(self, folder: Path, options: VoiceOptions, device: torch.device) -> None:
        import torch
        from transformers import VitsModel, VitsTokenizer

        if options.voice or options.vocoder:
            raise ConfigError([f"{folder.name} is a VITS, which has no use for voice= or vocoder=; drop them."])
        self._tokenizer: Any = VitsTokenizer.from_pretrained(folder)
        needs = {"phonemizer": self._tokenizer.phonemize, "uroman": self._tokenizer.is_uroman}
        for package, is_needed in needs.items():
            if is_needed and find_spec(package) is None:
                raise MissingDependencyError(package, f"The tokenizer of the checkpoint {folder.name}", package)
        model: Any = VitsModel.from_pretrained(folder, dtype=torch.float32, weights_only=True)
        self._model = model.eval().to(device)
        config = self._model.config
        self._noises = config.noise_scale, config.noise_scale_duration
        self._speaker = _speaker(options.speaker, config.num_speakers, folder)
        self.rate: int = config.sampling_rate
        self.identity = "" if self._speaker is None else f"#{self._speaker}"
        self._hop = math.prod(config.upsample_rates)

    def say(self, request: Request, sampling: Sampling) -> Said:
        """One sample; a text of which the vocabulary has nothing is refused."""
        import torch

        readable, _ = self._tokenizer.prepare_for_tokenization(request.text)
        if not any(mark.isalnum() for mark in readable):
            raise SynthesisError(
                f"Request '{request.id}': nothing to say in {request.text!r}; expected letters of the vocabulary of "
                "the model."
            )
        ids = self._tokenizer(request.text)["input_ids"]
        # A token lasts a frame at least: more of them cannot fit, and attention over them could fill the memory.
        most = int(sampling.max_seconds * self.rate) // self._hop + 1
        noise, duration_noise = self._noises
        self._model.noise_scale = noise * sampling.temperature
        self._model.noise_scale_duration = duration_noise * sampling.temperature
        tokens = torch.tensor([ids[:most]], device=self._model.device)
        return Said(self._model(tokens, speaker_id=self._speaker).waveform[0], len(ids) > most)


def _speaker(wanted: int | None, count: int, folder: Path) -> int | None:
    """The speaker's number; None for a model of one voice."""
    if count <= 1:
        if wanted is not None:
            raise ConfigError([f"{folder.name} has one speaker; drop speaker={wanted}."])
        return None
    if wanted is not None and wanted >= count:
        raise ConfigError([f"speaker is {wanted}; {folder.name} has {count}: 0 to {count - 1}."])
    return wanted or 0
