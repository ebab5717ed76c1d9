"""Paraformer through FunASR: the recogniser of Seed-TTS-Eval's Chinese half.

Transcripts only: it decodes all characters at once, so there is no probability of a given text. Clips go
one by one, as in the official script, because padding changes what it hears.
Not handled: clips over 30 s (`verifiers.long_audio`), other languages than Chinese.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tts_eval.errors import ConfigError
from verifiers.funasr_models import load_funasr
from verifiers.recognition import Transcript, Utterance

NAME = "funasr"
MODEL = "paraformer-zh"


class ParaformerRecogniser:
    """A `funasr.AutoModel` that was loaded without voice activity detection and punctuation."""

    text_tokens = 0

    def __init__(self, model: Any, judge: str) -> None:
        self._model = model
        self.judge = judge

    def supports(self, language: str) -> bool:
        """Chinese alone."""
        return language == "zh"

    def recognise(self, utterances: Sequence[Utterance]) -> list[Transcript]:
        """One transcript per utterance, in order, without log-probabilities."""
        return [Transcript(self._text(utterance) if utterance.transcribe else "") for utterance in utterances]

    def _text(self, utterance: Utterance) -> str:
        found = self._model.generate(input=[np.array(utterance.audio_16k)], batch_size=1, disable_pbar=True)
        return str(found[0]["text"]) if found else ""  # nothing is returned where nothing was heard


def load(model: str = MODEL) -> ParaformerRecogniser:
    """The recogniser for `paraformer-zh`, another OWNER/NAME of FunASR's hubs, or a folder.

    Raises:
        MissingDependencyError: funasr is not installed.
        ConfigError: the model is none of these.
        WeightsError: it cannot be downloaded or read.
    """
    folder = Path(model).expanduser()
    if model != MODEL and not folder.is_dir() and not re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", model):
        raise ConfigError(
            [f"Unknown model '{model}' for {NAME}: expected {MODEL}, an existing folder, or OWNER/NAME on its hub."]
        )
    return ParaformerRecogniser(*load_funasr(model, needed_for=f"{NAME}:{model}", extra="chinese"))
