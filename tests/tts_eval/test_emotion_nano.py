"""The head that is shipped: it loads, hears clear emotions, says the same every time, and damage is named."""

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from tts_eval import weights
from tts_eval.audio import read_audio
from tts_eval.emotion_features import LOUDNESS, PIECE_SECONDS, RATE, EmotionFeatures, pieces, speech_of
from tts_eval.emotion_nano import EmotionHead, EmotionNano
from tts_eval.errors import WeightsError

SHIPPED = weights.bundled("emotion-nano")


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def nano() -> EmotionNano:
    return EmotionNano.shipped()


def head(**changes) -> EmotionHead:
    random = np.random.default_rng(0)
    parts = {
        "mean": random.normal(size=6),
        "deviation": random.uniform(1, 2, 6),
        "hidden": random.normal(size=(2, 6)),
        "hidden_bias": random.normal(size=2),
        "output": random.normal(size=(3, 2)),
        "output_bias": random.normal(size=3),
    }
    return EmotionHead(("neutral", "happy", "sad"), **{**parts, **changes})


def test_the_bundle_is_small_whole_and_has_a_card():
    assert 0 < SHIPPED.megabytes < 2
    assert SHIPPED.sha256 and not SHIPPED.damaged_files()
    assert {path.name for path in SHIPPED.folder.iterdir()} == {"MODEL_CARD.md", *SHIPPED.sha256}
    card = (SHIPPED.folder / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert all(part in card for part in (*SHIPPED.licence.split(", "), "RAVDESS", "UAR", "Limits"))


# Strong intensity, actors of all four folds. One clip of one actor proves little: most of these must be right.
CLEAR = [
    f"Actor_{actor:02}/03-01-{code:02}-{1 + (code > 1):02}-01-01-{actor:02}"
    for actor in (3, 10, 14, 23)
    for code in (1, 3, 4, 5, 8)
]


@pytest.mark.real
def test_it_hears_what_clear_clips_say_and_says_it_again(nano, data):
    names = {1: "neutral", 3: "happy", 4: "sad", 5: "angry", 8: "surprised"}
    paths = [data / "RAVDESS" / f"{name}.opus" for name in CLEAR]
    if not all(path.is_file() for path in paths):
        pytest.skip("no RAVDESS at hand")
    clips = [read_audio(path).at(RATE) for path in paths]
    heard = nano.hear(clips)
    labels = [names[int(path.stem[6:8])] for path in paths]
    right = [nano.emotions[each.probabilities.argmax()] == name for each, name in zip(heard, labels, strict=True)]
    assert np.mean(right) >= 0.9
    (again,) = nano.hear([clips[7]])
    np.testing.assert_array_equal(again.probabilities, heard[7].probabilities)
    np.testing.assert_array_equal(again.embedding, heard[7].embedding)
    (quiet,) = nano.hear([np.pad(clips[7] * np.float32(0.05), 8000)])
    np.testing.assert_allclose(quiet.probabilities, heard[7].probabilities, atol=0.1)


@pytest.mark.real
@pytest.mark.parametrize("seconds", [0.1, 0.3, 9.0])
def test_any_length_has_probabilities(nano, seconds):
    noise = np.random.default_rng(0).normal(0, 0.1, round(seconds * RATE)).astype(np.float32)
    (heard,) = nano.hear([noise])
    assert heard.probabilities.sum() == pytest.approx(1.0)
    assert np.isfinite(heard.embedding).all()


def test_speech_is_cut_out_levelled_and_parted_evenly():
    loud = np.random.default_rng(0).normal(0, 0.3, 9 * RATE).astype(np.float32)
    silence = np.zeros(RATE, np.float32)
    speech = speech_of(np.concatenate([silence, loud, silence]))
    assert np.sqrt(np.mean(speech**2)) == pytest.approx(LOUDNESS, rel=0.01)
    assert len(speech) / RATE == pytest.approx(9.0, abs=0.1)
    parts = pieces(np.concatenate([silence, loud, silence]))
    assert len(parts) == 3
    assert max(map(len, parts)) <= PIECE_SECONDS * RATE
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_a_head_is_softmax_of_a_linear_map_of_cut_deviations():
    made = head()
    row = np.array([50.0, -50.0, 0.1, 0.2, 0.3, 0.4])
    z = [max(-5.0, min(5.0, (v - m) / d)) for v, m, d in zip(row, made.mean, made.deviation, strict=True)]
    embedding = [sum(w * v for w, v in zip(weights_, z, strict=True)) for weights_ in made.hidden] + made.hidden_bias
    powers = np.exp([float(np.dot(w, embedding)) for w in made.output] + made.output_bias)
    probabilities, embeddings = made(row[None])
    np.testing.assert_allclose(embeddings[0], embedding)
    np.testing.assert_allclose(probabilities[0], powers / powers.sum())


def test_a_head_survives_its_file(tmp_path):
    made, rows = head(), np.random.default_rng(1).normal(size=(4, 6))
    made.save(tmp_path / "head.safetensors")
    made.save(tmp_path / "again.safetensors")
    assert (tmp_path / "head.safetensors").read_bytes() == (tmp_path / "again.safetensors").read_bytes()
    read = EmotionHead.load(tmp_path / "head.safetensors")
    assert read.emotions == made.emotions
    np.testing.assert_allclose(read(rows)[0], made(rows)[0], atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"output": np.zeros((2, 2))}, "output has shape"),
        ({"hidden": np.zeros((2, 5))}, "hidden has shape"),
        ({"mean": np.full(6, np.nan)}, "mean has shape"),
    ],
)
def test_a_head_that_does_not_fit_together_is_refused(tmp_path, changes, reason):
    head(**changes).save(tmp_path / "head.safetensors")
    with pytest.raises(WeightsError, match=rf"is no head of emotion-nano \({reason}.*tts_eval\.recipes\.emotion"):
        EmotionHead.load(tmp_path / "head.safetensors")


def test_other_files_are_no_heads(tmp_path):
    path = tmp_path / "head.safetensors"
    with pytest.raises(WeightsError, match=r"head\.safetensors is no head"):
        EmotionHead.load(path)
    path.write_bytes(b"no tensors")
    with pytest.raises(WeightsError, match=r"head\.safetensors is no head"):
        EmotionHead.load(path)
    save_file({"mean": np.zeros(6, np.float32)}, path)
    with pytest.raises(WeightsError, match="it is not marked as emotion-nano@1"):
        EmotionHead.load(path)


@pytest.mark.real
def test_a_head_for_other_features_is_refused():
    features = EmotionFeatures(weights.locate("whisper-tiny.en") / "model.bin")
    with pytest.raises(WeightsError, match="reads 6 features, and there are 3100"):
        EmotionNano(head(), features, "x")


def test_without_the_encoder_the_command_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("TTS_EVAL_HOME", str(tmp_path))
    with pytest.raises(WeightsError, match=r"tts-eval fetch whisper-tiny\.en"):
        EmotionNano.shipped()
