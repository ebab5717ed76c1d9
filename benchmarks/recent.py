"""The clips that a process has just written: whoever judges them next need not decode their files."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

from tts_eval.audio import Clip, read_audio

MOST_SAMPLES = 8_000_000
"""About five and a half minutes at 24 kHz, 32 MB."""


class RecentClips:
    """Clips by their file; the oldest are let go."""

    def __init__(self, most_samples: int = MOST_SAMPLES) -> None:
        self._clips: OrderedDict[Path, Clip] = OrderedDict()
        self._room = most_samples

    def keep(self, path: Path, clip: Clip) -> None:
        """Remember what was written to `path`; `clip` is what reading it would give."""
        self._forget(path)
        self._clips[path] = clip
        self._room -= len(clip.samples)
        while self._room < 0:
            self._forget(next(iter(self._clips)))

    def read(self, path: Path) -> Clip:
        """The clip in `path`, which is let go: a clip is judged once as a rule.

        Raises:
            AudioError: the file is missing, even if its clip is known, or is not audio.
        """
        clip = self._forget(path)
        return clip if clip is not None and path.is_file() else read_audio(path)

    def _forget(self, path: Path) -> Clip | None:
        clip = self._clips.pop(path, None)
        if clip is not None:
            self._room += len(clip.samples)
        return clip
