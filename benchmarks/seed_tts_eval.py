"""Seed-TTS-Eval: zero-shot cloning of Common Voice (English) and DiDiSpeech (Chinese) speakers.

`seed-tts-eval:en`, `:zh` and `:zh-hard` read en/meta.lst, zh/meta.lst and zh/hardcase.lst below --data-dir, the
folder that the official archive unpacks to (github.com/BytedanceSpeech/seed-tts-eval). Ground truth is column 5,
else wavs/ID.wav beside the list, where there is one. The prompts' voices are the speakers.

Judged by Whisper base under the text protocol `seed-tts@1`, because that comes along. The official recognisers are
asr:transformers:openai/whisper-large-v3:seed-tts@1 and asr:funasr:paraformer-zh:seed-tts@1, the voice model is
speaker:FOLDER/wavlm_large_finetune.pth. The voice conversion lists are not handled.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from benchmarks.layout import (
    data_root,
    is_file,
    raise_problems,
    require_data_dir,
    suite_name,
    unusable_audio,
    wrong_language,
)
from benchmarks.meta_list import read_meta_list
from benchmarks.suite import Suite
from tts_eval.errors import ConfigError
from tts_eval.types import Request


class Part(NamedTuple):
    """One of the three sets."""

    path: str
    language: str
    rows: int
    """As published: 1,088, 2,020 and 400."""


PARTS = {
    "en": Part("en/meta.lst", "en", 1088),
    "zh": Part("zh/meta.lst", "zh", 2020),
    "zh-hard": Part("zh/hardcase.lst", "zh", 400),
}


def load_seed_tts_eval(*, argument: str, data_dir: Path | None) -> Suite:
    """`seed-tts-eval-PART@1`; a list of another length than the official one makes it a `-part-DIGEST`.

    Raises:
        ConfigError: no such part, or no --data-dir.
        DataError: the data are not as expected; the first ten problems are named.
    """
    if argument not in PARTS:
        raise ConfigError([f"Suite 'seed-tts-eval' has the parts {', '.join(PARTS)}; write --suite seed-tts-eval:en."])
    part = PARTS[argument]
    folder = require_data_dir(f"seed-tts-eval:{argument}", data_dir, f"Seed-TTS-Eval's {part.path}")
    path = data_root(folder, [part.path], f"Seed-TTS-Eval's {part.path}") / part.path
    problems: list[str] = []
    requests = tuple(_with_recording(request, path) for request in read_meta_list(path, problems, part.language))
    problems += [f"{problem}; unpack the archive again" for problem in unusable_audio(requests)]
    problems += wrong_language(requests, part.language, f"The parts are {', '.join(PARTS)}.")
    raise_problems(f"{path} is not as Seed-TTS-Eval has it", problems)
    return Suite(
        name=suite_name(f"seed-tts-eval-{argument}", requests, is_whole=len(requests) == part.rows),
        requests=requests,
        judges=("asr:base:seed-tts@1", "speaker:campplus", "quality"),
    )


def _with_recording(request: Request, path: Path) -> Request:
    recording = path.parent / "wavs" / f"{request.id}.wav"
    if request.ground_truth is not None or not is_file(recording):
        return request
    return replace(request, ground_truth=recording)
