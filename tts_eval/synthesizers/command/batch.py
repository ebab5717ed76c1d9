"""One run of a program in a temporary folder: jobs.jsonl in, audio files out, nothing left behind.

Each line of jobs.jsonl is one candidate to make: `id`, `index`, `text`, `language`, `prompt` (path of audio or
null), `transcript`, `style`, `seed` (31 bits), `temperature`, `top_p`, `top_k`, `repetition_penalty`, `max_seconds`
and `out`, the path of the WAV (or FLAC ...) to write. Prompts are the files that they are; one that was only in
memory is written as WAV.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from tts_eval.audio import AudioSource, load_clip, write_audio
from tts_eval.errors import SynthesisError
from tts_eval.seeds import short_seed
from tts_eval.synthesizers.command.config import CommandConfig
from tts_eval.types import Job, Prompt

TAIL_BYTES = 1000
"""Of what the program said, kept for messages."""
NOT_FOR_OTHERS = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
"""Variables that would lead another interpreter to our packages."""


def run_batch(config: CommandConfig, jobs: Sequence[Job], folder: Path) -> tuple[list[Path], str]:
    """Where the program should have written each job's audio, and the last that it said.

    Raises:
        SynthesisError: it could not be started, ended with an error, or did not end in time.
    """
    (folder / "out").mkdir()
    outputs = [folder / "out" / f"{number}.wav" for number in range(len(jobs))]
    prompts = _Prompts(folder / "prompts")
    lines = [json.dumps(_line(job, out, prompts), ensure_ascii=False) for job, out in zip(jobs, outputs, strict=True)]
    path = folder / "jobs.jsonl"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    log = folder / "log.txt"
    with log.open("wb") as sink:
        problem = _run(config, config.arguments(path), sink)
    said = _tail(log)
    if problem:
        raise SynthesisError(f"'{config.command[0]}' of {config.name} {problem}. It said last: {said or 'nothing'}")
    return outputs, said


def _run(config: CommandConfig, arguments: Sequence[str], log: BinaryIO) -> str:
    """Run to the end; returns what went wrong."""
    environment = {name: value for name, value in os.environ.items() if name not in NOT_FOR_OTHERS}
    try:
        process = subprocess.Popen(
            arguments,
            cwd=config.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # a group of its own, so that what it starts ends with it, however it ends
        )
    except OSError as error:
        return f"could not be started: {error}"
    try:
        status = process.wait(config.timeout)
    except subprocess.TimeoutExpired:
        return f"was not finished after {config.timeout:g} s and was ended"
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):  # nobody is left; macOS says it the second way
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if status < 0:
        return f"was ended by signal {-status}"
    return f"ended with exit status {status}" if status else ""


class _Prompts:
    """Prompts as paths; those in memory, and beginnings of files, are written once each."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, source: AudioSource | None) -> str | None:
        if source is None or isinstance(source, Path):
            return None if source is None else str(source.absolute())
        clip = load_clip(source)
        path = self._folder / f"{clip.sha256[:16]}.wav"
        if not path.exists():
            self._folder.mkdir(exist_ok=True)
            write_audio(path, clip)
        return str(path)


def _line(job: Job, out: Path, prompts: _Prompts) -> dict[str, object]:
    request, sampling = job.request, job.sampling
    prompt = request.prompt or Prompt()
    return {
        "id": request.id,
        "index": job.index,
        "text": request.text,
        "language": request.language,
        "prompt": prompts.path(prompt.audio),
        "transcript": prompt.transcript,
        "style": prompt.style,
        "seed": short_seed(job.seed),
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "repetition_penalty": sampling.repetition_penalty,
        "max_seconds": sampling.max_seconds,
        "out": str(out),
    }


def _tail(log: Path) -> str:
    with log.open("rb") as stream:
        stream.seek(max(log.stat().st_size - TAIL_BYTES, 0))
        return stream.read().decode("utf-8", "replace").strip()
