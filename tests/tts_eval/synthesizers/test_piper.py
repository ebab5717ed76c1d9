import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tts_eval import weights
from tts_eval.errors import ConfigError, SynthesisError
from tts_eval.synthesizers import load_synthesizer
from tts_eval.synthesizers.noise_stages import load_stages
from tts_eval.synthesizers.piper import EMBEDDED, PiperSynthesizer
from tts_eval.types import Candidate, FailureKind, FinishReason, Job, Request, Sampling

pytestmark = pytest.mark.real

SHORT = Request(id="short", text="Good morning.")
LONG = Request(id="long", text="The bell rang twice. Nobody came to the door, so we left a note.")


@pytest.fixture(scope="module")
def piper() -> PiperSynthesizer:
    synthesizer = load_synthesizer("piper")
    assert isinstance(synthesizer, PiperSynthesizer)
    return synthesizer


def voice_file() -> Path:
    return weights.locate(EMBEDDED) / "en_US-joe-medium.onnx"


def same(first: Candidate, second: Candidate) -> bool:
    return np.array_equal(first.clip.samples, second.clip.samples)


def test_audio_is_the_same_in_any_order_and_batch(piper, make_jobs: Callable[..., list[Job]]):
    jobs = make_jobs([SHORT, LONG], 3)
    together = piper.generate(jobs)
    reversed_order = piper.generate(jobs[::-1])[::-1]
    alone = [piper.generate([job])[0] for job in jobs]
    assert all(same(a, b) and same(a, c) for a, b, c in zip(together, reversed_order, alone, strict=True))


def test_one_thread_or_several_make_the_same_audio(piper, make_jobs):
    jobs = make_jobs([SHORT], 2)
    single = PiperSynthesizer(voice_file(), threads=1)
    assert all(same(a, b) for a, b in zip(piper.generate(jobs), single.generate(jobs), strict=True))


def test_other_seeds_sound_different(piper, make_jobs):
    first, second = piper.generate(make_jobs([SHORT], 2))
    assert first.clip.sha256 != second.clip.sha256


def test_temperature_scales_the_noise_and_zero_is_deterministic(piper, make_jobs):
    cold = piper.generate(make_jobs([SHORT], 3, Sampling(temperature=0.0)))
    assert same(cold[0], cold[1])
    usual = piper.generate(make_jobs([LONG], 1, Sampling(temperature=0.0)))[0].clip.seconds

    def distance(temperature: float) -> float:
        made = piper.generate(make_jobs([LONG], 6, Sampling(temperature=temperature)))
        return float(np.mean([abs(candidate.clip.seconds - usual) for candidate in made]))

    assert 0 < distance(0.2) < distance(1.5)


def test_the_cut_graph_says_what_the_whole_graph_says(piper):
    """Without noise the original ONNX file, run as one session, gives the same speech."""
    import onnxruntime

    ids = piper._phoneme_ids(SHORT.text)[0]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    whole = onnxruntime.InferenceSession(str(voice_file()), options, providers=["CPUExecutionProvider"])
    expected = whole.run(
        None,
        {
            "input": np.array([ids], dtype=np.int64),
            "input_lengths": np.array([len(ids)], dtype=np.int64),
            "scales": np.array([0.0, 1.0, 0.0], dtype=np.float32),
        },
    )[0].reshape(-1)
    job = Job(request=SHORT, index=0, seed=1, sampling=Sampling(temperature=0.0))
    made = piper.generate([job])[0].clip.samples
    np.testing.assert_allclose(made, np.clip(expected, -1, 1), atol=1e-4)


def test_a_candidate_longer_than_allowed_is_cut_and_says_so(piper, make_jobs):
    candidate = piper.generate(make_jobs([LONG], 1, Sampling(max_seconds=1.0)))[0]
    assert candidate.finish is FinishReason.LENGTH
    assert candidate.clip.seconds == pytest.approx(1.0, abs=0.01)
    assert piper.generate(make_jobs([LONG], 1))[0].finish is FinishReason.EOS


def test_an_endless_sentence_is_cut_before_it_fills_the_memory(piper, make_jobs):
    endless = Request(id="endless", text="and on and on " * 2000)
    (candidate,) = piper.generate(make_jobs([endless], 1, Sampling(max_seconds=2.0)))
    assert candidate.finish is FinishReason.LENGTH
    assert candidate.clip.seconds == pytest.approx(2.0, abs=0.01)


@pytest.mark.parametrize("text", ["", "   ", "...", "?!"])
def test_nothing_to_say_is_a_failure_and_not_a_crash(piper, make_jobs, text):
    bad, good = piper.generate(make_jobs([Request(id="bad", text=text), SHORT], 1))
    assert bad.failure.kind is FailureKind.SYNTHESIS
    assert "'bad'" in bad.failure.message
    assert good.clip is not None


def test_costs_add_up_to_the_wall_time(piper, make_jobs):
    import time

    started = time.perf_counter()
    made = piper.generate(make_jobs([LONG], 4))
    wall = time.perf_counter() - started
    assert sum(c.cost.generator_seconds for c in made) == pytest.approx(wall, rel=0.25)
    assert all(c.cost.audio_seconds == c.clip.seconds for c in made)


def test_any_voice_file_is_accepted_and_is_another_revision(piper, tmp_path: Path, make_jobs):
    (tmp_path / "mine.onnx").symlink_to(voice_file())
    config = json.loads(voice_file().with_name(f"{voice_file().name}.json").read_text())
    config["inference"]["length_scale"] = 1.5
    (tmp_path / "mine.onnx.json").write_text(json.dumps(config))
    slow = load_synthesizer(f"piper:{tmp_path / 'mine.onnx'}")
    assert slow.revision != piper.revision
    jobs = make_jobs([SHORT], 1, Sampling(temperature=0.0))
    assert slow.generate(jobs)[0].clip.seconds > 1.2 * piper.generate(jobs)[0].clip.seconds


def test_bad_voices_are_refused_before_anything_is_made(tmp_path: Path):
    with pytest.raises(ConfigError, match="No Piper voice at"):
        load_synthesizer(f"piper:{tmp_path / 'nowhere.onnx'}")
    with pytest.raises(ConfigError, match="has one speaker"):
        load_synthesizer(f"piper:{voice_file()}@7")
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"not a model")
    (tmp_path / "broken.onnx.json").write_text("{}")
    with pytest.raises(ConfigError, match="not a Piper voice config"):
        load_synthesizer(f"piper:{broken}")
    (tmp_path / "broken.onnx.json").write_text(voice_file().with_name(f"{voice_file().name}.json").read_text())
    with pytest.raises(SynthesisError, match="is not an ONNX voice"):
        load_synthesizer(f"piper:{broken}")


def test_noise_that_cannot_be_fed_is_refused(tmp_path: Path):
    import onnx

    node = onnx.helper.make_node("RandomUniformLike", ["x"], ["y"])
    value = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "xy"]
    graph = onnx.helper.make_graph([node], "g", value[:1], value[1:])
    onnx.save(onnx.helper.make_model(graph), str(tmp_path / "v.onnx"))
    with pytest.raises(SynthesisError, match="RandomUniformLike"):
        load_stages(tmp_path / "v.onnx")


def test_noise_enters_where_the_random_node_was(tmp_path: Path):
    """y = x + noise * 3 + 2: the noise of the stage is the node's, with its mean and scale."""
    import onnx

    nodes = [
        onnx.helper.make_node("Relu", ["x"], ["r"]),
        onnx.helper.make_node("RandomNormalLike", ["r"], ["n"], mean=2.0, scale=3.0),
        onnx.helper.make_node("Add", ["r", "n"], ["y"]),
    ]
    value = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["t"]) for name in "xy"]
    graph = onnx.helper.make_graph(nodes, "g", value[:1], value[1:])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 15)], ir_version=8)
    onnx.save(model, str(tmp_path / "v.onnx"))
    first, second = load_stages(tmp_path / "v.onnx")
    tensors = {"x": np.array([1.0, -1.0], dtype=np.float32)}
    tensors |= first.run(tensors)
    (noise,) = first.noise
    tensors[noise.output] = noise.draw(tensors, np.random.default_rng(0))
    standard = np.random.default_rng(0).standard_normal(2, dtype=np.float32)
    np.testing.assert_allclose(second.run(tensors)["y"], np.array([1.0, 0.0]) + standard * 3 + 2, rtol=1e-6)
