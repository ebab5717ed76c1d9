"""CAM++ against its equations in numpy, the layout of its checkpoint, and the published weights on real voices."""

from dataclasses import replace
from pathlib import Path

import campplus_numpy as equations
import numpy as np
import pytest
import soundfile
from synthetic_voice import synthetic_voice

from tts_eval import weights
from tts_eval.audio import Clip
from tts_eval.errors import WeightsError
from tts_eval.kaldi_fbank import kaldi_fbank
from tts_eval.types import FailureKind, Prompt
from verifiers.speaker import PARTIAL_SECONDS, create

torch = pytest.importorskip("torch")

from verifiers import campplus  # noqa: E402
from verifiers.campplus import CamPlusPlusEncoder  # noqa: E402

CPU = torch.device("cpu")


def save(path: Path, state: equations.State) -> Path:
    torch.save({name: torch.from_numpy(np.array(value)) for name, value in state.items()}, path)
    return path


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A small checkpoint and the encoder that loaded it, which takes clips together as on a GPU."""
    state = equations.random_state(3)
    path = save(tmp_path_factory.mktemp("campplus") / "small.pt", state)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(campplus, "most_together", lambda device, most: most)
        return state, CamPlusPlusEncoder(path, CPU)


@pytest.fixture(scope="module")
def verifier():
    return create("campplus,device=cpu")


def clips(*seconds: float) -> list[np.ndarray]:
    voices = [synthetic_voice(100 + 20 * i, [(500, 120), (1500, 200)], 4.6, i) for i in range(len(seconds))]
    return [voice[: int(16_000 * length)] for voice, length in zip(voices, seconds, strict=True)]


def unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


def test_embeddings_are_those_of_the_equations(small):
    state, encoder = small
    # Beyond 2 and 4 s begin new segments; 3.01 s leaves the last with one frame at half rate.
    audio = clips(1.0, 4.6, 2.5, 3.01, 0.3)
    for found, clip in zip(encoder.embed(audio), audio, strict=True):
        features = kaldi_fbank(clip, equations.BANDS).astype(np.float64)
        expected = equations.embedding(state, features - features.mean(axis=0))
        np.testing.assert_allclose(found, unit(expected), atol=1e-5)


def test_a_batch_does_not_change_an_embedding(small, monkeypatch):
    _, encoder = small
    audio = clips(0.4, 4.5, 2.1, 0.05, 2.02, 4.5)
    monkeypatch.setattr(encoder, "_most_samples", 10**9)
    together = np.array(encoder.embed(audio))
    alone = np.array([encoder.embed([clip])[0] for clip in audio])
    monkeypatch.setattr(encoder, "_most_samples", 70_000)
    in_small_batches = np.array(encoder.embed(audio[::-1]))[::-1]
    np.testing.assert_allclose(together, alone, atol=2e-6)
    np.testing.assert_allclose(in_small_batches, alone, atol=2e-6)


def test_batches_are_bounded(small, monkeypatch):
    _, encoder = small
    sizes = []
    batch = encoder._batch
    monkeypatch.setattr(encoder, "_batch", lambda features: sizes.append(len(features)) or batch(features))
    encoder.embed(clips(*[4.5] * 5, 1.0, 1.0))
    assert sizes == [4, 3]
    assert campplus.MAX_BATCH_SECONDS == 20


def test_the_shortest_clip_has_an_embedding(small):
    _, encoder = small
    length = round(encoder.shortest_seconds * 16_000)
    (voice,) = encoder.embed([clips(1.0)[0][:length]])
    assert np.isfinite(voice).all()
    with pytest.raises(ValueError, match="finite"):
        encoder.embed([clips(1.0)[0][: length - 1]])


@pytest.mark.parametrize(
    "broken",
    [
        lambda state: state.pop("head.conv1.weight"),
        lambda state: state.pop("xvector.block2.tdnnd3.cam_layer.linear1.bias"),
        lambda state: state.pop("xvector.dense.nonlinear.batchnorm.running_mean"),
        lambda state: state.update({"surplus": np.zeros(2, np.float32)}),
        lambda state: state.update({"xvector.transit1.linear.weight": np.zeros((3, 3, 1), np.float32)}),
        lambda state: state.clear(),
    ],
)
def test_a_checkpoint_of_another_layout_is_refused(broken, tmp_path):
    state = equations.random_state(0)
    broken(state)
    with pytest.raises(WeightsError, match="tts-eval fetch campplus"):
        CamPlusPlusEncoder(save(tmp_path / "other.pt", state), CPU)


def test_a_file_that_would_run_code_is_refused(tmp_path):
    class Malice:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    torch.save({"head.conv1.weight": Malice()}, tmp_path / "malice.pt")
    with pytest.raises(WeightsError, match=r"malice\.pt"):
        CamPlusPlusEncoder(tmp_path / "malice.pt", CPU)
    assert not (tmp_path / "ran").exists()


def test_missing_weights_name_the_command(monkeypatch, tmp_path):
    monkeypatch.setenv("TTS_EVAL_HOME", str(tmp_path))
    with pytest.raises(WeightsError, match="tts-eval fetch campplus"):
        create("campplus")


@pytest.mark.real
def test_the_judge_is_named_after_its_weights(verifier):
    assert verifier.judge == f"campplus:{weights.fingerprint('campplus')}"
    assert [metric.worst for metric in verifier.metrics] == [-1.0]


@pytest.mark.real
def test_real_speakers_are_told_apart(verifier, data: Path, make_item):
    folders = sorted((data / "LibriSpeech/train-clean-5").iterdir())[:6]
    files = [sorted(folder.rglob("*.flac"))[:2] for folder in folders]
    voices = [[Clip(*soundfile.read(file, dtype="float32")) for file in pair] for pair in files]
    items = [make_item(first, prompt=Prompt(audio=second)) for first, _ in voices for _, second in voices]
    values = np.array([score.value for score in verifier.score(items)]).reshape(len(voices), len(voices))
    same, others = np.diag(values), values[~np.eye(len(voices), dtype=bool)]
    assert same.min() > others.max() + 0.1


@pytest.mark.real
def test_a_batch_of_real_weights_does_not_change_an_embedding(verifier):
    encoder = verifier._encoder
    audio = clips(0.6, 4.6, 2.3)
    together = np.array(encoder.embed(audio))
    alone = np.array([encoder.embed([clip])[0] for clip in audio])
    assert together.shape == (3, 192)
    np.testing.assert_allclose(together, alone, atol=2e-6)


@pytest.mark.real
def test_unfinished_short_and_silent_candidates_fail_by_their_kind(verifier, make_item):
    prompt = Prompt(audio=Clip(clips(2.0)[0], 16_000))
    voice = clips(4.0)[0]

    def item(seconds: float, *, partial: bool = False, gain: float = 1.0):
        clip = Clip(voice[: round(seconds * 16_000)] * np.float32(gain), 16_000)
        return replace(make_item(clip, prompt=prompt), partial=partial)

    unfinished = PARTIAL_SECONDS - 0.1
    items = [item(unfinished, partial=True), item(3.0, partial=True), item(0.04), item(3.0, gain=0), item(unfinished)]
    found = [score.failure and score.failure.kind for score in verifier.score(items)]
    assert found == [FailureKind.UNDECIDED, None, FailureKind.SHORT, FailureKind.SILENT, None]


@pytest.mark.real
def test_the_codecs_resynthesis_of_the_prompt_is_a_second_reference(make_item, monkeypatch):
    from tts_eval.synthesizers import codec_resynthesis
    from tts_eval.synthesizers.llasa import loading

    def softer(codec, clip: Clip):
        return codec_resynthesis.Resynthesis(Clip(np.tanh(8 * clip.samples) / 8, clip.rate), np.zeros(1))

    monkeypatch.setattr(codec_resynthesis, "resynthesise", softer)
    monkeypatch.setattr(loading, "load_codec", lambda source, device: loading.LoadedCodec(codec=None, revision="tilt"))
    both = create("campplus,reference=someone/codec,device=cpu")
    assert both.judge == f"campplus:{weights.fingerprint('campplus')}+codec:tilt"
    first, second = (Clip(samples, 16_000) for samples in clips(2.0, 2.5))
    (score,) = both.score([make_item(first, prompt=Prompt(audio=second))])
    (alone,) = both.score([make_item(first, prompt=Prompt(audio=softer(None, second).clip))])
    assert score.values["sim_r"] == pytest.approx(alone.values["sim"], abs=1e-5)
    assert abs(score.values["sim"] - score.values["sim_r"]) > 1e-3
