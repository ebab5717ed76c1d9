"""Which voice model a name, file or folder means, and the small models that run through all of it."""

import os
from pathlib import Path

import numpy as np
import pytest
import wavlm_ecapa_numpy as equations
from synthetic_voice import synthetic_voice

from tts_eval import hub
from tts_eval.audio import Clip
from tts_eval.errors import ConfigError, WeightsError
from tts_eval.types import Prompt
from verifiers import speaker_models
from verifiers.speaker import create
from verifiers.speaker_encoder import direction
from verifiers.speaker_models import load_encoder

torch = pytest.importorskip("torch")


def seed_file(folder: Path, seed: int = 0) -> Path:
    state = equations.random_state(seed, large=True)
    path = folder / "wavlm_large_finetune.pth"
    torch.save({"model": {name: torch.from_numpy(np.array(value)) for name, value in state.items()}}, path)
    return path


def voice(pitch: float, seconds: float = 1.0) -> np.ndarray:
    return synthetic_voice(pitch, [(500, 120), (1500, 200)], seconds, round(pitch))


def test_a_file_and_the_folder_around_it_are_the_same_model(tmp_path, make_item):
    pytest.importorskip("transformers")
    path = seed_file(tmp_path)
    by_file, by_folder = create(f"{path},device=cpu"), create(f"{tmp_path},device=cpu")
    assert by_file.judge.startswith("wavlm-ecapa:wavlm_large_finetune.pth@")
    assert by_file.judge.rpartition("@")[2] == by_folder.judge.rpartition("@")[2]
    item = make_item(Clip(voice(120), 16_000), prompt=Prompt(audio=Clip(voice(180), 16_000)))
    (first,), (second,) = by_file.score([item]), by_folder.score([item])
    assert first.value == second.value
    assert -1.0 <= first.value < 1.0
    other = seed_file(tmp_path, seed=1)
    assert create(f"{other},device=cpu").judge != by_file.judge


def test_hub_names_are_fetched_by_the_hub_client_and_nothing_is_run(monkeypatch, tmp_path):
    asked, patterns = [], {*hub.SETTINGS, *hub.SAFETENSORS, *hub.PICKLES}

    def download(source, purpose, others):
        asked.append((source.name, source.revision))
        patterns.update(others)
        raise WeightsError("offline")

    monkeypatch.setattr(speaker_models, "download_checkpoint", download)
    for model in ("ecapa", "wavlm-sv", "someone/voices@v2"):
        with pytest.raises(WeightsError, match="offline"):
            load_encoder(model)
    assert asked == [
        ("speechbrain/spkrec-ecapa-voxceleb", ""),
        ("microsoft/wavlm-base-plus-sv", ""),
        ("someone/voices", "v2"),
    ]
    assert "embedding_model.ckpt" in patterns
    assert not any(Path(pattern).suffix in (".py", ".yaml") for pattern in patterns)


def test_a_folder_without_a_model_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing here")
    with pytest.raises(WeightsError, match=r"embedding_model\.ckpt"):
        load_encoder(str(tmp_path))
    with pytest.raises(WeightsError, match="no voice model"):
        load_encoder(str(tmp_path / "notes.txt"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_device_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="device=cpu"):
        create(f"{seed_file(tmp_path)},device=cuda:5")


def test_directions_have_length_one():
    np.testing.assert_allclose(direction(np.array([3.0, 4.0])), [0.6, 0.8])
    assert direction(np.zeros(3)) is None
    with pytest.raises(ValueError, match="finite"):
        direction(np.array([1.0, np.nan]))


@pytest.fixture(scope="module")
def speechbrain_folder(tmp_path_factory) -> Path:
    ecapa = pytest.importorskip("speechbrain.lobes.models.ECAPA_TDNN")
    torch.manual_seed(0)
    model = ecapa.ECAPA_TDNN(
        80, channels=[16, 16, 16, 16, 24], kernel_sizes=[5, 3, 3, 3, 1], dilations=[1, 2, 3, 4, 1],
        attention_channels=6, se_channels=5, lin_neurons=7, res2net_scale=4,
    )  # fmt: skip
    for name, value in model.state_dict().items():
        if name.endswith("running_mean"):
            value.normal_()
    folder = tmp_path_factory.mktemp("spkrec-ecapa-voxceleb")
    torch.save(model.state_dict(), folder / "embedding_model.ckpt")
    (folder / "hyperparams.yaml").write_text(
        "modules:\n"
        "  compute_features: !new:speechbrain.lobes.features.Fbank\n"
        "    n_mels: 80\n"
        "  mean_var_norm: !new:speechbrain.processing.features.InputNormalization\n"
        "    norm_type: sentence\n"
        "    std_norm: False\n"
        "  classifier: !new:torch.nn.Identity\n"
        "  embedding_model: !new:speechbrain.lobes.models.ECAPA_TDNN.ECAPA_TDNN\n"
        "    input_size: 80\n"
        "    channels: [16, 16, 16, 16, 24]\n"
        "    kernel_sizes: [5, 3, 3, 3, 1]\n"
        "    dilations: [1, 2, 3, 4, 1]\n"
        "    attention_channels: 6\n"
        "    se_channels: 5\n"
        "    lin_neurons: 7\n"
        "    res2net_scale: 4\n"
        "pretrainer: !new:speechbrain.utils.parameter_transfer.Pretrainer\n"
        "  loadables:\n"
        "    embedding_model: !ref <modules[embedding_model]>\n"
    )
    return folder


def test_speechbrain_models_embed_as_speechbrains_own_loader(speechbrain_folder, tmp_path, monkeypatch):
    classifiers = pytest.importorskip("speechbrain.inference.classifiers")
    monkeypatch.chdir(tmp_path)
    theirs = classifiers.EncoderClassifier.from_hparams(source=str(speechbrain_folder), savedir=str(tmp_path / "copy"))
    encoder, judge = load_encoder(str(speechbrain_folder), "cpu")
    assert judge.startswith("speechbrain-ecapa:spkrec-ecapa-voxceleb")
    clips = [voice(110, 1.3), voice(200, 0.7), voice(160, 1.3)[: round(encoder.shortest_seconds * 16_000)]]
    for clip, found in zip(clips, encoder.embed(clips), strict=True):
        expected = theirs.encode_batch(torch.from_numpy(clip)[None])[0, 0].numpy()
        np.testing.assert_allclose(found, expected / np.linalg.norm(expected), atol=1e-5)


def test_a_speechbrain_folder_is_only_read(speechbrain_folder):
    before = {path: (path.stat().st_mtime_ns, path.is_symlink()) for path in speechbrain_folder.rglob("*")}
    working = set(os.listdir())  # noqa: PTH208 -- names only
    recipe = speechbrain_folder / "hyperparams.yaml"
    kept = recipe.read_text()
    recipe.write_text("!apply:os.mkdir [ran]\n")
    load_encoder(str(speechbrain_folder), "cpu")
    recipe.write_text(kept)
    assert {path: path.is_symlink() for path in speechbrain_folder.rglob("*")} == {p: s for p, (_, s) in before.items()}
    assert set(os.listdir()) == working  # noqa: PTH208


def test_another_speechbrain_model_is_refused(tmp_path):
    pytest.importorskip("speechbrain")
    torch.save({"blocks.0.conv.weight": torch.zeros(3)}, tmp_path / "embedding_model.ckpt")
    with pytest.raises(WeightsError, match="spkrec-ecapa-voxceleb"):
        load_encoder(str(tmp_path), "cpu")


@pytest.fixture(scope="module")
def xvector_folder(tmp_path_factory) -> Path:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.WavLMConfig(
        hidden_size=24, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, conv_dim=[16] * 7,
        num_conv_pos_embeddings=8, num_conv_pos_embedding_groups=2, tdnn_dim=[16, 16, 16, 16, 20],
        tdnn_kernel=[5, 3, 3, 1, 1], tdnn_dilation=[1, 2, 3, 1, 1], xvector_output_dim=9, use_weighted_layer_sum=True,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("wavlm-sv")
    transformers.WavLMForXVector(config).save_pretrained(folder)
    transformers.Wav2Vec2FeatureExtractor(
        feature_size=1, sampling_rate=16_000, padding_value=0.0, do_normalize=True, return_attention_mask=True
    ).save_pretrained(folder)
    return folder


def test_xvector_models_embed_as_transformers_does(xvector_folder):
    import transformers

    model = transformers.WavLMForXVector.from_pretrained(xvector_folder).eval()
    encoder, judge = load_encoder(str(xvector_folder), "cpu")
    assert judge.startswith("xvector:wavlm-sv")
    clips = [voice(110, 1.3), voice(200, 0.7), voice(150)[: round(encoder.shortest_seconds * 16_000)]]
    for clip, found in zip(clips, encoder.embed(clips), strict=True):
        scaled = (clip - clip.mean()) / np.sqrt(clip.var() + 1e-7)
        with torch.inference_mode():
            expected = model(torch.from_numpy(scaled)[None]).embeddings[0].numpy()
        np.testing.assert_allclose(found, expected / np.linalg.norm(expected), atol=1e-5)
    with pytest.raises((ValueError, UserWarning)):
        encoder.embed([clips[2][:-320]])


def test_a_model_without_the_head_is_refused(xvector_folder, tmp_path):
    import transformers

    transformers.WavLMForXVector.from_pretrained(xvector_folder).wavlm.save_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text((xvector_folder / "preprocessor_config.json").read_text())
    with pytest.raises(WeightsError, match="fine-tuned x-vector model for speaker verification"):
        load_encoder(str(tmp_path), "cpu")


def test_an_xvector_model_for_another_rate_is_refused(xvector_folder, tmp_path):
    for path in xvector_folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    extractor = tmp_path / "preprocessor_config.json"
    extractor.write_text(extractor.read_text().replace("16000", "8000"))
    with pytest.raises(WeightsError, match="8000 Hz"):
        load_encoder(str(tmp_path), "cpu")
