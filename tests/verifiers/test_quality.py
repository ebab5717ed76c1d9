"""DNSMOS against speechmos's numbers, and its windows."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from synthetic_voice import synthetic_voices

from tts_eval import weights
from tts_eval.audio import Clip
from tts_eval.errors import ConfigError, WeightsError
from tts_eval.mel import mel_spectrogram
from tts_eval.types import FailureKind
from verifiers import dnsmos
from verifiers.dnsmos import LISTENED, WINDOW, Dnsmos, Opinion, listening_features, repeat_to_window, window_starts
from verifiers.quality import QualityVerifier, create

GOLDEN = json.loads((Path(__file__).parents[1] / "golden/dnsmos.json").read_text())
METRICS = ("ovrl", "sig", "bak", "p808")


@pytest.fixture(scope="module")
def verifier():
    return create("")


class StubModel:
    def __init__(self, hop_seconds=1):
        self.hop_seconds = hop_seconds
        self.seen = []

    def rate(self, clips_16k):
        self.seen += [len(samples) for samples in clips_16k]
        return [Opinion(1.5, 2.5, 3.5, 4.5) for _ in clips_16k]


def check_golden(verifier, make_item, clips):
    scores = verifier.score([make_item(Clip(samples, 16_000)) for samples in clips.values()])
    for name, score in zip(clips, scores, strict=True):
        assert score.failure is None
        assert dict(score.values) == pytest.approx(GOLDEN["opinions"][name], abs=GOLDEN["tolerance"]), name
        assert score.value == score.values["ovrl"]


@pytest.mark.real
def test_golden_synthetic_voices(verifier, make_item):
    # "high" (5.3 s) has a single window, "short" is doubled five times, "long" needs no repetition.
    clips = synthetic_voices()
    check_golden(verifier, make_item, {name: clips[name] for name in ("short", "high", "long", "noisy")})


@pytest.mark.real
def test_golden_librispeech(verifier, make_item, data: Path):
    names = [name for name in GOLDEN["opinions"] if name.startswith("LibriSpeech")]
    assert names
    check_golden(verifier, make_item, {name: soundfile.read(data / name, dtype="float32")[0] for name in names})


@pytest.mark.real
def test_the_batch_does_not_change_an_opinion(verifier, monkeypatch):
    clips = [synthetic_voices()[name] for name in ("high", "quiet")]
    model = verifier._model
    together = np.array(model.rate(clips))
    monkeypatch.setattr(dnsmos, "MAX_BATCH", 1)
    np.testing.assert_allclose(np.array(model.rate(clips[::-1]))[::-1], together, rtol=0, atol=1e-5)


@pytest.mark.real
def test_noise_lowers_the_background_score_and_overload_is_cut_at_full_scale(verifier):
    clean, noisy = synthetic_voices()["high"], synthetic_voices()["noisy"]
    calm, loud = verifier._model.rate([clean, noisy])
    assert calm.bak > loud.bak + 0.3
    overloaded = 8.0 * clean
    cut = np.clip(overloaded, -1, 1)
    first, second = verifier._model.rate([overloaded, cut])
    assert first == pytest.approx(second, abs=1e-5)


@pytest.mark.real
def test_fast_hears_a_short_clip_once_under_another_name(monkeypatch):
    fast = create("fast")
    clip = synthetic_voices()["low"]
    assert {metric.protocol for metric in fast.metrics} == {"dnsmos-p835-every-9s@1", "dnsmos-p808-every-9s@1"}
    windows = []
    run = dnsmos._run
    monkeypatch.setattr(dnsmos, "_run", lambda session, rows: run(session, (windows.append(0) or row for row in rows)))
    (opinion,) = fast._model.rate([clip])
    assert len(windows) == 2  # one for each model
    assert opinion.ovrl == pytest.approx(GOLDEN["opinions"]["low"]["ovrl"], abs=0.1)


def test_values_and_names(make_item):
    model = StubModel()
    verifier = QualityVerifier(model, "stub")
    (score,) = verifier.score([make_item(Clip(np.full(24_000, 0.1, np.float32), 24_000))])
    assert dict(score.values) == dict(zip(METRICS, (1.5, 2.5, 3.5, 4.5), strict=True))
    assert score.value == 1.5
    assert score.judge == "stub"
    assert model.seen == [16_000]
    assert [metric.protocol for metric in verifier.metrics] == ["dnsmos-p835@1"] * 3 + ["dnsmos-p808@1"]
    assert [metric.name for metric in verifier.metrics] == list(METRICS)


def test_bad_clips_do_not_reach_the_model(make_item):
    model = StubModel()
    silent, empty = Clip(np.zeros(100, np.float32), 16_000), Clip(np.zeros(0, np.float32), 16_000)
    broken = Clip(np.array([0.1, np.nan], np.float32), 16_000)
    scores = QualityVerifier(model, "stub").score([make_item(clip) for clip in (silent, empty, broken, None)])
    kinds = [FailureKind.SILENT, FailureKind.EMPTY, FailureKind.NOT_FINITE, FailureKind.MISSING]
    assert [score.failure.kind for score in scores] == kinds
    assert model.seen == []


@pytest.mark.real
def test_the_judge_differs_between_the_ways_of_listening():
    assert create("").judge == create("dnsmos").judge == f"dnsmos:{weights.fingerprint('dnsmos')}"
    assert create("fast").judge != create("").judge


def test_unknown_models_are_refused():
    with pytest.raises(ConfigError, match=r"no model 'utmos'.*path of UTMOS22"):
        create("utmos")


def test_missing_weights_name_the_command(monkeypatch, tmp_path):
    monkeypatch.setenv("TTS_EVAL_HOME", str(tmp_path))
    with pytest.raises(WeightsError, match="tts-eval fetch dnsmos"):
        create("dnsmos")


@pytest.mark.parametrize(
    ("samples", "length", "windows"),
    [
        (1, 2**18, 7),
        (16_000, 16 * 16_000, 7),
        (64_000, 256_000, 7),  # 4 s become 16 s
        (80_000, 160_000, 1),  # 5 s become 10 s
        (144_159, 288_318, 7),  # the reference drops those at 7 and 8 s
        (144_160, 144_160, 1),
        (144_161, 144_161, 1),
        (181_920, 181_920, 2),
    ],
)
def test_clips_are_doubled_to_fill_a_window(samples, length, windows):
    clip = np.arange(samples, dtype=np.float32)
    looped = repeat_to_window(clip)
    assert len(looped) == length
    np.testing.assert_array_equal(looped, clip[np.arange(length) % samples])
    starts = window_starts(length)
    assert len(starts) == windows
    assert starts[-1] + WINDOW <= length


@pytest.mark.real
def test_one_sample_that_resampling_loses_is_a_failure_and_not_an_endless_loop(verifier, make_item):
    lost = Clip(np.ones(1, np.float32), 48_000)
    (score,) = verifier.score([make_item(lost)])
    assert score.failure.kind is FailureKind.VERIFIER
    assert "0 samples" in score.failure.message


def test_windows_are_those_of_the_reference():
    # The original loop, kept word for word in arithmetic: floats, floor and truncation included.
    for samples in [WINDOW, *range(150_000, 1_000_000, 7_777)]:
        hops = int(np.floor(samples / 16_000) - 9.01) + 1
        spans = [(hop * 16_000, int((hop + 9.01) * 16_000)) for hop in range(hops)]
        assert window_starts(samples) == [start for start, end in spans if end - start >= int(9.01 * 16_000)]


def test_fast_windows_reach_the_end_of_a_long_clip():
    assert [start // 16_000 for start in window_starts(40 * 16_000, 9)] == [0, 9, 18, 27]
    assert [start // 16_000 for start in window_starts(19 * 16_000, 9)] == [0, 9]


def test_features_of_overlapping_windows_equal_those_of_each_window_alone():
    samples = 0.1 * np.random.default_rng(0).standard_normal(250_000).astype(np.float32)
    starts = window_starts(len(samples))
    assert len(starts) > 3
    for start, features in zip(starts, listening_features(samples, starts), strict=True):
        mel = mel_spectrogram(samples[start : start + LISTENED], dnsmos.MEL)
        expected = (np.maximum(10 * np.log10(np.maximum(mel, 1e-10) / mel.max()), -80) + 40) / 40
        assert features.shape == (900, 120)
        np.testing.assert_allclose(features, expected, atol=1e-4)


@pytest.mark.real
def test_the_number_of_threads_is_passed_on():
    folder = weights.locate("dnsmos")
    for threads in (1, 2):
        model = Dnsmos(folder, threads=threads)
        assert model._p835.get_session_options().intra_op_num_threads == threads
    assert Dnsmos(folder)._p808.get_session_options().intra_op_num_threads == dnsmos.available_cores()
