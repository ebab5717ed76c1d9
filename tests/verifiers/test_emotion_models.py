"""The classifiers behind `emotion:MODEL`, from tiny checkpoints in the published formats."""

import json
import os
import sys
import types
from typing import ClassVar

import numpy as np
import pytest
import torch

from tts_eval.emotions import emotion_name
from tts_eval.errors import ConfigError, MissingDependencyError, WeightsError
from verifiers import emotion_transformers
from verifiers.emotion_models import load_model

RATE = 16_000
LABELS = {0: "neu", 1: "Happiness", 2: "sad", 3: "angry", 4: "excited"}
SIZES = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 1,
    "intermediate_size": 48,
    "conv_dim": (16,) * 7,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
}


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def noises(*seconds: float) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [random.normal(0, 0.1, round(each * RATE)).astype(np.float32) for each in seconds]


def classifier(folder, labels=LABELS, rate=RATE, layer_norm=True, masks=True, safe=True):
    from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2ForSequenceClassification

    torch.manual_seed(0)
    norm = {"feat_extract_norm": "layer", "do_stable_layer_norm": True} if layer_norm else {}
    config = Wav2Vec2Config(**SIZES, **norm, classifier_proj_size=8, id2label=labels)
    model = Wav2Vec2ForSequenceClassification(config).eval()
    if safe:
        model.save_pretrained(folder)
    else:
        folder.mkdir(exist_ok=True)
        config.save_pretrained(folder)
        torch.save(model.state_dict(), folder / "pytorch_model.bin")
    Wav2Vec2FeatureExtractor(sampling_rate=rate, return_attention_mask=masks).save_pretrained(folder)
    return model


@pytest.mark.parametrize(("layer_norm", "masks", "batches"), [(True, True, 1), (True, False, 3), (False, True, 3)])
def test_a_classifier_of_transformers_gives_its_own_probabilities(tmp_path, monkeypatch, layer_norm, masks, batches):
    model = classifier(tmp_path, layer_norm=layer_norm, masks=masks)
    monkeypatch.setattr(emotion_transformers, "most_together", lambda device, most: most)  # as on a GPU
    loaded = load_model(str(tmp_path), "cpu")
    assert loaded.emotions == ("neutral", "happy", "sad", "angry", "excited")
    assert loaded.judge.startswith(f"transformers:{tmp_path.name}@")
    clips = noises(0.5, 1.3, 0.2)
    sizes, run = [], loaded._run
    monkeypatch.setattr(loaded, "_run", lambda batch: sizes.append(len(batch)) or run(batch))
    results = loaded.hear(clips)
    assert len(sizes) == batches
    for clip, heard in zip(clips, results, strict=True):
        audio = torch.from_numpy((clip - clip.mean()) / np.sqrt(clip.var() + 1e-7))[None]
        with torch.no_grad():
            states = model.projector(model.wav2vec2(audio).last_hidden_state).mean(dim=1)
            expected = model.classifier(states).softmax(-1)[0]
        np.testing.assert_allclose(heard.probabilities, expected.numpy(), atol=1e-5)
        np.testing.assert_allclose(heard.embedding, states[0].numpy(), atol=1e-4)
    assert loaded.hear([]) == []


def test_pickled_and_halved_weights_say_the_same(tmp_path):
    model = classifier(tmp_path / "safe")
    classifier(tmp_path / "pickled", safe=False)
    classifier(tmp_path / "half")
    model.half().save_pretrained(tmp_path / "half")
    (clip,) = noises(0.6)
    ((safe,), (pickled,), (half,)) = (
        load_model(str(tmp_path / name), "cpu").hear([clip]) for name in ("safe", "pickled", "half")
    )
    largest = np.abs(safe.embedding).max()
    np.testing.assert_allclose(pickled.embedding, safe.embedding, atol=1e-5 * largest)
    np.testing.assert_allclose(half.embedding, safe.embedding, atol=1e-2 * largest)
    assert half.embedding.dtype == np.float32


class Code:
    """Runs a command when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (self.path,))


def test_a_pickle_that_holds_code_is_not_run(tmp_path):
    classifier(tmp_path / "model", safe=False)
    torch.save({"classifier.bias": Code(str(tmp_path / "ran"))}, tmp_path / "model" / "pytorch_model.bin")
    with pytest.raises(WeightsError, match="transformers cannot load the emotion classifier in"):
        load_model(str(tmp_path / "model"), "cpu")
    assert not (tmp_path / "ran").exists()


def test_another_head_is_another_judge(tmp_path):
    classifier(tmp_path / "a")
    model = classifier(tmp_path / "b")
    model.classifier.bias.data += 1
    model.save_pretrained(tmp_path / "b")
    first, second = (load_model(str(tmp_path / name), "cpu").judge.partition("@")[2] for name in "ab")
    assert first != second


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"labels": {0: "yes", 1: "no"}}, "its classes are yes, no; expected at least two of neutral"),
        ({"labels": {0: "LABEL_0", 1: "LABEL_1"}}, "id2label"),
        ({"rate": 8000}, "8000 Hz"),
    ],
)
def test_what_is_no_emotion_classifier(tmp_path, options, reason):
    classifier(tmp_path, **options)
    with pytest.raises(WeightsError, match=reason):
        load_model(str(tmp_path), "cpu")


def test_an_encoder_without_a_head_is_refused(tmp_path):
    classifier(tmp_path).wav2vec2.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "id2label": {str(k): v for k, v in LABELS.items()}}))
    with pytest.raises(WeightsError, match=r"no weights for classifier\.bias, .*; expected a fine-tuned emotion"):
        load_model(str(tmp_path), "cpu")


@pytest.mark.parametrize("damage", [b"", b"no tensors"])
def test_damaged_weights_are_named(tmp_path, damage):
    classifier(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(damage)
    with pytest.raises(WeightsError, match="transformers cannot load the emotion classifier in"):
        load_model(str(tmp_path), "cpu")


def test_folders_and_names_that_are_nothing(tmp_path):
    with pytest.raises(WeightsError, match=r"is no emotion classifier: expected a folder with config\.json"):
        load_model(str(tmp_path), "cpu")
    with pytest.raises(ConfigError, match=r"no model 'iemocab'\. Did you mean 'iemocap'\?"):
        load_model("iemocab")
    with pytest.raises(ConfigError, match="an existing file or folder"):
        load_model("/models/gone")


def speechbrain_folder(folder, *, old_keys=False):
    from transformers import Wav2Vec2Config, Wav2Vec2Model

    torch.manual_seed(1)
    encoder = Wav2Vec2Model(Wav2Vec2Config(**SIZES)).eval()
    state = {f"model.{key}": value for key, value in encoder.state_dict().items()}
    if old_keys:
        state = {key.replace("parametrizations.weight.original0", "weight_g"): value for key, value in state.items()}
        state = {key.replace("parametrizations.weight.original1", "weight_v"): value for key, value in state.items()}
        assert any(key.endswith("conv.weight_g") for key in state)
    torch.save(state, folder / "wav2vec2.ckpt")
    linear = torch.randn(4, SIZES["hidden_size"])
    torch.save({"0.w.weight": linear}, folder / "model.ckpt")
    (folder / "label_encoder.txt").write_text(
        "'sad' => 3\n'neu' => 0\n'hap' => 2\n'ang' => 1\n================\n'starting_index' => 0\n"
    )
    return encoder, linear


@pytest.mark.parametrize("old_keys", [False, True])
def test_speechbrains_classifier_without_speechbrain(tmp_path, old_keys):
    encoder, linear = speechbrain_folder(tmp_path, old_keys=old_keys)
    loaded = load_model(str(tmp_path), "cpu")
    assert loaded.emotions == ("neutral", "angry", "happy", "sad")
    (clip,) = noises(0.7)
    (heard,) = loaded.hear([clip])
    audio = (clip - clip.mean()) / np.sqrt(clip.var() + 1e-5)
    with torch.no_grad():
        states = encoder(torch.from_numpy(audio)[None]).last_hidden_state[0].numpy()
    embedding = ((states - states.mean()) / np.sqrt(states.var() + 1e-5)).mean(axis=0)
    powers = np.exp(linear.numpy() @ embedding)
    np.testing.assert_allclose(heard.embedding, embedding, atol=1e-4)
    np.testing.assert_allclose(heard.probabilities, powers / powers.sum(), atol=1e-4)


def test_speechbrain_files_that_are_something_else(tmp_path):
    speechbrain_folder(tmp_path)
    torch.save({"0.w.weight": torch.zeros(7, 64)}, tmp_path / "model.ckpt")
    with pytest.raises(WeightsError, match=r"model\.ckpt has shape \(7, 64\)"):
        load_model(str(tmp_path), "cpu")
    (tmp_path / "wav2vec2.ckpt").write_bytes(b"no tensors")
    with pytest.raises(WeightsError, match=r"is not a wav2vec 2\.0 emotion classifier of SpeechBrain"):
        load_model(str(tmp_path), "cpu")


@pytest.fixture
def funasr(monkeypatch, tmp_path):
    """A module that answers as funasr does for emotion2vec_plus."""

    class AutoModel:
        asked: ClassVar[list[dict]] = []
        labels = ("生气/angry", "开心/happy", "中立/neutral", "<unk>")
        model_path = str(tmp_path)

        def __init__(self, **settings):
            if settings["model"] == "iic/absent":
                raise RuntimeError("no such model\nand a long trace")
            self.asked.append(settings)

        def generate(self, clip, **settings):
            self.asked.append(settings)
            scores = [0.1, 0.2 + float(np.abs(clip).mean()), 0.4, 0.0]
            return [{"key": "x", "labels": list(self.labels), "scores": scores, "feats": np.full(6, len(clip))}]

    (tmp_path / "model.pt").write_bytes(b"weights")
    module = types.ModuleType("funasr")
    module.AutoModel = AutoModel
    monkeypatch.setitem(sys.modules, "funasr", module)
    AutoModel.asked.clear()
    return AutoModel


def test_emotion2vec_through_funasr(funasr, tmp_path):
    loaded = load_model("emotion2vec", "cpu")
    assert loaded.judge.startswith("funasr:iic/emotion2vec_plus_large@")
    assert loaded.emotions == ("angry", "happy", "neutral", "<unk>")
    (heard,) = loaded.hear([np.full(8000, 0.3, np.float32)])
    np.testing.assert_allclose(heard.probabilities, [0.1, 0.5, 0.4, 0.0], atol=1e-6)
    np.testing.assert_array_equal(heard.embedding, np.full(6, 8000))
    assert funasr.asked[0]["model"] == "iic/emotion2vec_plus_large"
    assert funasr.asked[0]["device"] == "cpu"
    assert funasr.asked[-1] == {"fs": RATE, "granularity": "utterance", "extract_embedding": True}


def test_a_folder_of_funasr_is_known_by_its_weights(funasr, tmp_path):
    first = load_model(str(tmp_path), "cpu").judge
    assert first.startswith(f"funasr:{tmp_path.name}@")
    assert funasr.asked[0]["model"] == str(tmp_path)
    (tmp_path / "model.pt").write_bytes(b"other weights")
    assert load_model(str(tmp_path), "cpu").judge != first


def test_a_funasr_model_that_cannot_be_had_or_does_something_else(funasr, monkeypatch):
    with pytest.raises(WeightsError, match="FunASR cannot load 'iic/absent': no such model Check the connection"):
        load_model("iic/absent", "cpu")
    monkeypatch.setattr(funasr, "generate", lambda self, clip, **settings: [{"key": "x", "text": "hello"}])
    with pytest.raises(WeightsError, match="'iic/paraformer' is no emotion classifier"):
        load_model("iic/paraformer", "cpu")


def test_a_funasr_model_without_emotions(funasr, monkeypatch):
    monkeypatch.setattr(funasr, "labels", ("a", "b"))
    with pytest.raises(WeightsError, match="its classes are a, b"):
        load_model("iic/emotion2vec_base", "cpu")


def test_without_funasr_the_message_has_the_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "funasr", None)
    with pytest.raises(MissingDependencyError, match=r"tts-eval-harness\[emotion2vec\]"):
        load_model("emotion2vec", "cpu")


def test_labels_by_our_names():
    labels = ["ANG", "anger", "生气/angry", "Surprise", "neu", "joy", "fear", "disgust", "calm", "Excited"]
    assert [emotion_name(label) for label in labels] == [
        "angry", "angry", "angry", "surprised", "neutral", "happy", "fearful", "disgusted", "calm", "excited",
    ]  # fmt: skip
