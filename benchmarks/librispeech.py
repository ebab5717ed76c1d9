"""LibriSpeech in its official layout: say the utterance's text; its own speaker is the reference.

`librispeech` or `librispeech:SUBSET` (default test-clean) reads SUBSET/SPEAKER/CHAPTER/ID.flac and
the *.trans.txt beside it, from --data-dir: the folder that holds the subsets. It takes utterances of
4-10 s, as VALL-E 2 and its successors do (arXiv 2406.05370, section 4.1.3). The recording is the ground
truth; cross-sentence prompts and continuation are not handled yet.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.suite import Suite
from tts_eval.errors import ConfigError, DataError
from tts_eval.types import Request

SHORTEST_SECONDS, LONGEST_SECONDS = 4.0, 10.0


def load_librispeech(*, argument: str, data_dir: Path | None) -> Suite:
    """`librispeech-SUBSET@1`.

    Raises:
        ConfigError: no --data-dir.
        DataError: the folder is not in LibriSpeech's layout; the first ten problems are named.
    """
    if data_dir is None:
        raise ConfigError(
            ["Suite 'librispeech' needs --data-dir: the folder that holds test-clean, dev-clean ... (openslr.org/12)."]
        )
    subset = argument or _only_subset(data_dir)
    folder = data_dir / subset
    if not folder.is_dir():
        raise DataError(f"No subset '{subset}' in {data_dir}. It has: {', '.join(_subsets(data_dir)) or 'no folders'}.")
    problems: list[str] = []
    requests = [
        request
        for transcript in sorted(folder.glob("*/*/*.trans.txt"))
        for request in _read_chapter(transcript, problems)
    ]
    if not requests and not problems:
        problems.append(f"{folder} has no SPEAKER/CHAPTER/*.trans.txt with utterances of 4-10 s")
    if problems:
        more = f"\n... and {len(problems) - 10} more" if len(problems) > 10 else ""
        raise DataError("LibriSpeech data are not as expected:\n" + "\n".join(problems[:10]) + more)
    return Suite(name=f"librispeech-{subset}@1", requests=tuple(requests), judges=("asr:base", "speaker", "quality"))


def _subsets(data_dir: Path) -> list[str]:
    return sorted(path.name for path in data_dir.iterdir() if path.is_dir()) if data_dir.is_dir() else []


def _only_subset(data_dir: Path) -> str:
    names = _subsets(data_dir)
    if not data_dir.is_dir():
        raise DataError(f"No folder at {data_dir}. Give the one that holds test-clean, dev-clean ... as --data-dir.")
    return names[0] if len(names) == 1 else "test-clean"


def _read_chapter(transcript: Path, problems: list[str]) -> list[Request]:
    requests = []
    seen: set[str] = set()
    for number, line in enumerate(transcript.read_text(encoding="utf-8").splitlines(), start=1):
        where = f"{transcript.name}:{number}"
        utterance, _, text = line.strip().partition(" ")
        if not utterance:
            continue
        audio = transcript.parent / f"{utterance}.flac"
        if not text:
            problems.append(f"{where}: '{utterance}' has no text; expected 'ID TEXT'")
        elif utterance in seen:
            problems.append(f"{where}: '{utterance}' is there twice")
        elif "/" in utterance or not audio.is_file():
            problems.append(f"{where}: no audio at {audio}")
        elif SHORTEST_SECONDS <= _seconds(audio, problems) <= LONGEST_SECONDS:
            speaker = transcript.parent.parent.name
            requests.append(
                Request(id=utterance, text=text, group=f"speaker-{speaker}", speaker=speaker, ground_truth=audio)
            )
        seen.add(utterance)
    return requests


def _seconds(audio: Path, problems: list[str]) -> float:
    import soundfile

    try:
        return float(soundfile.info(audio).duration)
    except (soundfile.LibsndfileError, RuntimeError) as error:
        problems.append(f"{audio} cannot be read as audio: {error}")
        return 0.0
