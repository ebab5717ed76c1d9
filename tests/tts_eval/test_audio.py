from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tts_eval.audio import (
    AUDIO_SUFFIXES,
    Clip,
    encode_audio,
    find_audio,
    load_clip,
    read_audio,
    to_mono,
    to_pcm16,
    write_audio,
)
from tts_eval.errors import AudioError


def sine(rate: int, seconds: float = 0.5, hertz: float = 440.0, level: float = 0.4) -> np.ndarray:
    return (level * np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate)).astype(np.float32)


# --- arrays ---


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32, np.int64])
def test_integers_are_scaled_by_their_full_scale(dtype):
    limits = np.iinfo(dtype)
    mono = to_mono(np.array([limits.min, 0, limits.min // 2, limits.max], dtype))
    assert mono.dtype == np.float32
    assert mono == pytest.approx([-1.0, 0.0, -0.5, limits.max / -float(limits.min)])


def test_unsigned_integers_are_centred():
    assert to_mono(np.array([0, 128], np.uint8)) == pytest.approx([-1.0, 0.0])


def test_float64_and_float16_become_float32():
    for dtype in (np.float16, np.float64):
        assert to_mono(np.array([0.5, -0.25], dtype)).dtype == np.float32


def test_channels_are_averaged():
    channels = np.zeros((10, 8), np.float32)
    channels[:, 3] = 0.8
    assert to_mono(channels) == pytest.approx(np.full(10, 0.1))
    assert to_mono(np.array([[32767, -32767]], np.int16)) == pytest.approx([0.0])


@pytest.mark.parametrize("shape", [(), (2, 3, 4)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(AudioError, match="shape"):
        to_mono(np.zeros(shape))


def test_channels_first_is_refused():
    with pytest.raises(AudioError, match="channels"):
        Clip(np.zeros((2, 16_000)), 16_000)


@pytest.mark.parametrize("rate", [0, -16_000])
def test_a_rate_must_be_positive(rate):
    with pytest.raises(AudioError, match="positive"):
        Clip(np.zeros(3), rate)


def test_a_clip_cannot_be_changed_by_its_maker_or_its_user():
    source = sine(16_000)
    clip = Clip(source, 16_000)
    source[:] = 9
    assert clip.samples.max() < 1
    for samples in (clip.samples, clip.at(8_000), clip.at(16_000)):
        with pytest.raises(ValueError, match="read-only"):
            samples[0] = 1


# --- level and duration ---


def test_seconds_and_peak():
    clip = Clip(np.array([0.1, -0.5, 0.2, 0.0], np.float32), 8)
    assert clip.seconds == 0.5
    assert clip.peak_dbfs == pytest.approx(20 * np.log10(0.5))
    assert "0.50 s at 8 Hz" in repr(clip)


def test_no_samples_and_digital_silence_have_no_peak():
    for samples in (np.zeros(0), np.zeros(5)):
        clip = Clip(samples, 16_000)
        assert clip.peak_dbfs == float("-inf")
        assert clip.is_finite


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_a_number_is_noticed(value):
    assert not Clip(np.array([0.0, value], np.float32), 16_000).is_finite


# --- rates ---


@pytest.mark.parametrize(("source", "target"), [(96_000, 16_000), (44_100, 16_000), (22_050, 24_000), (8_000, 48_000)])
def test_resampling_keeps_the_tone_and_its_duration(source, target):
    resampled = Clip(sine(source), source).at(target)
    assert resampled.dtype == np.float32
    assert len(resampled) == pytest.approx(target / 2, abs=1)
    middle = slice(target // 8, 3 * target // 8)
    assert resampled[middle] == pytest.approx(sine(target)[: len(resampled)][middle], abs=2e-3)


def test_resampling_removes_what_the_lower_rate_cannot_hold():
    low = Clip(sine(96_000, hertz=20_000), 96_000).at(16_000)
    assert np.abs(low[800:-800]).max() < 1e-3


def test_a_rate_is_computed_once_and_the_own_rate_never():
    clip = Clip(sine(24_000), 24_000)
    assert clip.at(16_000) is clip.at(16_000)
    assert clip.at(24_000) is clip.samples


def test_no_samples_can_be_resampled():
    assert len(Clip(np.zeros(0), 48_000).at(16_000)) == 0


# --- 16 bits ---

finite = hnp.arrays(np.float32, st.integers(0, 50), elements=st.floats(-2, 2, width=32))


@given(finite)
def test_quantising_is_idempotent_and_changes_at_most_half_a_step(samples):
    clip = Clip(samples, 16_000)
    once = clip.quantised()
    np.testing.assert_array_equal(once.quantised().samples, once.samples)
    inside = np.clip(samples, -1, 32767 / 32768)
    np.testing.assert_allclose(once.samples, inside, atol=0.5 / 32768 + 1e-9)


@given(hnp.arrays(np.int16, st.integers(1, 50)))
def test_sixteen_bit_samples_survive_a_round_trip(samples):
    np.testing.assert_array_equal(to_pcm16(to_mono(samples)), samples)


def test_sixteen_bits_are_rounded_and_clipped():
    steps = np.array([0.4, 0.6, -0.6, 40_000, -40_000]) / 32768
    assert to_pcm16(steps).tolist() == [0, 1, -1, 32767, -32768]
    assert to_pcm16(np.array([np.nan, 0.5])).tolist() == [0, 16384]


def test_infinite_samples_become_full_scale():
    assert to_pcm16(np.array([np.inf, -np.inf])).tolist() == [32767, -32768]


def test_the_digest_is_of_what_is_stored():
    clip = Clip(sine(16_000), 16_000)
    assert clip.quantised().sha256 == clip.sha256
    stored = clip.quantised()
    assert Clip(stored.samples + np.float32(1e-6), 16_000).sha256 == stored.sha256
    louder = clip.samples.copy()
    louder[7] += 1 / 32768
    assert Clip(louder, 16_000).sha256 != clip.sha256
    assert Clip(clip.samples, 24_000).sha256 != clip.sha256


# --- files ---


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_lossless_files_give_the_quantised_clip_back(tmp_path: Path, suffix):
    clip = Clip(sine(22_050), 22_050)
    write_audio(tmp_path / f"a{suffix}", clip)
    again = read_audio(tmp_path / f"a{suffix}")
    assert again.rate == 22_050
    np.testing.assert_array_equal(again.samples, clip.quantised().samples)
    assert again.sha256 == clip.sha256


@pytest.mark.parametrize("suffix", [".ogg", ".mp3"])
def test_lossy_files_sound_alike(tmp_path: Path, suffix):
    clip = Clip(sine(48_000, seconds=1), 48_000)
    write_audio(tmp_path / f"a{suffix}", clip)
    again = read_audio(tmp_path / f"a{suffix}")
    assert again.seconds == pytest.approx(1, abs=0.1)
    spectrum = np.abs(np.fft.rfft(again.samples))
    assert spectrum.argmax() / again.seconds == pytest.approx(440, abs=2)


def test_eight_channels_at_96_khz(tmp_path: Path):
    channels = np.zeros((9_600, 8), np.float32)
    channels[:, 2] = sine(96_000, seconds=0.1)
    soundfile.write(tmp_path / "studio.wav", channels, 96_000, subtype="FLOAT")
    clip = read_audio(tmp_path / "studio.wav")
    assert clip.rate == 96_000
    assert clip.samples == pytest.approx(channels[:, 2] / 8)
    assert len(clip.at(16_000)) == 1_600


def test_floats_beyond_full_scale_and_nan_are_read_as_they_are(tmp_path: Path):
    stored = np.array([2.5, -3.0, np.nan], np.float32)
    soundfile.write(tmp_path / "hot.wav", stored, 16_000, subtype="FLOAT")
    clip = read_audio(tmp_path / "hot.wav")
    np.testing.assert_array_equal(clip.samples, stored)
    assert not clip.is_finite


@pytest.mark.parametrize("content", [b"just some text\n" * 50, b"", b"RIFF\x00\x00"])
def test_a_file_that_is_not_audio_is_named(tmp_path: Path, content):
    path = tmp_path / "text.wav"
    path.write_bytes(content)
    with pytest.raises(AudioError, match=r"text\.wav cannot be read as audio"):
        read_audio(path)


def test_a_flac_that_was_streamed_is_read_to_its_end(tmp_path: Path):
    clip = Clip(sine(16_000, seconds=70), 16_000)  # more than one block
    flac = bytearray(encode_audio(clip, "FLAC"))
    flac[21:26] = bytes([flac[21] & 0xF0, 0, 0, 0, 0])  # its number of samples: unknown
    (tmp_path / "a.flac").write_bytes(flac)
    np.testing.assert_array_equal(read_audio(tmp_path / "a.flac").samples, clip.quantised().samples)
    (tmp_path / "a.flac").write_bytes(flac[:-1000])
    with pytest.raises(AudioError, match="cannot be read"):
        read_audio(tmp_path / "a.flac")


def test_raw_samples_are_refused(tmp_path: Path):
    (tmp_path / "a.raw").write_bytes(bytes(100))
    with pytest.raises(AudioError, match=r"a\.raw"):
        read_audio(tmp_path / "a.raw")


def test_missing_files_and_folders_are_named(tmp_path: Path):
    for path in (tmp_path / "gone.wav", tmp_path):
        with pytest.raises(AudioError, match=path.name):
            read_audio(path)


def test_a_file_without_samples_is_refused(tmp_path: Path):
    soundfile.write(tmp_path / "none.wav", np.zeros(0), 16_000)
    with pytest.raises(AudioError, match="0 samples"):
        read_audio(tmp_path / "none.wav")


@pytest.mark.parametrize("name", ["clip.xyz", "clip"])
def test_unknown_containers_are_refused(tmp_path: Path, name):
    with pytest.raises(AudioError, match=r"\.wav or \.flac"):
        write_audio(tmp_path / name, Clip(sine(16_000), 16_000))
    assert not (tmp_path / name).exists()


def test_encoding_in_memory_is_a_file():
    assert encode_audio(Clip(sine(16_000), 16_000), "FLAC").startswith(b"fLaC")


def test_loading_reads_paths_and_passes_clips(tmp_path: Path):
    clip = Clip(sine(16_000), 16_000)
    write_audio(tmp_path / "a.wav", clip)
    assert load_clip(clip) is clip
    assert load_clip(tmp_path / "a.wav").sha256 == clip.sha256


@pytest.mark.parametrize("suffix", AUDIO_SUFFIXES)
def test_audio_is_found_by_its_stem(tmp_path: Path, suffix):
    (tmp_path / f"a.1{suffix}").touch()
    (tmp_path / "a.txt").touch()
    assert find_audio(tmp_path, "a.1") == tmp_path / f"a.1{suffix}"
    assert find_audio(tmp_path, "a") is None
    assert find_audio(tmp_path / "nowhere", "a") is None


def test_what_is_quantised_has_the_integers_that_its_samples_round_to():
    samples = np.random.default_rng(0).uniform(-1.2, 1.2, 4000).astype(np.float32)
    for clip in (Clip(samples, 16000).quantised(), Clip(samples, 16000).quantised().quantised()):
        np.testing.assert_array_equal(clip.pcm16, to_pcm16(clip.samples))
        assert clip.sha256 == Clip(samples, 16000).sha256
