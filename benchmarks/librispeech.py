"""LibriSpeech in its official layout: say the text, with or without the reader's voice to clone.

`librispeech[:SUBSET]` and `librispeech:TASK[,SUBSET]` read SUBSET/SPEAKER/CHAPTER/ID.flac and the *.trans.txt
beside it, below --data-dir: the folder that holds the subsets (default test-clean, or the only one). Utterances of
4-10 s count (arXiv 2406.05370, section 4.1.3); the recording is the ground truth.

- No task: there is no prompt; the voice is compared with the recording.
- `cross-sentence`: the prompt is the speaker's previous utterance of 4-10 s, the last one for the first. Where a part
  of the corpus has one such utterance of a speaker, there is no prompt for it: it is left out, with a warning.
- `continuation`: the prompt is the first 3 s of the utterance itself, without a transcript; the
  whole utterance is to be said, and judged (metadata: task = continuation).

Both tasks are VALL-E 2's.

Judged by Whisper base under `whisper-norm@1`. Papers use conformer transducers (NeMo, not handled) or
asr:transformers:facebook/hubert-large-ls960-ft:librispeech@1, and speaker:FOLDER/wavlm_large_finetune.pth.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from benchmarks.layout import (
    audio_seconds,
    data_root,
    decode,
    is_file,
    lines_of,
    raise_problems,
    require_data_dir,
    suite_name,
)
from benchmarks.suite import Suite
from tts_eval.audio import Excerpt
from tts_eval.errors import ConfigError
from tts_eval.types import CONTINUATION, TASK, Prompt, Request

logger = logging.getLogger(__name__)

SHORTEST_SECONDS, LONGEST_SECONDS = 4.0, 10.0
PROMPT_SECONDS = 3.0
TASKS = ("cross-sentence", "continuation")
UTTERANCES = {
    "test-clean": 2620, "test-other": 2939, "dev-clean": 2703, "dev-other": 2864,
    "train-clean-100": 28539, "train-clean-360": 104014, "train-other-500": 148688,
    "train-clean-5": 1519, "dev-clean-2": 1089,
}  # fmt: skip
"""Of all lengths, as published; the last two are Mini LibriSpeech's. Nothing passes for the whole of another subset."""
_HOLDS = "test-clean, dev-clean ... (openslr.org/12)"


def load_librispeech(*, argument: str, data_dir: Path | None) -> Suite:
    """`librispeech-SUBSET@1`, `librispeech-TASK-SUBSET@1`; `-part-DIGEST@1` for one that is not all there.

    Raises:
        ConfigError: no --data-dir, or an argument that says two tasks or two subsets.
        DataError: the folder is not in LibriSpeech's layout; the first ten problems are named.
    """
    words = [word.strip() for word in argument.split(",") if word.strip()]
    tasks, subsets = [word for word in words if word in TASKS], [word for word in words if word not in TASKS]
    if len(tasks) > 1 or len(subsets) > 1 or any("/" in subset or ".." in subset for subset in subsets):
        raise ConfigError(
            [f"'librispeech:{argument}' is not librispeech[:SUBSET] or librispeech:{'|'.join(TASKS)}[,SUBSET]."]
        )
    data_dir = require_data_dir("librispeech", data_dir, _HOLDS)
    subset = subsets[0] if subsets else _only_subset(data_dir)
    folder = data_root(data_dir, [subset], f"LibriSpeech's {subset}") / subset
    problems: list[str] = []
    everything = [
        request
        for transcript in sorted(folder.glob("*/*/*.trans.txt"))
        for request in _read_chapter(transcript, problems)
    ]
    requests = in_window = [request for request in everything if _is_in_window(request, problems)]
    if not in_window and not problems:
        problems.append(f"{folder} has no SPEAKER/CHAPTER/*.trans.txt with utterances of 4-10 s")
    if tasks == ["cross-sentence"]:
        requests = _after_each_other(requests)
        if in_window and not requests:
            problems.append(f"No speaker in {folder} has two utterances of 4-10 s; use librispeech:continuation")
    elif tasks == ["continuation"]:
        requests = [_continued(request) for request in requests]
    raise_problems("LibriSpeech data are not as expected", problems)
    is_whole = len(everything) == UTTERANCES.get(subset) and len(requests) == len(in_window)
    return Suite(
        name=suite_name("-".join(["librispeech", *tasks, subset]), requests, is_whole=is_whole),
        requests=tuple(requests),
        judges=("asr:base", "speaker:campplus", "quality"),
    )


def _only_subset(data_dir: Path) -> str:
    names = [path.name for path in data_dir.iterdir() if path.is_dir()] if data_dir.is_dir() else []
    is_subset = len(names) == 1 and any((data_dir / names[0]).glob("*/*/*.trans.txt"))
    return names[0] if is_subset else "test-clean"


def _read_chapter(transcript: Path, problems: list[str]) -> list[Request]:
    try:
        lines = lines_of(decode(transcript.read_bytes()))
    except OSError as error:
        problems.append(f"{transcript} cannot be read ({error.strerror}); expected lines of 'ID TEXT'")
        return []
    requests = []
    seen: set[str] = set()
    for number, line in enumerate(lines, start=1):
        where = f"{transcript.name}:{number}"
        utterance, _, text = line.strip().partition(" ")
        if not utterance:
            continue
        audio = transcript.parent / f"{utterance}.flac"
        if not text:
            problems.append(f"{where}: '{utterance}' has no text; expected 'ID TEXT'")
        elif utterance in seen:
            problems.append(f"{where}: '{utterance}' is there twice")
        elif "/" in utterance or not is_file(audio):
            problems.append(f"{where}: no audio at {audio}")
        else:
            speaker = transcript.parent.parent.name
            requests.append(
                Request(id=utterance, text=text, group=f"speaker-{speaker}", speaker=speaker, ground_truth=audio)
            )
        seen.add(utterance)
    return requests


def _is_in_window(request: Request, problems: list[str]) -> bool:
    assert isinstance(request.ground_truth, Path)
    seconds = audio_seconds(request.ground_truth, problems)
    return seconds is not None and SHORTEST_SECONDS <= seconds <= LONGEST_SECONDS


def _after_each_other(requests: list[Request]) -> list[Request]:
    """Each with the speaker's previous utterance as its prompt; the first has the last."""
    pairs = []
    for speaker, group in groupby(requests, key=lambda request: request.speaker):
        utterances = list(group)
        if len(utterances) == 1:
            logger.warning(
                "'%s' is left out: speaker %s has no other utterance of 4-10 s to be its prompt. Get the whole corpus, "
                "or use librispeech:continuation.",
                utterances[0].id,
                speaker,
            )
            continue
        for previous, request in zip([utterances[-1], *utterances[:-1]], utterances, strict=True):
            prompt = Prompt(audio=previous.ground_truth, transcript=previous.text)
            pairs.append(replace(request, prompt=prompt, metadata={"prompt": previous.id}))
    return pairs


def _continued(request: Request) -> Request:
    assert isinstance(request.ground_truth, Path)
    prompt = Prompt(audio=Excerpt(request.ground_truth, PROMPT_SECONDS))
    return replace(request, prompt=prompt, metadata={TASK: CONTINUATION})
