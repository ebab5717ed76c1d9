"""The file behind `command:FILE.yaml`: which program speaks, and what it can do.

    command: [/opt/f5/.venv/bin/python, say.py, --jobs, "{jobs}"]
    folder: /opt/f5         # where it runs; default: the folder of this file
    timeout: 600            # seconds until a batch must be finished; default 600
    revision: F5TTS_v1_Base # another one whenever the same job could sound different
    clones: true            # whether it speaks with the voice of a prompt
    reproducible: true      # whether seed and job alone decide the audio

The command is a list of arguments, of which no shell sees anything; {jobs} in them becomes the path of the jobs. A
program in a virtual environment of its own is called by that environment's python, as above.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tts_eval.config import read_yaml
from tts_eval.errors import ConfigError

PLACEHOLDER = "{jobs}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandConfig:
    """A checked file."""

    name: str
    command: tuple[str, ...]
    folder: Path
    timeout: float
    revision: str
    clones: bool
    reproducible: bool

    @property
    def identity(self) -> str:
        """What its author calls it, and a digest of the revision and the command line."""
        digest = hashlib.sha256(json.dumps([self.revision, self.command]).encode()).hexdigest()[:12]
        return f"{self.name}@{self.revision}+{digest}"

    def arguments(self, jobs: Path) -> list[str]:
        """The command line for a file of jobs."""
        return [part.replace(PLACEHOLDER, str(jobs)) for part in self.command]


def _is_command(value: Any) -> bool:
    is_list = isinstance(value, list) and all(isinstance(part, str) and part for part in value)
    return is_list and any(PLACEHOLDER in part for part in value[1:])


def _is_seconds(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < float("inf")


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


_KEYS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "command": (_is_command, f"a list of arguments with {PLACEHOLDER} in it: [python, say.py, '{PLACEHOLDER}']"),
    "folder": (_is_text, "a path"),
    "timeout": (_is_seconds, "a positive number of seconds"),
    "revision": (_is_text, "a text in quotes that changes when the same job could sound different"),
    "clones": (_is_flag, "true or false: whether it speaks with the voice of a prompt"),
    "reproducible": (_is_flag, "true or false: whether seed and job alone decide the audio"),
}
_OPTIONAL = ("folder", "timeout")


def read_command(path: Path) -> CommandConfig:
    """The config in `path`.

    Raises:
        ConfigError: it cannot be read, or settings are missing, unknown or wrong, or there is no such program: all.
    """
    values = read_yaml(path)
    problems = [f"{path}: {problem}" for problem in _problems(values)]
    folder = (path.absolute().parent / str(values.get("folder", "."))).resolve()
    if not problems and not folder.is_dir():
        problems.append(f"{path}: folder is {folder}, which is no folder.")
    elif not problems and not _can_be_run(values["command"][0], folder):
        problems.append(f"{path}: there is no program '{values['command'][0]}' in {folder} or on the PATH.")
    if problems:
        raise ConfigError(problems)
    return CommandConfig(
        name=path.stem,
        command=tuple(values["command"]),
        folder=folder,
        timeout=float(values.get("timeout", 600)),
        revision=values["revision"].strip(),
        clones=values["clones"],
        reproducible=values["reproducible"],
    )


def _problems(values: Mapping[str, Any]) -> list[str]:
    problems = []
    for key, value in values.items():
        if key not in _KEYS:
            matches = difflib.get_close_matches(str(key), list(_KEYS), n=1)
            hint = f"Did you mean '{matches[0]}'?" if matches else f"Expected one of: {', '.join(_KEYS)}."
            problems.append(f"unknown setting '{key}'. {hint}")
        elif not _KEYS[key][0](value):
            problems.append(f"{key} is {value!r}; expected {_KEYS[key][1]}.")
    missing = [key for key in _KEYS if key not in values and key not in _OPTIONAL]
    return problems + [f"{key} is missing; expected {_KEYS[key][1]}." for key in missing]


def _can_be_run(program: str, folder: Path) -> bool:
    return shutil.which(str(folder / program) if "/" in program else program) is not None
