"""What readers of data folders share: problems are collected, and named together before anything runs.

Nothing here knows a corpus. `data_root` finds the folder that was meant when --data-dir is a level off; `inside`
keeps paths of a list in their folder; `decode` and `lines_of` read text of any system; `suite_name` marks a part of a
corpus as one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from tts_eval.audio import Excerpt
from tts_eval.errors import ConfigError, DataError
from tts_eval.language import HAN
from tts_eval.text import language_code
from tts_eval.types import Request

NAMED = 10
"""Problems that are named one by one."""


def raise_problems(what: str, problems: Sequence[str]) -> None:
    """Raise the problems, if there are any, as one error that names the first ten.

    Raises:
        DataError: there are problems.
    """
    if problems:
        more = f"\n... and {len(problems) - NAMED} more" if len(problems) > NAMED else ""
        raise DataError(f"{what}:\n" + "\n".join(problems[:NAMED]) + more)


def require_data_dir(suite: str, data_dir: Path | None, holds: str) -> Path:
    """The data folder.

    Raises:
        ConfigError: none was given; the message says what it should hold.
    """
    if data_dir is None:
        raise ConfigError(
            [f"Suite '{suite}' needs --data-dir: the folder that holds {holds}. 'tts-eval prepare {suite}' says more."]
        )
    return data_dir


def data_root(data_dir: Path, wanted: Sequence[str], what: str) -> Path:
    """`data_dir`, which holds at least one of the `wanted` relative paths.

    Raises:
        DataError: it holds none; the message names the folder that does where that is one or two levels off.
    """
    if _holds(data_dir, wanted):
        return data_dir
    expected = " or ".join(str(data_dir / path) for path in wanted[:3])
    if not data_dir.is_dir():
        raise DataError(f"No folder at {data_dir}. Give the folder that holds {what} as --data-dir.")
    for folder in list(data_dir.resolve().parents)[:2]:
        if _holds(folder, wanted):
            raise DataError(f"{data_dir} is too deep: expected {expected}. Use --data-dir {folder}.")
    for folder in [*_folders(data_dir), *(below for child in _folders(data_dir) for below in _folders(child))]:
        if _holds(folder, wanted):
            raise DataError(f"{data_dir} is too shallow: expected {expected}. Use --data-dir {folder}.")
    try:
        found = sorted(path.name for path in data_dir.iterdir())[:5]
    except OSError as error:
        raise DataError(f"{data_dir} cannot be listed: {error.strerror}. Give a folder that may be read.") from error
    raise DataError(
        f"{data_dir} does not hold {what}: expected {expected}. "
        f"It has: {', '.join(found) or 'nothing'}. Give the right folder as --data-dir."
    )


def _holds(folder: Path, wanted: Sequence[str]) -> bool:
    try:
        return any((folder / path).exists() for path in wanted)
    except OSError:  # a folder of somebody else, such as lost+found, holds nothing for us
        return False


def _folders(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.is_dir())[:100]
    except OSError:
        return []


def inside(data_dir: Path, path: str, where: str) -> Path:
    """`data_dir / path`, which must not leave `data_dir`, whatever `..` and links say.

    Raises:
        DataError: it does, or is no path at all; `where` names the line that says so.
    """
    try:
        resolved = (data_dir / path).resolve()
    except (OSError, RuntimeError, ValueError) as error:  # links in a circle; a NUL byte
        raise DataError(f"{where}: {path!r} is no usable path ({error}).") from error
    if not resolved.is_relative_to(data_dir.resolve()):
        raise DataError(f"{where}: the path '{path}' leaves the data folder {data_dir}. Use paths inside it.")
    return data_dir / path


def is_file(path: Path) -> bool:
    """Whether there is a file; a name that no file can have has none."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def unusable_audio(requests: Sequence[Request]) -> list[str]:
    """One problem for each prompt and ground truth that is a path without a file, without audio or without samples."""
    problems = []
    for request in requests:
        prompt = request.prompt.audio if request.prompt else None
        for name, audio in (("prompt", prompt), ("ground truth", request.ground_truth)):
            path = audio.path if isinstance(audio, Excerpt) else audio
            if not isinstance(path, Path):
                continue
            if not is_file(path):
                problems.append(f"'{request.id}': no {name} at {path}")
                continue
            unreadable: list[str] = []
            if audio_seconds(path, unreadable) == 0:
                unreadable.append(f"{path} holds no audio")
            problems += [f"'{request.id}': its {name} {problem}" for problem in unreadable]
    return problems


def audio_seconds(audio: Path, problems: list[str]) -> float | None:
    """The length that the header of a file says; None, and a problem more, where it is no audio."""
    import soundfile

    try:
        return float(soundfile.info(audio).duration)
    except (soundfile.LibsndfileError, RuntimeError, TypeError) as error:
        problems.append(f"{audio} cannot be read as audio: {error}")
        return None


def decode(content: bytes) -> str:
    """Text in UTF-8, UTF-16, GB18030 (GB2312, GBK) or Windows-1252, in this order of trust.

    A mostly Latin text that GB18030 would give a few Chinese characters is Windows-1252: its quotation marks look like
    such characters, each with the letter behind it.
    """
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", errors="replace")
    if content[:200].count(0) > len(content[:200]) / 10:  # a stray one is a fault of its line
        return content.decode("utf-16-le" if content[1:2] == b"\0" else "utf-16-be", errors="replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        pass
    try:
        chinese = content.decode("gb18030")
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace")
    latin = sum(mark.isascii() and mark.isalpha() for mark in chinese)
    characters = len(HAN.findall(chinese))
    return chinese if characters == 0 or characters > latin / 4 else content.decode("cp1252", errors="replace")


def lines_of(text: str) -> list[str]:
    """The lines of a file, whatever system wrote it; other separators (U+2028, U+0085) are part of a text."""
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def wrong_language(requests: Sequence[Request], language: str, advice: str) -> list[str]:
    """One problem where most texts are not in the language's script (Chinese characters or none), else none."""
    is_chinese = language == "zh"
    others = [request for request in requests if bool(HAN.search(request.text)) != is_chinese]
    if len(others) * 2 <= len(requests):
        return []
    example = others[0]
    found = "without Chinese characters" if is_chinese else "in Chinese characters"
    return [
        f"{len(others)} of {len(requests)} texts are {found}, '{example.id}' for one: {example.text[:40]!r}; "
        f"expected language '{language}'. {advice}"
    ]


def content_judge(requests: Sequence[Request]) -> str:
    """The verifier of words: under a protocol that has Chinese where some of the texts are."""
    is_chinese = any(language_code(request.language) == "zh" for request in requests)
    return "asr:base:seed-tts@1" if is_chinese else "asr:base"


def suite_name(name: str, requests: Sequence[Request], *, is_whole: bool) -> str:
    """NAME@1; NAME-part-DIGEST@1 where the data are not all there.

    Numbers of a part are not those of the suite, and must not be compared with them by name.
    """
    if is_whole:
        return f"{name}@1"
    content = "\n".join(f"{request.id}|{request.text}" for request in requests)
    return f"{name}-part-{hashlib.sha256(content.encode()).hexdigest()[:8]}@1"
