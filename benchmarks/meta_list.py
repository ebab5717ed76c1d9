"""A list of requests in Seed-TTS-Eval's meta.lst format.

    id | prompt text | prompt wav | target text [ | ground-truth wav ]

`list:FILE`, or `list` with --data-dir for the folder that holds meta.lst. Wavs are looked for beside
the list and may not leave its folder. The suite's name ends in a digest of the list, so that a run cannot go
on with another list of the same name.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from benchmarks.suite import Suite, inside
from tts_eval.errors import ConfigError, DataError
from tts_eval.types import Prompt, Request

COLUMNS = "id|prompt text|prompt wav|target text[|ground-truth wav]"


def load_list(*, argument: str, data_dir: Path | None) -> Suite:
    """The requests of a meta.lst.

    Raises:
        ConfigError: neither a file nor a data folder was given.
        DataError: a row is not as the format says; the first ten problems are named.
    """
    if not argument and data_dir is None:
        raise ConfigError(["Suite 'list' needs list:FILE, or --data-dir with a meta.lst in it."])
    path = Path(argument) if argument and data_dir is None else (data_dir or Path()) / (argument or "meta.lst")
    try:
        content = path.read_bytes()
        lines = content.decode("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as a UTF-8 list of requests: {error}.") from error
    problems: list[str] = []
    requests: dict[str, Request] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            request = _parse(line, path, f"{path.name}:{number}")
            if request.id in requests:
                raise DataError(f"{path.name}:{number}: the id '{request.id}' is there twice")
            requests[request.id] = request
        except DataError as error:
            problems.append(str(error))
    if problems:
        more = f"\n... and {len(problems) - 10} more" if len(problems) > 10 else ""
        raise DataError(f"{path} is not a list of requests:\n" + "\n".join(problems[:10]) + more)
    return Suite(
        name=f"list-{path.stem}-{hashlib.sha256(content).hexdigest()[:8]}@1",
        requests=tuple(requests.values()),
        judges=("asr:base", *(["speaker"] if any(map(_has_voice, requests.values())) else [])),
    )


def _has_voice(request: Request) -> bool:
    return request.prompt is not None or request.ground_truth is not None


def _parse(line: str, path: Path, where: str) -> Request:
    columns = [column.strip() for column in line.split("|")]
    if len(columns) not in (4, 5):
        raise DataError(f"{where}: {len(columns)} columns, expected 4 or 5: {COLUMNS}")
    name, prompt_text, prompt_wav, text, *ground_truth = columns
    if not name or "/" in name:
        raise DataError(f"{where}: '{name}' is not usable as an id; expected a plain file name")
    if not text:
        raise DataError(f"{where}: '{name}' has no text to say")
    prompt = Prompt(audio=inside(path.parent, prompt_wav, where), transcript=prompt_text) if prompt_wav else None
    truth = inside(path.parent, ground_truth[0], where) if ground_truth and ground_truth[0] else None
    return Request(id=name, text=text, prompt=prompt, ground_truth=truth)
