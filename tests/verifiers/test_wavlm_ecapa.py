"""WavLM with an ECAPA-TDNN head against its equations in numpy, and the published layout of its checkpoint."""

from pathlib import Path

import numpy as np
import pytest
import wavlm_ecapa_numpy as equations
from synthetic_voice import synthetic_voice

from tts_eval.errors import WeightsError

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from verifiers import wavlm_ecapa  # noqa: E402
from verifiers.wavlm_ecapa import WavLMEcapaEncoder  # noqa: E402

CPU = torch.device("cpu")


def save(path: Path, state: equations.State) -> Path:
    torch.save({"model": {name: torch.from_numpy(np.array(value)) for name, value in state.items()}}, path)
    return path


@pytest.fixture(scope="module", params=[True, False], ids=["large", "base-plus"])
def family(request, tmp_path_factory):
    """A small checkpoint and the encoder that loaded it, for both ways in which WavLM is normalised; as on a GPU."""
    state = equations.random_state(7, large=request.param)
    path = save(tmp_path_factory.mktemp("wavlm") / "wavlm_large_finetune.pth", state)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wavlm_ecapa, "most_together", lambda device, most: most)
        return request.param, state, WavLMEcapaEncoder(path, CPU)


def clips(*seconds: float) -> list[np.ndarray]:
    voices = [synthetic_voice(100 + 20 * i, [(500, 120), (1500, 200)], 1.5, i) for i in range(len(seconds))]
    return [voice[: int(16_000 * length)] for voice, length in zip(voices, seconds, strict=True)]


def unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


def test_embeddings_are_those_of_the_equations(family):
    large, state, encoder = family
    audio = clips(1.0, 0.63, 1.21)
    for found, clip in zip(encoder.embed(audio), audio, strict=True):
        np.testing.assert_allclose(found, unit(equations.embedding(state, clip, large)), atol=1e-4)


def test_every_layer_is_that_of_the_equations(family):
    large, state, encoder = family
    (clip,) = clips(0.8)
    samples = torch.from_numpy(clip)[None]
    if large:
        samples = torch.nn.functional.layer_norm(samples, samples.shape[1:])
    with torch.inference_mode():
        heard, lengths = encoder._layers(samples, torch.ones_like(samples, dtype=torch.long))
    exact = {name: value.astype(np.float64) for name, value in state.items()}
    np.testing.assert_allclose(heard[:, 0], equations.layers(exact, clip.astype(np.float64), large), atol=1e-4)
    assert lengths.tolist() == [heard.shape[2]]


def test_a_batch_does_not_change_an_embedding(family, monkeypatch):
    large, _, encoder = family
    audio = clips(0.4, 1.5, 0.9, 0.05, 0.9)
    together = np.array(encoder.embed(audio))
    alone = np.array([encoder.embed([clip])[0] for clip in audio])
    monkeypatch.setattr(encoder, "_most_samples", 20_000 if large else 0)
    in_small_batches = np.array(encoder.embed(audio[::-1]))[::-1]
    np.testing.assert_allclose(together, alone, atol=2e-6)
    np.testing.assert_allclose(in_small_batches, alone, atol=2e-6)
    np.testing.assert_allclose(np.linalg.norm(alone, axis=1), 1, atol=1e-6)


def test_clips_are_batched_where_padding_changes_nothing(family, monkeypatch):
    large, _, encoder = family
    sizes = []
    batch = encoder._batch
    monkeypatch.setattr(encoder, "_batch", lambda audio: sizes.append(len(audio)) or batch(audio))
    encoder.embed(clips(0.4, 0.5, 0.6))
    assert sizes == ([3] if large else [1, 1, 1])


def test_the_shortest_clip_has_an_embedding(family):
    _, _, encoder = family
    length = int(np.ceil(encoder.shortest_seconds * 16_000))
    (voice,) = encoder.embed([clips(1.0)[0][:length]])
    assert np.isfinite(voice).all()


def test_the_settings_are_those_of_wavlm_large():
    shapes = {
        **{f"feature_extractor.conv_layers.{i}.conv.weight": (512, 512 if i else 1, k)
           for i, k in enumerate((10, 3, 3, 3, 3, 2, 2))},
        "feature_extractor.conv_layers.6.layer_norm.weight": (512,),
        "encoder.pos_conv_embed.conv.parametrizations.weight.original1": (1024, 64, 128),
        "encoder.layers.0.attention.rel_attn_embed.weight": (320, 16),
        "encoder.layers.0.feed_forward.intermediate_dense.weight": (4096, 1024),
        **{f"encoder.layers.{i}.layer_norm.weight": (1024,) for i in range(24)},
    }  # fmt: skip
    settings = wavlm_ecapa.wavlm_settings({name: np.empty(shape) for name, shape in shapes.items()})
    assert settings == {
        "hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096,
        "conv_dim": [512] * 7, "conv_kernel": [10, 3, 3, 3, 3, 2, 2], "conv_stride": [5, 2, 2, 2, 2, 2, 2],
        "conv_bias": False, "num_conv_pos_embeddings": 128, "num_conv_pos_embedding_groups": 16, "num_buckets": 320,
        "max_bucket_distance": 800, "feat_extract_norm": "layer", "do_stable_layer_norm": True,
        "mask_time_prob": 0.0, "mask_feature_prob": 0.0,
    }  # fmt: skip


@pytest.mark.parametrize(
    "broken",
    [
        lambda state: state.pop("feature_extract.model.encoder.layers.1.fc1.bias"),
        lambda state: state.pop("layer3.SE_Connect.linear2.weight"),
        lambda state: state.pop("feature_weight"),
        lambda state: state.pop("feature_extract.model.encoder.layers.0.self_attn.relative_attention_bias.weight"),
        lambda state: state.update({"feature_extract.model.surplus": np.zeros(2, np.float32)}),
        lambda state: state.update({"surplus.weight": np.zeros(2, np.float32)}),
        lambda state: state.update({"layer1.conv.weight": np.zeros((16, 13, 5), np.float32)}),
        lambda state: state.update({"feature_weight": np.zeros(2, np.float32)}),
    ],
)
def test_a_checkpoint_of_another_layout_is_refused(broken, tmp_path):
    state = equations.random_state(0, large=True)
    broken(state)
    with pytest.raises(WeightsError, match=r"wavlm_large_finetune\.pth"):
        WavLMEcapaEncoder(save(tmp_path / "other.pth", state), CPU)


def test_a_file_that_would_run_code_is_refused(tmp_path):
    class Malice:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    torch.save({"model": Malice()}, tmp_path / "malice.pth")
    (tmp_path / "text.pth").write_text("no weights")
    for name in ("malice.pth", "text.pth"):
        with pytest.raises(WeightsError, match="nothing but tensors"):
            WavLMEcapaEncoder(tmp_path / name, CPU)
    assert not (tmp_path / "ran").exists()
