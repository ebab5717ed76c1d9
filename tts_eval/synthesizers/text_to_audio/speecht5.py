"""SpeechT5 of transformers, with its vocoder and one voice.

`voice=FILE.npy` is the x-vector of a speaker (512 numbers, e.g. out of Matthijs/cmu-arctic-xvectors), `vocoder=` a
SpeechT5HifiGan (default microsoft/speecht5_hifigan). Its only chance is the dropout before the decoder, which always
works: candidates differ by their seeds, while temperature, top_p, top_k and repetition_penalty mean nothing.
Prompts are ignored.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tts_eval.errors import ConfigError, MissingDependencyError, SynthesisError
from tts_eval.hub import Source, checkpoint_fingerprint, fingerprint, local_or_hub
from tts_eval.synthesizers.text_to_audio.voice import Said
from tts_eval.types import Request, Sampling

if TYPE_CHECKING:
    import torch

    from tts_eval.synthesizers.text_to_audio.options import VoiceOptions

VOCODER = Source("microsoft/speecht5_hifigan", "")
FRAMES_PER_LETTER = 20.0
"""Where the model is stopped, as by default in transformers."""


class SpeechT5Voice:
    """`SpeechT5ForTextToSpeech`, `SpeechT5HifiGan` and a speaker."""

    def __init__(self, folder: Path, options: VoiceOptions, device: torch.device) -> None:
        import torch

        if options.speaker is not None:
            raise ConfigError([f"{folder.name} is a SpeechT5, which has no use for speaker=; give voice=FILE.npy."])
        try:
            import sentencepiece  # noqa: F401
        except ImportError as error:
            raise MissingDependencyError(
                "sentencepiece", "The tokenizer of SpeechT5", "tts-eval-harness[transformers]"
            ) from error
        from transformers import SpeechT5ForTextToSpeech, SpeechT5HifiGan, SpeechT5Tokenizer

        self._tokenizer: Any = SpeechT5Tokenizer.from_pretrained(folder)
        model: Any = SpeechT5ForTextToSpeech.from_pretrained(folder, dtype=torch.float32, weights_only=True)
        self._model = model.eval().to(device)
        vocoder_folder = local_or_hub(options.vocoder or VOCODER, "vocoder of SpeechT5")
        vocoder: Any = SpeechT5HifiGan.from_pretrained(vocoder_folder, dtype=torch.float32, weights_only=True)
        self._vocoder = vocoder.eval().to(device)
        voice = _read_voice(options.voice, self._model.config.speaker_embedding_dim)
        self._voice = torch.from_numpy(voice)[None].to(device)
        self.rate: int = vocoder.config.sampling_rate
        self._hop = math.prod(vocoder.config.upsample_rates)
        beside = fingerprint([*folder.glob("*.model"), Path(options.voice)])
        self.identity = f"+{checkpoint_fingerprint(vocoder_folder)}+{beside}"

    def say(self, request: Request, sampling: Sampling) -> Said:
        """One sample; a text that is too long for the model is refused."""
        import torch

        if not any(mark.isalnum() for mark in request.text):
            raise SynthesisError(f"Request '{request.id}': nothing to say in {request.text!r}; expected words.")
        ids = self._tokenizer(request.text)["input_ids"]
        room = self._model.config.max_text_positions
        if len(ids) > room:
            raise SynthesisError(
                f"Request '{request.id}': the text has {len(ids)} letters, SpeechT5 reads {room}. Shorten the text."
            )
        longest = sampling.max_seconds * self.rate / self._hop / len(ids)
        samples = self._model.generate_speech(
            torch.tensor([ids], device=self._model.device),
            speaker_embeddings=self._voice,
            vocoder=self._vocoder,
            maxlenratio=min(FRAMES_PER_LETTER, longest),
        )
        reduction = self._model.config.reduction_factor
        steps = int(len(ids) * min(FRAMES_PER_LETTER, longest) / reduction)
        return Said(samples, len(samples) >= steps * reduction * self._hop)


def _read_voice(path: str, size: int) -> np.ndarray:
    """The speaker's x-vector, float32 [size]."""
    expected = f"expected voice=FILE.npy, the x-vector of a speaker ({size} numbers)"
    if not path:
        raise ConfigError([f"SpeechT5 needs a speaker; {expected}."])
    try:
        voice: np.ndarray = np.load(Path(path), allow_pickle=False)
    except (OSError, ValueError) as error:
        raise ConfigError([f"voice is '{path}', which cannot be read ({error}); {expected}."]) from error
    if voice.size != size:
        raise ConfigError([f"voice is '{path}' of shape {voice.shape}; {expected}."])
    vector: np.ndarray = voice.reshape(size).astype(np.float32)
    return vector
