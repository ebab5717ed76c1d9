"""What stands after `transformers:`: FOLDER_OR_HUB_NAME[@REVISION][,KEY=VALUE ...].

Keys: `device` (cpu, cuda, cuda:1; default cuda where there is one), `speaker` (number of a speaker, for a VITS
that has several; default 0), `voice` and `vocoder` (of SpeechT5; see `speecht5`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tts_eval.devices import DEVICES
from tts_eval.errors import ConfigError
from tts_eval.hub import Source
from tts_eval.key_values import parse_key_values

EXAMPLE = "transformers:facebook/mms-tts-eng"


@dataclass(frozen=True, slots=True, kw_only=True)
class VoiceOptions:
    """A parsed spec; "" and None leave the choice to the checkpoint and the machine."""

    source: Source
    device: str = ""
    speaker: int | None = None
    voice: str = ""
    vocoder: Source | None = None


_KEYS: dict[str, tuple[Callable[[str], bool], str]] = {
    "device": (lambda value: bool(re.fullmatch(DEVICES, value)), "expected cpu, cuda or cuda:NUMBER"),
    "speaker": (str.isdigit, "expected the number of a speaker, from 0"),
    "voice": (bool, "expected a .npy file"),
    "vocoder": (bool, "expected a folder or hub name"),
}


def parse_options(argument: str) -> VoiceOptions:
    """The options that `transformers:ARGUMENT` gives.

    Raises:
        ConfigError: no checkpoint, or unknown, repeated or impossible options; all of them are listed.
    """
    source, *settings = [part.strip() for part in argument.split(",")]
    problems = [] if source else [f"Synthesizer 'transformers' needs a checkpoint: {EXAMPLE}."]
    values: dict[str, str] = {}

    def problem_of(key: str, value: str) -> str:
        is_right, expected = _KEYS[key]
        return "" if is_right(value) else expected

    try:
        values = parse_key_values(settings, tuple(_KEYS), f"transformers:{argument}", problem_of)
    except ConfigError as error:
        problems += error.problems
    if problems:
        raise ConfigError(problems)
    return VoiceOptions(
        source=Source.parse(source),
        device=values.get("device", ""),
        speaker=int(values["speaker"]) if "speaker" in values else None,
        voice=str(Path(values["voice"]).expanduser()) if "voice" in values else "",
        vocoder=Source.parse(values["vocoder"]) if "vocoder" in values else None,
    )
