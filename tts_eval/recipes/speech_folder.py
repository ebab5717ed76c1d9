"""A folder of short clips with their texts and phonemes, which only grows.

`VOICE/ID.opus` is Ogg Opus, 16 kHz mono; `metadata.tsv` (id, voice, seconds, text, phonemes) has one
row per clip. A clip's file is put in place before its row is written, and only rows count: a process
may be killed at any time, and whoever opens the folder next drops what it left half-written.
"""

from __future__ import annotations

import csv
import fcntl
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, TextIO

import numpy as np

from tts_eval.audio import Clip
from tts_eval.errors import DataError, RunLockedError, StoreError
from tts_eval.files import remove_leftovers, write_atomically

RATE = 16000
PEAK = 0.8
MARGIN_SECONDS = 0.05
"""Silence that stays at either end."""
FRAME_SAMPLES = RATE // 100
SILENT_DBFS = -45.0
"""Frames below this, in a clip with peak `PEAK`, are silence."""
METADATA = "metadata.tsv"


class Row(NamedTuple):
    """What `metadata.tsv` says of a clip."""

    id: str
    voice: str
    seconds: float
    text: str
    phonemes: str


def trim(clip: Clip) -> np.ndarray | None:
    """Float32 [T] at 16 kHz: silence at the ends trimmed, peak 0.8; None for a clip without sound."""
    if not clip.is_finite or clip.peak_dbfs < SILENT_DBFS:
        return None
    samples = clip.at(RATE)
    samples = samples * (PEAK / np.abs(samples).max())
    frames = np.pad(samples, (0, -len(samples) % FRAME_SAMPLES)).reshape(-1, FRAME_SAMPLES)
    loud = np.flatnonzero(np.sqrt(np.mean(frames**2, axis=1)) > 10 ** (SILENT_DBFS / 20))
    if not len(loud):
        return None
    margin = int(MARGIN_SECONDS * RATE)
    first, last = loud[0] * FRAME_SAMPLES, (loud[-1] + 1) * FRAME_SAMPLES
    trimmed: np.ndarray = samples[max(0, first - margin) : last + margin]
    return trimmed.astype(np.float32)


class SpeechFolder:
    """The folder, open for writing by one process at a time; a context manager."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ids: set[str] = set()
        self.seconds = 0.0
        self._metadata: TextIO | None = None

    def __enter__(self) -> SpeechFolder:
        """Open the folder, and drop what a killed process left half-written.

        Raises:
            RunLockedError: another process is writing to it.
            StoreError: the folder cannot be written.
            DataError: its metadata are not ours.
        """
        path = self.folder / METADATA
        self._metadata = _lock(path)
        try:
            os.truncate(path, path.read_bytes().rfind(b"\n") + 1)  # a row without its end is no row
            for voice in self.folder.iterdir():
                if voice.is_dir():
                    remove_leftovers(voice)
            if not path.stat().st_size:
                self._append(Row._fields)
            rows = read_metadata(path)
        except BaseException:
            self._metadata.close()
            raise
        self.ids = {row.id for row in rows}
        self.seconds = sum(row.seconds for row in rows)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._metadata is not None
        self._metadata.close()

    def add(self, samples_16k: np.ndarray, *, id: str, voice: str, text: str, phonemes: str) -> None:
        """Store a clip: its file first, then the row that makes it count.

        Raises:
            StoreError: the disk is full or the folder cannot be written.
        """
        seconds = len(samples_16k) / RATE
        encoded = _encode(samples_16k)

        def write(path: Path) -> None:
            path.write_bytes(encoded)

        write_atomically(self.folder / voice / f"{id}.opus", write)
        self._append((id, voice, f"{seconds:.2f}", text, phonemes))
        self.ids.add(id)
        self.seconds += seconds

    def _append(self, columns: Sequence[str]) -> None:
        assert self._metadata is not None, "the folder is written inside `with`"
        try:
            self._metadata.write("\t".join(columns) + "\n")
            self._metadata.flush()
        except OSError as error:
            raise StoreError(f"{self.folder / METADATA} cannot be written: {error}.") from error


def read_metadata(path: Path) -> list[Row]:
    """The rows of a `metadata.tsv`.

    Raises:
        DataError: the file is missing or is no such table.
    """
    expected = f"expected a table with the columns {', '.join(Row._fields)}"
    if not path.is_file():
        raise DataError(f"No metadata at {path}: {expected}.")
    with path.open(encoding="utf-8", newline="") as stream:
        header, *rows = list(csv.reader(stream, delimiter="\t", quoting=csv.QUOTE_NONE)) or [[]]
    if tuple(header) != Row._fields:
        raise DataError(f"{path} begins with {header}: {expected}.")
    try:
        return [Row(id, voice, float(seconds), text, phonemes) for id, voice, seconds, text, phonemes in rows]
    except ValueError as error:
        raise DataError(f"{path} has a broken row ({error}): {expected}.") from error


def _lock(metadata: Path) -> TextIO:
    try:
        metadata.parent.mkdir(parents=True, exist_ok=True)
        stream = metadata.open("a", encoding="utf-8", newline="")
    except OSError as error:
        raise StoreError(f"{metadata} cannot be written ({error.strerror}). Give a writable --out.") from error
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        stream.close()
        raise RunLockedError(
            f"Another process is writing to {metadata.parent}. Wait for it, or give another --out."
        ) from error
    return stream


def _encode(samples_16k: np.ndarray) -> bytes:
    import soundfile

    buffer = io.BytesIO()
    soundfile.write(buffer, samples_16k, RATE, format="OGG", subtype="OPUS")
    return buffer.getvalue()
