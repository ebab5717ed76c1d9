"""Any other corpus: a table of requests in CSV, JSON lines or parquet, with a mapping of its columns.

    table:corpus.csv,text=sentence,prompt=path,prompt_text=transcript

Keys are what a request has (`KEYS`), values are the table's columns; a column that bears a key's name needs no
mapping, and `text` is the only one that must be there. Without `id` rows are numbered from 1, without `language` a
text's characters tell it. The file lies in
--data-dir, where one is given; its paths are looked for beside it and may not leave its folder. The suite's name
ends in a digest of the table and the mapping.

Data sets of the Hugging Face hub become such a table by `dataset.to_parquet(FILE)`; audio inside it is
not read: write it to files first.
"""

from __future__ import annotations

import csv
import difflib
import hashlib
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

from benchmarks.layout import content_judge, inside, is_file, lines_of, raise_problems
from benchmarks.suite import Suite
from tts_eval.emotions import emotion_name
from tts_eval.errors import ConfigError, DataError
from tts_eval.key_values import parse_key_values
from tts_eval.language import language_of
from tts_eval.types import Prompt, Request

KEYS = ("id", "text", "language", "prompt", "prompt_text", "style", "ground_truth", "group", "speaker", "emotion")
READERS = (".csv", ".tsv", ".jsonl", ".parquet")
BEYOND = "\0"
"""Stands for the column of cells that no column is for; no file can have one of this name."""
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}([-_][A-Za-z0-9_-]+)?")
_HALF_CHARACTER = re.compile(r"[\ud800-\udfff]")
"""JSON can spell one half of an emoji, which no file can hold."""
Row: TypeAlias = Mapping[str, object]


def load_table(*, argument: str, data_dir: Path | None) -> Suite:
    """The requests of a table.

    Raises:
        ConfigError: no file is named, or a key is unknown.
        DataError: the table cannot be read, lacks a column, or has rows that are no requests; the first ten are named.
    """
    file, *settings = argument.split(",")
    if not file.strip():
        raise ConfigError(["Suite 'table' needs a file: table:FILE[,text=COLUMN][,prompt=COLUMN]..."])
    path = (data_dir or Path()) / file.strip()
    mapping = parse_key_values(
        settings, KEYS, f"table:{argument}", lambda _, value: "" if value else "expected a column"
    )
    rows = _read(path)
    columns = list(dict.fromkeys(column for row in rows for column in row if column != BEYOND))
    chosen = {key: mapping.get(key, key) for key in KEYS if key in mapping or key in columns}
    _check_columns(path, chosen, columns)
    problems: list[str] = []
    requests: dict[str, Request] = {}
    for number, row in enumerate(rows, start=1):
        where = f"{path.name}, row {number}"
        try:
            if BEYOND in row:
                raise DataError(f"{where}: more cells than columns; is there a text with a separator, without quotes?")
            request = _request(
                {key: _text(row.get(column), where) for key, column in chosen.items()}, path.parent, number, where
            )
            if request.id in requests:
                raise DataError(f"{where}: the id '{request.id}' is there twice")
            requests[request.id] = request
        except DataError as error:
            problems.append(str(error))
    raise_problems(f"{path} is not a table of requests", problems)
    digest = hashlib.sha256(path.read_bytes() + json.dumps(chosen, sort_keys=True).encode()).hexdigest()[:8]
    has_prompts = any(request.prompt and request.prompt.audio for request in requests.values())
    return Suite(
        name=f"table-{path.stem}-{digest}@1",
        requests=tuple(requests.values()),
        judges=(
            content_judge(list(requests.values())),
            *(["speaker:campplus"] if has_prompts else []),
            *(["emotion"] if "emotion" in chosen else []),
            "quality",
        ),
    )


def _read(path: Path) -> list[Row]:
    try:
        match path.suffix.lower():
            case ".csv" | ".tsv":
                is_tabbed = path.suffix.lower() == ".tsv"  # by custom without quotes
                with path.open(encoding="utf-8-sig", newline="") as stream:
                    if is_tabbed:
                        return list(csv.DictReader(stream, restkey=BEYOND, delimiter="\t", quoting=csv.QUOTE_NONE))
                    return list(csv.DictReader(stream, restkey=BEYOND))
            case ".jsonl":
                lines = lines_of(path.read_text(encoding="utf-8-sig"))
                rows = [json.loads(line) for line in lines if line.strip()]
                if not all(isinstance(row, dict) for row in rows):
                    raise ValueError("a line is no JSON object")
                return rows
            case ".parquet":
                import pyarrow.parquet

                with path.open("rb") as stream:  # pyarrow reads a folder of parts too, which is no file to digest
                    table: list[Row] = pyarrow.parquet.read_table(stream).to_pylist()
                return table
    except (OSError, ValueError, csv.Error) as error:  # pyarrow's errors are ValueErrors
        raise DataError(f"{path} cannot be read as a table: {error}. Expected a whole file, text in UTF-8.") from error
    raise DataError(f"{path} is no table that can be read; expected one of {', '.join(READERS)}.")


def _check_columns(path: Path, chosen: Mapping[str, str], columns: list[str]) -> None:
    missing = {key: column for key, column in {"text": "text", **chosen}.items() if column not in columns}
    problems = []
    for key, column in missing.items():
        close = difflib.get_close_matches(column, columns, n=1)
        hint = f"Did you mean {key}={close[0]}?" if close else f"Write {key}=COLUMN."
        problems.append(f"No column '{column}' for {key}. {hint}")
    if problems:
        raise_problems(f"{path} has the columns {', '.join(columns) or '(none)'}", problems)


def _text(value: object, where: str) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):  # how pandas writes an empty cell
        return ""
    if isinstance(value, str | int | float):
        text = str(value).strip()
        if _HALF_CHARACTER.search(text):
            raise DataError(f"{where}: {text!r} has half a character, which was cut; write it whole")
        return text
    raise DataError(f"{where}: expected plain text, found a {type(value).__name__}; write audio to files first")


def _request(values: Mapping[str, str], folder: Path, number: int, where: str) -> Request:
    text = values["text"]
    if not any(mark.isalnum() for mark in text):
        raise DataError(f"{where}: there is no text to say")
    name = values.get("id") or str(number)
    if "/" in name or "\0" in name:
        raise DataError(f"{where}: '{name}' is not usable as an id; expected a plain file name")
    language = values.get("language") or language_of(text)
    if not _LANGUAGE.fullmatch(language):
        raise DataError(f"{where}: '{language}' is no code of a language; expected en, zh, en-GB ...")
    audio = {key: _audio(values.get(key, ""), folder, where) for key in ("prompt", "ground_truth")}
    emotion = emotion_name(values["emotion"]) if values.get("emotion") else ""
    prompt = Prompt(
        audio=audio["prompt"],
        transcript=values.get("prompt_text") or None,
        style=values.get("style") or emotion or None,
    )
    return Request(
        id=name,
        text=text,
        language=language,
        prompt=None if prompt == Prompt() else prompt,
        ground_truth=audio["ground_truth"],
        group=values.get("group", ""),
        speaker=values.get("speaker", ""),
        metadata={"emotion": emotion} if emotion else {},
    )


def _audio(path: str, folder: Path, where: str) -> Path | None:
    if not path:
        return None
    audio = inside(folder, path, where)
    if not is_file(audio):
        raise DataError(f"{where}: no audio at {audio}; paths count from the table's folder")
    return audio
