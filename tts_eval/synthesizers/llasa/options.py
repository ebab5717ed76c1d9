"""What stands after `llasa:`: SOURCE[@REVISION][,KEY=VALUE ...].

SOURCE is a checkpoint folder or a name on the Hugging Face hub. Keys: `device` (cpu, cuda, cuda:1;
default cuda where there is one), `dtype` (default float32 on a CPU, bfloat16 on a GPU), `codec` (folder
or hub name, `@REVISION` too), `chunk` (on: long texts are cut at sentence ends), `rows` (most rows
of a batch; default what the memory holds. A search gives a batch as many requests as fit; the beams of
one request are never parted, so a search wider than `rows` exceeds it).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tts_eval.devices import DEVICES
from tts_eval.errors import ConfigError
from tts_eval.hub import Source
from tts_eval.key_values import parse_key_values

DTYPES = ("float32", "bfloat16", "float16")
EXAMPLE = "llasa:HKUSTAudio/Llasa-1B@main,device=cuda,dtype=bfloat16"


@dataclass(frozen=True, slots=True, kw_only=True)
class LlasaOptions:
    """A parsed spec; "" and None leave the choice to the checkpoint and the machine."""

    source: Source
    codec: Source | None = None
    device: str = ""
    dtype: str = ""
    chunk: bool = False
    rows: int | None = None


_KEYS: dict[str, tuple[Callable[[str], bool], str]] = {
    "codec": (bool, "a folder or hub name"),
    "device": (lambda value: bool(re.fullmatch(DEVICES, value)), "cpu, cuda or cuda:NUMBER"),
    "dtype": (lambda value: value in DTYPES, ", ".join(DTYPES)),
    "chunk": (lambda value: value in ("on", "off"), "on or off"),
    "rows": (lambda value: value.isdigit() and int(value) > 0, "1 or more"),
}


def parse_options(
    argument: str, name: str = "llasa", keys: Sequence[str] = tuple(_KEYS), *, folder: Path | None = None
) -> LlasaOptions:
    """The options that `NAME:ARGUMENT` gives, of which only `keys` mean something to NAME.

    Where NAME has a `folder` of its own, the argument names no source.

    Raises:
        ConfigError: no source, or unknown, repeated or impossible options; all of them are listed.
    """
    parts = [part.strip() for part in argument.split(",")]
    source, *settings = parts if folder is None else [str(folder), *parts]

    def problem_of(key: str, value: str) -> str:
        is_right, expected = _KEYS[key]
        return "" if is_right(value) else f"expected {expected}"

    problems = [] if source else [f"Synthesizer '{name}' needs a checkpoint: {EXAMPLE}."]
    values: dict[str, str] = {}
    try:
        values = parse_key_values(settings, keys, f"{name}:{argument}", problem_of)
    except ConfigError as error:
        problems += error.problems
    if problems:
        raise ConfigError(problems)
    return LlasaOptions(
        source=Source.parse(source),
        codec=Source.parse(values["codec"]) if "codec" in values else None,
        device=values.get("device", ""),
        dtype=values.get("dtype", ""),
        chunk=values.get("chunk") == "on",
        rows=int(values["rows"]) if "rows" in values else None,
    )
