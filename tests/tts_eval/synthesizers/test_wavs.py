from pathlib import Path

import numpy as np
import pytest

from tts_eval.audio import Clip, write_audio
from tts_eval.errors import ConfigError
from tts_eval.synthesizers import load_synthesizer
from tts_eval.types import FailureKind, FinishReason, Request


def write(path: Path, level: float = 0.1) -> None:
    write_audio(path, Clip(np.full(800, level, dtype=np.float32), 8000))


def test_files_become_candidates_by_id_and_index(tmp_path: Path, make_jobs):
    write(tmp_path / "a.wav", 0.1)
    (tmp_path / "1").mkdir()
    write(tmp_path / "1" / "a.flac", 0.2)
    synthesizer = load_synthesizer(f"wavs:{tmp_path}")
    first, second, third = synthesizer.generate(make_jobs([Request(id="a", text="x")], 3))
    assert first.clip.samples[0] == pytest.approx(0.1, abs=1e-4)
    assert second.clip.samples[0] == pytest.approx(0.2, abs=1e-4)
    assert third.failure.kind is FailureKind.MISSING
    assert first.finish is FinishReason.EOS
    assert first.cost.audio_seconds == pytest.approx(0.1)


def test_missing_and_broken_files_are_failures(tmp_path: Path, make_jobs):
    (tmp_path / "text.wav").write_text("not audio at all")
    (tmp_path / "none.wav").write_bytes(b"")
    requests = [Request(id=name, text="x") for name in ("text", "none", "nowhere")]
    made = load_synthesizer(f"wavs:{tmp_path}").generate(make_jobs(requests, 1))
    assert [c.failure.kind for c in made] == [FailureKind.UNREADABLE, FailureKind.UNREADABLE, FailureKind.MISSING]
    assert all(c.finish is FinishReason.FAILED for c in made)


def test_an_id_cannot_leave_the_folder(tmp_path: Path, make_jobs):
    inner = tmp_path / "inner"
    inner.mkdir()
    write(tmp_path / "secret.wav")
    (made,) = load_synthesizer(f"wavs:{inner}").generate(make_jobs([Request(id="../secret", text="x")], 1))
    assert made.failure.kind is FailureKind.MISSING


@pytest.mark.parametrize("spec", ["wavs", "wavs:/no/such/folder"])
def test_a_folder_is_needed(spec):
    with pytest.raises(ConfigError, match="folder"):
        load_synthesizer(spec)


def test_a_pool_may_lie_behind_a_link(tmp_path: Path, make_jobs):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "pool").mkdir()
    write(tmp_path / "elsewhere" / "a.wav")
    (tmp_path / "pool" / "1").symlink_to(tmp_path / "elsewhere")
    made = load_synthesizer(f"wavs:{tmp_path / 'pool'}").generate(make_jobs([Request(id="a", text="x")], 2))
    assert made[1].clip is not None
