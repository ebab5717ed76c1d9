"""Emotion classifiers by name: which one `emotion:MODEL` means, told by the files it is made of.

Names: `nano` (the default; its head comes with the package), `iemocap`
(speechbrain/emotion-recognition-wav2vec2-IEMOCAP) and `emotion2vec` (iic/emotion2vec_plus_large, through
funasr). Anything else is a folder or OWNER/NAME[@REVISION] on the Hugging Face hub: `wav2vec2.ckpt` makes it
SpeechBrain's, config.json an audio classifier of transformers, `model.pt` one of funasr's. Weights are read as
safetensors or with `weights_only`; no code or recipe beside them is run.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tts_eval.devices import choose_device
from tts_eval.errors import WeightsError
from tts_eval.hub import checkpoint_fingerprint, download_checkpoint, fingerprint
from verifiers.emotion_model import EmotionModel
from verifiers.emotion_speechbrain import SPEECHBRAIN_FILES
from verifiers.funasr_models import WEIGHTS
from verifiers.model_spec import hub_source

if TYPE_CHECKING:
    import torch

HUB_NAMES = {"iemocap": "speechbrain/emotion-recognition-wav2vec2-IEMOCAP"}
FUNASR_NAMES = {"emotion2vec": "iic/emotion2vec_plus_large"}
FUNASR_OWNERS = ("iic/", "emotion2vec/")


def load_model(model: str, device: str = "") -> EmotionModel:
    """The classifier that `emotion:MODEL` names; "" is `nano`, which always runs on the CPU.

    `device` is cpu, cuda or cuda:NUMBER; "" is a GPU where there is one.

    Raises:
        ConfigError: no model goes by that name, or the machine has no such device.
        WeightsError: its weights are not here and cannot be had, or are not those of an emotion classifier.
        MissingDependencyError: the package that runs it is not installed.
    """
    if model in ("", "nano"):
        from tts_eval.emotion_nano import EmotionNano

        return EmotionNano.shipped()
    place = choose_device(device)
    path = Path(model).expanduser()
    name = FUNASR_NAMES.get(model, model)
    if not path.exists() and name.startswith(FUNASR_OWNERS):
        return _funasr(name, place)
    folder = path if path.exists() else _from_hub(HUB_NAMES.get(model, model))
    name = path.resolve().name if path.exists() else model
    if (folder / SPEECHBRAIN_FILES[0]).is_file():
        from verifiers.emotion_speechbrain import SpeechBrainEmotions

        files = [folder / file for file in SPEECHBRAIN_FILES if (folder / file).is_file()]
        return SpeechBrainEmotions(folder, f"{name}@{fingerprint(files)}", place)
    if (folder / "config.json").is_file():
        from verifiers.emotion_transformers import TransformersEmotions

        return TransformersEmotions(folder, f"{name}@{checkpoint_fingerprint(folder)}", place)
    if (folder / WEIGHTS).is_file():
        return _funasr(str(folder), place)
    raise WeightsError(
        f"{folder} is no emotion classifier: expected a folder with config.json and model.safetensors (transformers), "
        f"{', '.join(SPEECHBRAIN_FILES)} (SpeechBrain) or {WEIGHTS} (funasr)."
    )


def _funasr(model: str, device: torch.device) -> EmotionModel:
    from verifiers.emotion_funasr import FunasrEmotions

    return FunasrEmotions(model, str(device))


def _from_hub(model: str) -> Path:
    known = ["nano", *HUB_NAMES, *FUNASR_NAMES]
    source = hub_source("emotion", model, known, "emotion:/models/my-classifier")
    return download_checkpoint(source, "emotion classifier", SPEECHBRAIN_FILES)
