"""LibriSpeech-PC test-clean, cross-sentence: the 1,127 pairs that F5-TTS and its successors report on.

`librispeech-pc[:LIST]` reads the list (default librispeech_pc_test_clean_cross_sentence.lst, of F5-TTS's repository)
and the audio in test-clean/ or LibriSpeech/test-clean/, all below --data-dir. A row is, with tabs between:

    prompt id, its seconds, its text, target id, its seconds, its text

Texts have case and punctuation. Judged by Whisper base under F5-TTS's text protocol `f5@1`; the paper uses
Whisper large-v3 (faster-whisper, beam 5: asr:FOLDER:exact:f5@1) and speaker:FOLDER/wavlm_large_finetune.pth.
"""

from __future__ import annotations

import re
from pathlib import Path

from benchmarks.layout import (
    data_root,
    decode,
    inside,
    is_file,
    lines_of,
    raise_problems,
    require_data_dir,
    suite_name,
)
from benchmarks.librispeech import LONGEST_SECONDS, SHORTEST_SECONDS
from benchmarks.suite import Suite
from tts_eval.errors import DataError
from tts_eval.types import Prompt, Request

LIST = "librispeech_pc_test_clean_cross_sentence.lst"
ROWS = 1127
COLUMNS = "prompt id, seconds, text, target id, seconds, text (tabs between)"
_ID = re.compile(r"(\d+)-(\d+)-\d+")


def load_librispeech_pc(*, argument: str, data_dir: Path | None) -> Suite:
    """`librispeech-pc@1`; a list of another length makes it a `-part-DIGEST`.

    Raises:
        ConfigError: no --data-dir.
        DataError: list or audio are not as expected; the first ten problems are named.
    """
    data_dir = require_data_dir("librispeech-pc", data_dir, f"{LIST} and test-clean")
    folder = data_root(data_dir, [argument or LIST], f"the list {argument or LIST}")
    path = inside(folder, argument or LIST, "--suite")
    if not is_file(path):
        raise DataError(f"{path} is a folder; expected a list, as librispeech-pc:LIST or without an argument {LIST}.")
    audio = next((folder / name for name in ("test-clean", "LibriSpeech/test-clean") if (folder / name).is_dir()), None)
    if audio is None:
        raise DataError(
            f"No audio for {path}: expected {folder / 'test-clean'} or {folder / 'LibriSpeech/test-clean'}. "
            f"Run: tts-eval prepare librispeech --data-dir {folder}"
        )
    problems: list[str] = []
    requests = read_pairs(path, audio, problems)
    raise_problems(f"{path} and {audio} are not as LibriSpeech-PC's", problems)
    return Suite(
        name=suite_name("librispeech-pc", requests, is_whole=len(requests) == ROWS),
        requests=requests,
        judges=("asr:base:f5@1", "speaker:campplus", "quality"),
    )


def read_pairs(path: Path, audio: Path, problems: list[str]) -> tuple[Request, ...]:
    """The pairs of a list as requests; what is wrong with rows and their audio joins `problems`."""
    try:
        lines = lines_of(decode(path.read_bytes()))
    except OSError as error:
        problems.append(f"{path} cannot be read ({error.strerror}); expected {COLUMNS}")
        return ()
    requests: dict[str, Request] = {}
    for number, line in enumerate(lines, start=1):
        if line.strip():
            where = f"{path.name}:{number}"
            try:
                request = _pair(line, audio, where)
                if request.id in requests:
                    raise DataError(f"{where}: the target '{request.id}' is there twice")
                requests[request.id] = request
            except DataError as error:
                problems.append(str(error))
    return tuple(requests.values())


def _pair(line: str, audio: Path, where: str) -> Request:
    columns = [column.strip() for column in line.split("\t")]
    if len(columns) != 6:
        raise DataError(f"{where}: {len(columns)} columns, expected 6: {COLUMNS}")
    prompt, _, prompt_text, target, target_seconds, text = columns
    for name in (prompt, target):
        if not _ID.fullmatch(name):
            raise DataError(f"{where}: '{name}' is no LibriSpeech id (1089-134686-0000); expected {COLUMNS}")
        if not is_file(_flac(audio, name)):
            raise DataError(f"{where}: no audio at {_flac(audio, name)}; unpack test-clean again")
    try:
        seconds = float(target_seconds)
    except ValueError:
        raise DataError(f"{where}: '{target_seconds}' is no number of seconds; expected {COLUMNS}") from None
    if not SHORTEST_SECONDS <= seconds <= LONGEST_SECONDS:
        raise DataError(f"{where}: '{target}' has {seconds:g} s; the protocol takes 4-10 s")
    if not any(mark.isalnum() for mark in text):
        raise DataError(f"{where}: '{target}' has no text to say")
    speaker = target.partition("-")[0]
    return Request(
        id=target,
        text=text,
        prompt=Prompt(audio=_flac(audio, prompt), transcript=prompt_text),
        ground_truth=_flac(audio, target),
        group=f"speaker-{speaker}",
        speaker=speaker,
        metadata={"prompt": prompt},
    )


def _flac(audio: Path, utterance: str) -> Path:
    speaker, chapter, _ = utterance.split("-")
    return audio / speaker / chapter / f"{utterance}.flac"
