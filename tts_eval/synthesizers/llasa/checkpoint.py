"""Checkpoint folders: found here or on the hub, safetensors only, with a digest that says what they hold.

A `tts_eval.json` beside config.json says what config.json has no words for; Llasa's own checkpoints need none:

    {"text": "phonemes",          how text enters: a name of `frontends` (default: as it is written)
     "chat": false,               whether the prompt is a chat turn (default: whether the tokenizer has a template)
     "words": true,               whether the model is told each word when its turn comes (default: it is not)
     "codec": "codec",            folder beside this file, or hub name (default HKUSTAudio/xcodec2-hf)
     "style": "Speaker {style} ",  how a prompt's style is written (default: it is ignored)
     "codes_per_second": 25,      rate of the codec it was trained with (default 50)
     "temperature": 0.6,          what a sampling temperature of 1 means (default 1)
     "context": 2048,             most tokens of prompt and speech together (default 2048)
     "trained_tokens": 512}       of the longest sequence in training; with words, a prompt's beginning is left out
                                  where all would take more (default 0: it never is)
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

from tts_eval.errors import WeightsError
from tts_eval.hub import Source, download

PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
FILES = ("*.json", "*.safetensors", "*.txt", "*.model", "*.jinja")
"""All that is ever downloaded; weights in other formats can run code when they are read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointNotes:
    """What `tts_eval.json` says."""

    text: str = "characters"
    chat: bool | None = None
    words: bool = False
    style: str = ""
    codec: str = "HKUSTAudio/xcodec2-hf"
    codes_per_second: float = 50.0
    temperature: float = 1.0
    context: int = 2048
    trained_tokens: int = 0


def find_checkpoint(source: Source, purpose: str) -> Path:
    """The folder of a checkpoint with safetensors weights, downloaded from the hub if it is no folder here.

    Raises:
        WeightsError: nothing there, or only weights that are not safetensors.
    """
    folder = Path(source.name).expanduser()
    if not folder.is_dir():
        folder = download(source, purpose, FILES)
    if not (folder / "config.json").is_file():
        raise WeightsError(f"{folder} is no checkpoint ({purpose}): it has no config.json.")
    if not any(folder.glob("*.safetensors")):
        pickled = sorted(path.name for pattern in PICKLES for path in folder.glob(pattern))
        found = f"only {', '.join(pickled)}, which can run code when it is loaded" if pickled else "no weights"
        raise WeightsError(
            f"{folder} ({purpose}) has {found}; expected *.safetensors. Where you trust the file, convert it with "
            "transformers' save_pretrained(), or choose a revision that has safetensors."
        )
    return folder


def read_notes(folder: Path) -> CheckpointNotes:
    """What the checkpoint says of itself; the defaults where it has no tts_eval.json.

    Raises:
        WeightsError: the file is not as it should be.
    """
    path = folder / "tts_eval.json"
    if not path.is_file():
        return CheckpointNotes()
    values = read_json(path)
    kinds: dict[str, tuple[type, ...]] = {
        "text": (str,), "chat": (bool,), "words": (bool,), "style": (str,), "codec": (str,),
        "codes_per_second": (int, float), "temperature": (int, float), "context": (int,),
        "trained_tokens": (int,),
    }  # fmt: skip
    wrong = [name for name, value in values.items() if name not in kinds or not isinstance(value, kinds[name])]
    if wrong:
        expected = ", ".join(field.name for field in fields(CheckpointNotes))
        raise WeightsError(f"{path}: {', '.join(wrong)} unknown or of the wrong kind; expected {expected}.")
    if values.get("temperature", 1) <= 0:
        raise WeightsError(f"{path}: temperature is {values['temperature']}; expected a number above 0.")
    if values.get("style") and "{style}" not in values["style"]:
        raise WeightsError(f"{path}: style is {values['style']!r}; expected a text with {{style}} in it.")
    return CheckpointNotes(**values)


def codec_source(folder: Path, notes: CheckpointNotes) -> Source:
    """Where the checkpoint's codec is."""
    inside = folder / notes.codec
    return Source(str(inside), "") if inside.is_dir() else Source.parse(notes.codec)


def digest(folder: Path) -> str:
    """Twelve hexadecimal digits of everything in the folder that decides what it says: weights, config, tokenizer."""
    paths = sorted({path for pattern in FILES for path in folder.glob(pattern)})
    total = hashlib.sha256()
    for path in paths:
        status = path.stat()
        total.update(f"{path.name}:{_file_digest(path.resolve(), status.st_mtime_ns, status.st_size)}\n".encode())
    return total.hexdigest()[:12]


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file of a checkpoint.

    Raises:
        WeightsError: it is missing, or no JSON object.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path} cannot be read as JSON: {error}.") from error
    if not isinstance(values, dict):
        raise WeightsError(f"{path} holds a {type(values).__name__}; expected an object.")
    return values


@lru_cache(maxsize=256)
def _file_digest(path: Path, modified: int, size: int) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
