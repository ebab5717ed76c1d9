"""What candidates are compared with, heard once per audio and kept for the next batch.

A file that cannot be read is looked for again with every batch; one that was replaced while the process
lives is another reference. Audio with which nothing can be compared is a typed failure.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from tts_eval.audio import AudioSource, Clip, Excerpt, load_clip
from tts_eval.errors import AudioError
from tts_eval.execution import batched_by_seconds
from tts_eval.guards import audio_failure
from tts_eval.types import Failure, FailureKind
from verifiers.judging import MOST_SECONDS

T = TypeVar("T")
RATE = 16_000
MAX_REFERENCES = 1024
"""References kept, 1-4 kB each; the least recently used goes first."""


class References(Generic[T]):
    """Hears reference audio through a model, each clip once."""

    def __init__(
        self, hear: Callable[[Sequence[Clip]], Sequence[T | Failure]], *, shortest_seconds: float, lacking: str
    ) -> None:
        """Remember what `hear` makes of references.

        Args:
            hear: One result per clip, of a batch of clips that can be judged.
            shortest_seconds: Shorter references are failures and do not reach `hear`.
            lacking: What to say of a request without a reference.
        """
        self._hear = hear
        self._shortest_seconds = shortest_seconds
        self._lacking = lacking
        self._kept: OrderedDict[str, T | Failure] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def of(self, sources: Sequence[AudioSource | None]) -> list[T | Failure]:
        """One result per source, or why there is none; the sources that are new are read and heard in batches."""
        keys = [_key(source) for source in sources]
        asked = dict(zip(keys, sources, strict=True))
        found: dict[str, T | Failure] = {}
        for key in asked:
            if key in self._kept:
                self._kept.move_to_end(key)
                found[key] = self._kept[key]
        new = [(key, source) for key, source in asked.items() if key not in found]
        for batch in batched_by_seconds(self._read(new, found), lambda entry: entry[1].seconds, MOST_SECONDS):
            for (key, _), heard in zip(batch, self._hear([clip for _, clip in batch]), strict=True):
                found[key] = self._kept[key] = heard
        while len(self._kept) > MAX_REFERENCES:
            self._kept.popitem(last=False)
        return [found[key] for key in keys]

    def lacks(self, source: AudioSource | None) -> Failure | None:
        """Why there is nothing to compare with, as far as that is known without reading audio."""
        if source is None:
            return Failure(FailureKind.NO_REFERENCE, self._lacking)
        path = source.path if isinstance(source, Excerpt) else source
        if isinstance(path, Path) and not path.is_file():
            return Failure(FailureKind.NO_REFERENCE, f"No audio file at {path}.")
        return None

    def _read(
        self, sources: Sequence[tuple[str, AudioSource | None]], found: dict[str, T | Failure]
    ) -> Iterator[tuple[str, Clip]]:
        """The clips that can be heard; why another cannot goes to `found`."""
        for key, source in sources:
            loaded = self._loaded(source)
            if isinstance(loaded, Failure):
                found[key] = loaded
            else:
                yield key, loaded

    def _loaded(self, source: AudioSource | None) -> Clip | Failure:
        if failure := self.lacks(source):
            return failure
        assert source is not None
        try:
            clip = load_clip(source)
        except AudioError as error:
            return Failure(FailureKind.NO_REFERENCE, str(error))
        failure = audio_failure(clip) or too_short(clip, self._shortest_seconds)
        if failure is not None:
            return Failure(FailureKind.NO_REFERENCE, f"The reference audio cannot be used: {failure.message}")
        return clip


def too_short(clip: Clip, shortest_seconds: float) -> Failure | None:
    """Why a model that hears 16 kHz and needs so many seconds can do nothing with a clip, or None."""
    if len(clip.at(RATE)) >= shortest_seconds * RATE:
        return None
    message = f"The clip has {clip.seconds:.3f} s; the model needs {shortest_seconds:.3f} s."
    return Failure(FailureKind.SHORT, message)


def _key(source: AudioSource | None) -> str:
    if isinstance(source, Excerpt):
        return f"{_key(source.path)}:{source.seconds}"
    if isinstance(source, Path):
        stat = source.stat() if source.is_file() else None
        return f"path:{source.resolve()}:{stat.st_mtime_ns if stat else ''}:{stat.st_size if stat else ''}"
    return f"clip:{source.sha256}" if source is not None else "none"
