"""Kaldi's filter bank: against torchaudio's, and what its definition says."""

import numpy as np
import pytest

from tts_eval.kaldi_fbank import FLOOR, kaldi_fbank, mel_triangles

torch = pytest.importorskip("torch")


def noise(samples: int, scale: float = 0.1, offset: float = 0.0) -> np.ndarray:
    return (offset + scale * np.random.default_rng(samples).standard_normal(samples)).astype(np.float32)


@pytest.mark.parametrize(
    ("samples", "bands"),
    [
        (noise(16_000), 80),
        (noise(400), 80),
        (noise(719, scale=1e-3), 40),
        (noise(8_000, scale=0.01, offset=0.2), 23),
        (np.sin(2 * np.pi * 300 * np.arange(4_000) / 16_000).astype(np.float32), 80),
    ],
)
def test_features_are_those_of_torchaudio(samples, bands):
    kaldi = pytest.importorskip("torchaudio.compliance.kaldi")
    # Their filters are of single precision, which shows in low bands that see the edge of one bin.
    heard = torch.from_numpy(samples.astype(np.float64))[None]
    expected = kaldi.fbank(heard, num_mel_bins=bands, sample_frequency=16_000, dither=0.0).numpy()
    found = kaldi_fbank(samples, bands)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=5e-4)


@pytest.mark.parametrize(("samples", "frames"), [(400, 1), (559, 1), (560, 2), (16_000, 98)])
def test_an_unfinished_frame_is_left_out(samples, frames):
    assert kaldi_fbank(noise(samples), 80).shape == (frames, 80)


def test_an_offset_changes_nothing():
    plain, shifted = noise(4_000), noise(4_000) + np.float32(0.25)
    np.testing.assert_allclose(kaldi_fbank(shifted, 80), kaldi_fbank(plain, 80), atol=1e-4)


def test_silence_lies_on_the_floor():
    np.testing.assert_allclose(kaldi_fbank(np.zeros(800, np.float32), 80), np.log(FLOOR), rtol=1e-6)


def test_bands_stand_where_the_mel_scale_puts_them():
    mel = 1127 * np.log1p(np.array([20, 1000, 8000]) / 700)
    band = (mel[1] - mel[0]) / ((mel[2] - mel[0]) / 81) - 1
    tone = np.sin(2 * np.pi * 1000 * np.arange(1_600) / 16_000).astype(np.float32)
    assert abs(kaldi_fbank(tone, 80)[4].argmax() - band) <= 0.5
    triangles = mel_triangles(80)
    assert triangles.shape == (257, 80)
    assert triangles.max() <= 1
    assert not triangles[-1].any()
