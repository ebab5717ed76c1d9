"""UTMOS against its equations in numpy, on a small random checkpoint in the published layout."""

from pathlib import Path

import numpy as np
import pytest
from random_weights import RandomWeights
from synthetic_voice import synthetic_voice
from wavlm_ecapa_numpy import affine_map, convolve, gelu, layer_norm, sigmoid, softmax

from tts_eval.audio import Clip
from tts_eval.errors import ConfigError, WeightsError
from tts_eval.types import FailureKind

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from verifiers.quality import create  # noqa: E402
from verifiers.utmos import Utmos, wav2vec2_settings  # noqa: E402

CONV, HIDDEN, INNER, LAYERS, POSITIONS, GROUPS = 8, 128, 48, 2, 6, 4
DOMAIN, JUDGE, RECURRENT, PROJECTED = 3, 5, 7, 11
KERNELS, STRIDES = (10, 3, 3, 3, 3, 2, 2), (5, 2, 2, 2, 2, 2, 2)
State = dict[str, np.ndarray]


def random_state(seed: int = 3) -> State:
    weights = RandomWeights(seed)
    weights.normal("domain_emb", 1, DOMAIN, scale=1.0)
    weights.normal("judge_emb", 1, JUDGE, scale=1.0)
    for index, kernel in enumerate(KERNELS):
        weights.normal(f"wav2vec2.feature_extractor.conv_layers.{index}.0.weight", CONV, CONV if index else 1, kernel)
    weights.affine("wav2vec2.feature_extractor.conv_layers.0.2", CONV)
    weights.affine("wav2vec2.layer_norm", CONV)
    weights.linear("wav2vec2.post_extract_proj", HIDDEN, CONV)
    weights.normal("wav2vec2.mask_emb", HIDDEN)
    weights.normal("wav2vec2.encoder.pos_conv.0.bias", HIDDEN, scale=0.2)
    weights.normal("wav2vec2.encoder.pos_conv.0.weight_g", 1, 1, POSITIONS, scale=1.0)
    weights.normal("wav2vec2.encoder.pos_conv.0.weight_v", HIDDEN, HIDDEN // GROUPS, POSITIONS)
    weights.affine("wav2vec2.encoder.layer_norm", HIDDEN)
    for index in range(LAYERS):
        base = f"wav2vec2.encoder.layers.{index}"
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            weights.linear(f"{base}.self_attn.{part}", HIDDEN, HIDDEN)
        weights.affine(f"{base}.self_attn_layer_norm", HIDDEN)
        weights.linear(f"{base}.fc1", INNER, HIDDEN)
        weights.linear(f"{base}.fc2", HIDDEN, INNER)
        weights.affine(f"{base}.final_layer_norm", HIDDEN)
    for end in ("", "_reverse"):
        weights.normal(f"blstm.weight_ih_l0{end}", 4 * RECURRENT, HIDDEN + DOMAIN + JUDGE)
        weights.normal(f"blstm.weight_hh_l0{end}", 4 * RECURRENT, RECURRENT)
        weights.normal(f"blstm.bias_ih_l0{end}", 4 * RECURRENT, scale=0.3)
        weights.normal(f"blstm.bias_hh_l0{end}", 4 * RECURRENT, scale=0.3)
    weights.linear("projection.0", PROJECTED, 2 * RECURRENT)
    weights.linear("projection.2", 1, PROJECTED)
    return weights.state


def opinion(state: State, samples: np.ndarray) -> float:
    """The whole model as equations, one clip in float64."""
    state = {name: np.asarray(value, np.float64) for name, value in state.items()}
    frames = samples.astype(np.float64)[None, :]
    for index, stride in enumerate(STRIDES):
        base = f"wav2vec2.feature_extractor.conv_layers.{index}"
        frames = convolve(frames, state[f"{base}.0.weight"], None, stride=stride)
        if index == 0:
            frames = (frames - frames.mean(1, keepdims=True)) / np.sqrt(frames.var(1, keepdims=True) + 1e-5)
            frames = frames * state[f"{base}.2.weight"][:, None] + state[f"{base}.2.bias"][:, None]
        frames = gelu(frames)
    x = affine_map(state, "wav2vec2.post_extract_proj", layer_norm(state, "wav2vec2.layer_norm", frames.T))
    direction = state["wav2vec2.encoder.pos_conv.0.weight_v"]
    kernel = direction / np.sqrt(np.square(direction).sum(axis=(0, 1), keepdims=True))
    kernel = kernel * state["wav2vec2.encoder.pos_conv.0.weight_g"]
    share = HIDDEN // GROUPS
    placed = np.concatenate([
        convolve(x.T[g * share : (g + 1) * share], kernel[g * share : (g + 1) * share], None, padding=POSITIONS // 2)
        for g in range(GROUPS)
    ])[:, : len(x)]  # fmt: skip
    x = layer_norm(
        state, "wav2vec2.encoder.layer_norm", x + gelu(placed + state["wav2vec2.encoder.pos_conv.0.bias"][:, None]).T
    )
    for index in range(LAYERS):
        base = f"wav2vec2.encoder.layers.{index}"
        x = layer_norm(state, f"{base}.self_attn_layer_norm", x + attend(state, f"{base}.self_attn", x))
        inner = gelu(affine_map(state, f"{base}.fc1", x))
        x = layer_norm(state, f"{base}.final_layer_norm", x + affine_map(state, f"{base}.fc2", inner))
    context = np.concatenate([state["domain_emb"], state["judge_emb"]], axis=1)
    x = np.concatenate([x, np.repeat(context, len(x), axis=0)], axis=1)
    both = np.concatenate([recur(state, "", x), recur(state, "_reverse", x[::-1])[::-1]], axis=1)
    scores = affine_map(state, "projection.2", np.maximum(affine_map(state, "projection.0", both), 0))
    return float(scores.mean()) * 2 + 3


def attend(state: State, base: str, x: np.ndarray) -> np.ndarray:
    query, key, value = (affine_map(state, f"{base}.{part}_proj", x) for part in "qkv")
    heads = [slice(start, start + 64) for start in range(0, HIDDEN, 64)]
    out = [softmax(query[:, own] @ key[:, own].T / 8.0, axis=1) @ value[:, own] for own in heads]
    return affine_map(state, f"{base}.out_proj", np.concatenate(out, axis=1))


def recur(state: State, end: str, x: np.ndarray) -> np.ndarray:
    hidden, cell, said = np.zeros(RECURRENT), np.zeros(RECURRENT), []
    for row in x:
        gates = state[f"blstm.weight_ih_l0{end}"] @ row + state[f"blstm.bias_ih_l0{end}"]
        gates = gates + state[f"blstm.weight_hh_l0{end}"] @ hidden + state[f"blstm.bias_hh_l0{end}"]
        enter, keep, change, out = np.split(gates, 4)
        cell = sigmoid(keep) * cell + sigmoid(enter) * np.tanh(change)
        hidden = sigmoid(out) * np.tanh(cell)
        said.append(hidden)
    return np.array(said)


def save(path: Path, state: State) -> Path:
    torch.save({name: torch.from_numpy(np.array(value)) for name, value in state.items()}, path)
    return path


def voices(*seconds: float) -> list[np.ndarray]:
    made = [synthetic_voice(110 + 30 * i, [(500, 120), (1500, 200)], 1.5, i) for i in range(len(seconds))]
    return [voice[: int(16_000 * length)] for voice, length in zip(made, seconds, strict=True)]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    return save(tmp_path_factory.mktemp("utmos") / "utmos22_strong_step7459_v1.pt", random_state())


def test_opinions_are_those_of_the_equations(checkpoint):
    audio = voices(1.0, 0.63, 1.2)
    expected = [opinion(random_state(), clip) for clip in audio]
    assert len({round(value, 3) for value in expected}) == 3
    assert Utmos(checkpoint, torch.device("cpu")).rate(audio) == pytest.approx(expected, abs=1e-4)


def test_no_opinion_is_below_that_of_a_clip_that_is_missing(tmp_path):
    state = random_state()
    state["projection.2.bias"] = np.full(1, -9.0, np.float32)
    model = Utmos(save(tmp_path / "low.pt", state), torch.device("cpu"))
    assert model.rate(voices(0.5)) == [1.0]


def test_the_verifier_reports_utmos_and_names_its_file(checkpoint, make_item):
    verifier = create(f"{checkpoint},device=cpu")
    (metric,) = verifier.metrics
    assert (metric.name, metric.protocol, metric.worst) == ("utmos", "utmos22-strong@1", 1.0)
    assert verifier.judge.startswith("utmos22:utmos22_strong_step7459_v1.pt@")
    good, short = Clip(voices(0.7)[0], 16_000), Clip(voices(0.02)[0], 16_000)
    first, second = verifier.score([make_item(good), make_item(short)])
    assert first.value == pytest.approx(opinion(random_state(), voices(0.7)[0]), abs=1e-4)
    assert second.failure.kind is FailureKind.SHORT


def test_the_shortest_clip_is_heard(checkpoint):
    model = Utmos(checkpoint, torch.device("cpu"))
    (value,) = model.rate([voices(1.0)[0][: int(16_000 * model.shortest_seconds)]])
    assert np.isfinite(value)


def test_the_published_sizes_are_those_of_wav2vec_base():
    shapes = {
        **{f"feature_extractor.conv_layers.{i}.conv.weight": (512, 512 if i else 1, k) for i, k in enumerate(KERNELS)},
        "encoder.pos_conv_embed.conv.parametrizations.weight.original1": (768, 48, 128),
        "encoder.layers.0.feed_forward.intermediate_dense.weight": (3072, 768),
        **{f"encoder.layers.{i}.layer_norm.weight": (768,) for i in range(12)},
    }
    settings = wav2vec2_settings({name: np.empty(shape) for name, shape in shapes.items()})
    assert settings.pop("mask_time_prob") > 0
    assert settings == {
        "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072,
        "conv_dim": [512] * 7, "conv_kernel": list(KERNELS), "conv_stride": list(STRIDES),
        "num_conv_pos_embeddings": 128, "num_conv_pos_embedding_groups": 16,
    }  # fmt: skip


@pytest.mark.parametrize(
    "broken",
    [
        lambda state: state.pop("wav2vec2.encoder.layers.1.fc1.bias"),
        lambda state: state.pop("judge_emb"),
        lambda state: state.pop("blstm.bias_hh_l0_reverse"),
        lambda state: state.update({"surplus.weight": np.zeros(2, np.float32)}),
        lambda state: state.update({"projection.2.weight": np.zeros((2, PROJECTED), np.float32)}),
    ],
)
def test_a_checkpoint_of_another_layout_is_refused(broken, tmp_path):
    state = random_state()
    broken(state)
    with pytest.raises(WeightsError, match="utmos22_strong_step7459_v1"):
        Utmos(save(tmp_path / "other.pt", state), torch.device("cpu"))


def test_a_file_that_would_run_code_is_refused(tmp_path):
    class Malice:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    torch.save({"model": Malice()}, tmp_path / "malice.pt")
    with pytest.raises(WeightsError, match="nothing but tensors"):
        create(str(tmp_path / "malice.pt"))
    assert not (tmp_path / "ran").exists()


def test_options_that_nothing_heeds_are_refused(checkpoint):
    with pytest.raises(ConfigError, match="speed"):
        create("fast,speed=2")
    with pytest.raises(ConfigError, match="CPU only"):
        create("fast,device=cuda")
    with pytest.raises(ConfigError, match="CUDA"):
        create(f"{checkpoint},device=cuda:99")
