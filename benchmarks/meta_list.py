"""A list of requests in Seed-TTS-Eval's formats, one a line, known by its number of columns.

    id | prompt text | prompt wav | target text [ | ground-truth wav ]
    id[.wav] | target text [ | prompt wav ]

`list:FILE`, or `list` with --data-dir for the folder that holds meta.lst. Wavs are looked for beside
the list and may not leave its folder. The characters of a text tell its language. The suite's name ends in
a digest of the list, so that a run cannot go on with another list of the same name. Whether the wavs are there is
for those who need them: a run of a synthesizer does, `tts-eval score` may not.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePath

from benchmarks.layout import content_judge, decode, inside, lines_of, raise_problems
from benchmarks.suite import Suite
from tts_eval.audio import AUDIO_SUFFIXES
from tts_eval.errors import ConfigError, DataError
from tts_eval.language import language_of
from tts_eval.types import Prompt, Request

COLUMNS = "id|prompt text|prompt wav|target text[|ground-truth wav], or id|target text[|prompt wav]"


def load_list(*, argument: str, data_dir: Path | None) -> Suite:
    """The requests of a list.

    Raises:
        ConfigError: neither a file nor a data folder was given.
        DataError: a row is not as the format says; the first ten problems are named.
    """
    if not argument and data_dir is None:
        raise ConfigError(["Suite 'list' needs list:FILE, or --data-dir with a meta.lst in it."])
    path = Path(argument) if argument and data_dir is None else (data_dir or Path()) / (argument or "meta.lst")
    problems: list[str] = []
    requests = read_meta_list(path, problems)
    raise_problems(f"{path} is not a list of requests", problems)
    return Suite(
        name=f"list-{path.stem}-{hashlib.sha256(path.read_bytes()).hexdigest()[:8]}@1",
        requests=requests,
        judges=(content_judge(requests), *(["speaker:campplus"] if any(map(_has_voice, requests)) else [])),
    )


def _has_voice(request: Request) -> bool:
    return request.prompt is not None or request.ground_truth is not None


def read_meta_list(path: Path, problems: list[str], language: str = "") -> tuple[Request, ...]:
    """The rows of a list as requests; what is wrong with the others joins `problems`.

    Raises:
        DataError: the file cannot be read at all.
    """
    try:
        lines = lines_of(decode(path.read_bytes()))
    except OSError as error:
        raise DataError(f"{path} cannot be read as a list of requests: {error}. Expected a text file.") from error
    requests: dict[str, Request] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"{path.name}:{number}"
        try:
            request = _parse(line, path.parent, where, language)
            if request.id in requests:
                raise DataError(f"{where}: the id '{request.id}' is there twice")
            requests[request.id] = request
        except DataError as error:
            problems.append(str(error))
    return _with_voices(list(requests.values()), path.parent)


def _parse(line: str, folder: Path, where: str, language: str) -> Request:
    columns = [column.strip() for column in line.split("|")]
    ground_truth = ""
    prompt_text: str | None
    match columns:
        case [name, prompt_text, prompt_wav, text]:
            pass
        case [name, prompt_text, prompt_wav, text, ground_truth]:
            pass
        case [name, text]:
            prompt_text, prompt_wav = None, ""
        case [name, text, prompt_wav]:
            prompt_text = None
        case _:
            raise DataError(f"{where}: {len(columns)} columns, expected 2 to 5: {COLUMNS}")
    if len(columns) < 4:
        name = name.removesuffix(".wav")
    if not name or "/" in name or "\0" in name:
        raise DataError(f"{where}: '{name}' is not usable as an id; expected a plain file name")
    prompt = Prompt(audio=inside(folder, prompt_wav, where), transcript=prompt_text) if prompt_wav else None
    if prompt_wav and not prompt_wav.lower().endswith(AUDIO_SUFFIXES):
        raise DataError(f"{where}: '{prompt_wav}' is no audio file; are the columns in another order? {COLUMNS}")
    if text.lower().endswith(AUDIO_SUFFIXES):
        raise DataError(f"{where}: the text is '{text}', a file name; are the columns in another order? {COLUMNS}")
    if not any(mark.isalnum() for mark in text):
        raise DataError(f"{where}: '{name}' has no text to say")
    return Request(
        id=name,
        text=text,
        language=language or language_of(text),
        prompt=prompt,
        ground_truth=inside(folder, ground_truth, where) if ground_truth else None,
    )


def _with_voices(requests: Sequence[Request], folder: Path) -> tuple[Request, ...]:
    """With their speakers: requests with one prompt share its voice. Folders that all prompts share name nobody."""
    prompts = {
        request.id: PurePath(os.path.relpath(request.prompt.audio, folder))
        for request in requests
        if request.prompt is not None and isinstance(request.prompt.audio, Path)
    }
    shared = os.path.commonpath([prompt.parent for prompt in prompts.values()]) if prompts else ""
    voices = {name: str(prompt.relative_to(shared).with_suffix("")) for name, prompt in prompts.items()}
    return tuple(replace(request, speaker=voices.get(request.id, "")) for request in requests)
