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
from verifiers import distillmos
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
    # "short" and "noisy" are padded; "long" has five windows, and they share calls with the others'.
    clips = synthetic_voices()
    check_golden(verifier, make_item, {name: clips[name] for name in ("short", "long", "noisy")})


@pytest.mark.real
def test_golden_librispeech(verifier, make_item, data: Path):
    names = [name for name in GOLDEN["opinions"] if name.startswith("LibriSpeech")][:2]
    assert names
    check_golden(verifier, make_item, {name: soundfile.read(data / name, dtype="float32")[0] for name in names})


@pytest.mark.real
def test_the_batch_does_not_change_an_opinion(verifier, monkeypatch):
    clips = [synthetic_voices()[name] for name in ("quiet", "short")]
    together = verifier._model.rate(clips)
    monkeypatch.setattr(distillmos, "MAX_BATCH", 1)
    assert verifier._model.rate(clips[::-1])[::-1] == pytest.approx(together, abs=1e-5)


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
