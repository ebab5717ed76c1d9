"""DistillMOS against the original package's numbers, and its windows."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from synthetic_voice import synthetic_voices

from tts_eval.audio import Clip
from tts_eval.errors import WeightsError
from tts_eval.types import FailureKind
from verifiers.distillmos import WINDOW, DistillMos, windows_of
from verifiers.quality import create

GOLDEN = json.loads((Path(__file__).parents[1] / "golden/distillmos.json").read_text())


@pytest.fixture(scope="module")
def verifier():
    return create("distillmos")


def check_golden(verifier, make_item, clips):
    scores = verifier.score([make_item(Clip(samples, 16_000)) for samples in clips.values()])
    found = {name: score.value for name, score in zip(clips, scores, strict=True)}
    expected = {name: GOLDEN["opinions"][name] for name in clips}
    assert found == pytest.approx(expected, abs=GOLDEN["tolerance"])


@pytest.mark.real
def test_golden_synthetic_voices(verifier, make_item):
    # "short" is padded; "long" has five windows, of which some share a call with the other's.
    clips = synthetic_voices()
    check_golden(verifier, make_item, {name: clips[name] for name in ("short", "long")})


@pytest.mark.real
def test_golden_librispeech(verifier, make_item, data: Path):
    (name,) = [name for name in GOLDEN["opinions"] if name.endswith("1089-134686-0001.flac")]
    check_golden(verifier, make_item, {name: soundfile.read(data / name, dtype="float32")[0]})


@pytest.mark.real
def test_a_silent_clip_fails_and_the_judge_names_the_weights(verifier, make_item):
    (score,) = verifier.score([make_item(Clip(np.zeros(16_000, np.float32), 16_000))])
    assert score.failure.kind is FailureKind.SILENT
    assert verifier.judge.startswith("distillmos:")
    assert [(metric.name, metric.worst) for metric in verifier.metrics] == [("distillmos", 1.0)]


@pytest.mark.parametrize(
    ("samples", "starts"),
    [
        (1, [0]),
        (WINDOW, [0]),
        (WINDOW + 1, [0, 1]),
        (WINDOW + 16_000, [0, 16_000]),
        (WINDOW + 16_001, [0, 8_000, 16_001]),
        (WINDOW + 40_000, [0, 13_333, 26_666, 40_000]),
    ],
)
def test_windows_cover_the_clip(samples, starts):
    clip = np.arange(samples, dtype=np.float32)
    windows = windows_of(clip)
    assert [int(window[0]) for window in windows] == starts
    assert {len(window) for window in windows} == {WINDOW}
    assert not windows[-1][samples:].any()
    assert windows[-1].max() == samples - 1


def test_a_foreign_checkpoint_is_refused(tmp_path):
    (tmp_path / "distill_mos_v7.pt").write_text("damaged")
    with pytest.raises(WeightsError, match="tts-eval fetch distillmos"):
        DistillMos(tmp_path / "distill_mos_v7.pt")


def test_missing_weights_name_the_command(monkeypatch, tmp_path):
    monkeypatch.setenv("TTS_EVAL_HOME", str(tmp_path))
    with pytest.raises(WeightsError, match="tts-eval fetch distillmos"):
        create("distillmos")
