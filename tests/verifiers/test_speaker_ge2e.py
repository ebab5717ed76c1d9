"""The encoder against Resemblyzer's numbers, and the parts of it that need no weights."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from synthetic_voice import synthetic_voice, synthetic_voices

from tts_eval import ge2e
from tts_eval.audio import Clip
from tts_eval.errors import WeightsError
from tts_eval.ge2e import GE2EEncoder, keep_voice, partial_starts, partial_windows, smooth_voice
from tts_eval.mel import MelSettings, decibels_below_peak, mel_filters, mel_spectrogram
from tts_eval.synthesizers.codec import Reference
from tts_eval.synthesizers.codec_resynthesis import resynthesise
from tts_eval.types import FailureKind
from verifiers.speaker import create
from verifiers.speaker_models import load_encoder

GOLDEN = json.loads((Path(__file__).parents[1] / "golden/ge2e.json").read_text())


@pytest.fixture(scope="module")
def verifier():
    return create("")


@pytest.fixture(scope="module")
def encoder():
    return load_encoder("").encoder


def check_golden(encoder, clips):
    tolerance = GOLDEN["tolerance"]
    voices = dict(zip(clips, encoder.embed(list(clips.values())), strict=True))
    for name, samples in clips.items():
        assert len(keep_voice(samples)) == GOLDEN["voiced_samples"][name], name
        assert voices[name][:8] == pytest.approx(GOLDEN["embedding_head"][name], abs=tolerance), name
    pairs = [(a, b, cosine) for a, b, cosine in GOLDEN["cosines"] if a in voices and b in voices]
    assert len(pairs) == len(voices) * (len(voices) - 1) // 2
    for a, b, cosine in pairs:
        assert float(voices[a] @ voices[b]) == pytest.approx(cosine, abs=tolerance), (a, b)


@pytest.mark.real
def test_golden_synthetic_voices(encoder):
    check_golden(encoder, synthetic_voices())


@pytest.mark.real
def test_golden_librispeech(encoder, data: Path):
    names = [name for name in GOLDEN["voiced_samples"] if name.startswith("LibriSpeech")]
    check_golden(encoder, {name: soundfile.read(data / name, dtype="float32")[0] for name in names})


@pytest.mark.real
def test_the_batch_does_not_change_an_embedding(encoder, monkeypatch):
    clips = [synthetic_voices()[name] for name in ("low", "short", "quiet", "low_pause")]
    together = np.array(encoder.embed(clips))
    alone = np.array([encoder.embed([clip])[0] for clip in clips])
    monkeypatch.setattr(ge2e, "MAX_BATCH", 5)
    backwards_in_small_batches = np.array(encoder.embed(clips[::-1]))[::-1]
    for other in (alone, backwards_in_small_batches):
        np.testing.assert_allclose(other, together, rtol=0, atol=1e-6)
        np.testing.assert_allclose(other @ other.T, together @ together.T, rtol=0, atol=1e-6)


@pytest.mark.real
def test_embeddings_are_directions_without_negative_parts(encoder):
    voices = np.array(encoder.embed(list(synthetic_voices().values())))
    assert voices.shape == (7, 256)
    assert voices.min() >= 0
    np.testing.assert_allclose(np.linalg.norm(voices, axis=1), 1, atol=1e-5)


@pytest.mark.real
def test_the_thread_count_of_torch_is_given_back(encoder, monkeypatch):
    import torch

    before = torch.get_num_threads()
    during = []
    forward = encoder._forward
    monkeypatch.setattr(encoder, "_forward", lambda windows: during.append(torch.get_num_threads()) or forward(windows))
    try:
        torch.set_num_threads(2)
        encoder.embed([synthetic_voices()["short"]])
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert during == [1]


@pytest.mark.real
def test_clips_without_a_voice_have_no_embedding(encoder):
    silence, blip = np.zeros(16_000, np.float32), np.full(100, 0.5, np.float32)
    voice = synthetic_voices()["low"]
    assert encoder.embed([]) == []
    assert encoder.embed([silence, blip]) == [None, None]
    first, second, third = encoder.embed([silence, voice, np.zeros(0, np.float32)])
    assert first is None
    assert third is None
    np.testing.assert_allclose(second, encoder.embed([voice])[0], atol=1e-6)


@pytest.mark.real
def test_real_speakers_are_told_apart(verifier, data: Path, make_item):
    # Same-speaker pairs of the golden clips, which are two per speaker, beat every other pair on average.
    names = [name for name in GOLDEN["voiced_samples"] if name.startswith("LibriSpeech")]
    clips = [Clip(*soundfile.read(data / name, dtype="float32")) for name in names]
    pairs = [(a, b) for a in range(len(clips)) for b in range(a)]
    scores = verifier.score([make_item(clips[a], ground_truth=clips[b]) for a, b in pairs])
    same = [s.value for s, (a, b) in zip(scores, pairs, strict=True) if a // 2 == b // 2]
    other = [s.value for s, (a, b) in zip(scores, pairs, strict=True) if a // 2 != b // 2]
    assert min(same) > np.mean(other) + 0.1


@pytest.mark.real
def test_a_clip_too_short_for_the_voice_detector_fails_as_silent(verifier, make_item):
    noise = Clip((0.01 * np.random.default_rng(0).standard_normal(400)).astype(np.float32), 16_000)
    (score,) = verifier.score([make_item(noise, ground_truth=Clip(synthetic_voices()["low"], 16_000))])
    assert score.failure.kind is FailureKind.SILENT


def test_a_foreign_checkpoint_is_refused(tmp_path: Path):
    import torch

    for content in ({"model_state": {}}, {"other": 1}):
        torch.save(content, tmp_path / "pretrained.pt")
        with pytest.raises(WeightsError, match="tts-eval fetch"):
            GE2EEncoder(tmp_path / "pretrained.pt")
    (tmp_path / "pretrained.pt").write_text("damaged")
    with pytest.raises(WeightsError, match="tts-eval fetch"):
        GE2EEncoder(tmp_path / "pretrained.pt")


def naive_smooth(flags):
    # The definition, window by window: the average of 8 flags, rounded half to even, then dilated.
    padded = np.concatenate([np.zeros(3), flags, np.zeros(4)])
    majority = [bool(round(float(np.mean(padded[i : i + 8])))) for i in range(len(flags))]
    return np.array([any(majority[max(0, i - 3) : i + 4]) for i in range(len(flags))], dtype=bool)


def test_smoothing_equals_its_definition():
    generator = np.random.default_rng(0)
    for length in (*range(1, 25), 300):
        for share in (0.2, 0.5, 0.8):
            flags = generator.random(length) < share
            np.testing.assert_array_equal(smooth_voice(flags), naive_smooth(flags))
    assert len(smooth_voice(np.zeros(0, bool))) == 0


def test_long_pauses_are_cut_and_short_ones_kept():
    spoken = [(500, 120), (1500, 200)]
    lengths = [len(keep_voice(synthetic_voice(115, spoken, 3.3, 2, pause=pause, noise=0.001))) for pause in (0, 0.1, 1)]
    assert lengths[0] == lengths[1] == 52_800
    assert lengths[2] < 52_800 - 0.4 * 16_000


def test_quiet_clips_are_raised_and_loud_ones_left_alone():
    voice = synthetic_voices()["low"]
    rms = np.sqrt(np.mean(np.square(keep_voice(voice * np.float32(0.01)))))
    assert 20 * np.log10(rms) == pytest.approx(-30, abs=0.1)
    kept = keep_voice(voice)
    np.testing.assert_array_equal(kept, voice[: len(kept)])


@pytest.mark.parametrize(
    ("samples", "starts"),
    [
        (1, [0]),
        (25_600, [0]),
        (77 * 160 + 19_199, [0]),  # one sample short of three quarters of the second window
        (77 * 160 + 19_200, [0, 77]),
        (16_000 * 10, [77 * i for i in range(12)]),
    ],
)
def test_windows_cover_the_clip(samples, starts):
    assert partial_starts(samples) == starts
    windows = partial_windows(np.ones(samples, np.float32))
    assert windows.shape == (len(starts), 160, 40)


def test_a_short_clip_is_padded_with_zeros():
    (window,) = partial_windows(np.random.default_rng(0).standard_normal(8_000).astype(np.float32))
    assert window[:50].min() > 0
    assert not window[52:].any()


def test_mel_bands_are_slaneys():
    # A sine in a linear band (500 Hz) and one in a logarithmic band (4 kHz) peak where the scale says.
    settings = MelSettings(rate=16_000, fft_size=400, hop=160, bands=40)
    edges = np.linspace(0, 15 + 27 * np.log(8) / np.log(6.4), 42)
    for hertz, mel in ((500, 7.5), (4_000, 15 + 27 * np.log(4) / np.log(6.4))):
        tone = np.sin(2 * np.pi * hertz * np.arange(16_000) / 16_000)
        spectrum = mel_spectrogram(tone, settings)
        assert spectrum.shape == (101, 40)
        assert abs(edges[1:-1][spectrum[50].argmax()] - mel) <= edges[1]
    areas = mel_filters(settings).sum(axis=0) * 40  # bins are 40 Hz apart
    assert areas[20:] == pytest.approx(1, abs=0.1)


def test_decibels_are_relative_to_the_peak_and_limited():
    decibels = decibels_below_peak(np.array([[1e-3, 1e-5], [1e-30, 0.0]]))
    np.testing.assert_allclose(decibels, [[0, -20], [-70, -70]], atol=1e-9)
    assert decibels_below_peak(np.array([1.0, 1e-9])).min() == -80
    assert not decibels_below_peak(np.zeros(3)).any()


class TiltCodec:
    """Takes away the low tones; a second of audio is 16,000 frames."""

    rate, hop, codes, context, is_local = 16_000, 1, 0, 1, True

    def encode(self, clip: Clip):
        import torch

        return Reference(torch.from_numpy(clip.at(self.rate).copy()))

    def decode(self, frames, references):
        return frames - 0.9 * frames.roll(1, dims=1)


@pytest.mark.real
def test_the_codecs_resynthesis_of_the_prompt_is_a_second_reference(make_item, monkeypatch):
    from tts_eval.synthesizers.llasa import loading

    asked = []
    codec = loading.LoadedCodec(codec=TiltCodec(), revision="tilt")
    monkeypatch.setattr(loading, "load_codec", lambda source, device: asked.append((source.name, device.type)) or codec)
    plain, both = create("ge2e"), create("ge2e,reference=someone/codec,device=cpu")
    assert asked == [("someone/codec", "cpu")]
    assert both.judge == f"{plain.judge}+codec:tilt"
    voices = {name: Clip(samples, 16_000) for name, samples in synthetic_voices().items()}
    item = make_item(voices["high"], ground_truth=voices["low"])
    against_codec = make_item(voices["high"], ground_truth=resynthesise(TiltCodec(), voices["low"]).clip)
    (score,), (sim_o,), (sim_r,) = both.score([item]), plain.score([item]), plain.score([against_codec])
    assert score.values == pytest.approx({"sim": sim_o.value, "sim_r": sim_r.value}, abs=1e-5)
    assert abs(sim_o.value - sim_r.value) > 1e-3
