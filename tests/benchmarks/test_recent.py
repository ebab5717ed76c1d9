"""What a worker remembers of its own clips."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.recent import RecentClips
from tts_eval.audio import Clip, write_audio
from tts_eval.errors import AudioError


def clip_of(level: float) -> Clip:
    return Clip(np.full(100, level, dtype=np.float32), 16000).quantised()


def test_a_clip_is_known_once_and_is_what_the_file_holds(tmp_path: Path) -> None:
    recent, path, clip = RecentClips(), tmp_path / "a.wav", clip_of(0.25)
    write_audio(path, clip)
    recent.keep(path, clip)
    assert recent.read(path) is clip
    again = recent.read(path)
    assert again is not clip and again.sha256 == clip.sha256


def test_the_oldest_are_let_go(tmp_path: Path) -> None:
    recent, paths = RecentClips(most_samples=250), [tmp_path / f"{number}.wav" for number in range(3)]
    clips = [clip_of(0.1 * number) for number in range(3)]
    for path, clip in zip(paths, clips, strict=True):
        write_audio(path, clip)
        recent.keep(path, clip)
    recent.keep(paths[2], clips[2])  # the same again takes no further room
    assert [recent.read(path) is clip for path, clip in zip(paths, clips, strict=True)] == [False, True, True]


def test_a_clip_too_long_to_keep_is_read(tmp_path: Path) -> None:
    recent, path, clip = RecentClips(most_samples=50), tmp_path / "a.wav", clip_of(0.25)
    write_audio(path, clip)
    recent.keep(path, clip)
    assert recent.read(path).sha256 == clip.sha256


def test_a_file_that_is_gone_is_gone(tmp_path: Path) -> None:
    recent = RecentClips()
    recent.keep(tmp_path / "a.wav", clip_of(0.25))
    with pytest.raises(AudioError, match=r"a\.wav"):
        recent.read(tmp_path / "a.wav")
