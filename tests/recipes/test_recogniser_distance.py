"""The recogniser's encoder is Whisper's, and hears words rather than levels."""

import numpy as np
import pytest
import torch

from tts_eval import weights
from tts_eval.errors import WeightsError
from tts_eval.recipes.recogniser_distance import RecogniserDistance
from tts_eval.whisper_encoder import read_ctranslate2


@pytest.fixture(scope="module")
def recogniser() -> RecogniserDistance:
    return RecogniserDistance(weights.locate("whisper-tiny.en") / "model.bin")


def sound(seconds: float, frequency: float) -> torch.Tensor:
    time = torch.arange(int(16_000 * seconds)) / 16_000
    return 0.1 * torch.sin(2 * torch.pi * frequency * time * (1 + 0.1 * time))[None]


def test_it_encodes_as_ctranslate2_does(recogniser):
    import ctranslate2
    from faster_whisper.feature_extractor import FeatureExtractor

    audio = np.zeros(30 * 16_000, np.float32)
    audio[:48_000] = sound(3.0, 300.0)[0].numpy()
    features = FeatureExtractor()(audio, padding=0)[None, :, :3000].astype(np.float32)
    model = ctranslate2.models.Whisper(str(weights.locate("whisper-tiny.en")), compute_type="float32")
    expected = np.array(model.encode(ctranslate2.StorageView.from_array(np.ascontiguousarray(features))))
    with torch.no_grad():
        found = recogniser.encoder(torch.from_numpy(audio)[None]).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_the_distance_is_of_what_is_heard_and_has_a_gradient(recogniser):
    real = sound(1.6, 300.0)
    made = (real + 0.01 * torch.randn(real.shape, generator=torch.Generator().manual_seed(0))).requires_grad_()
    near, far = recogniser(made, real), recogniser(sound(1.6, 800.0), real)
    assert float(recogniser(real, real)) == 0.0 < near.item() < float(far)
    near.backward()
    assert made.grad is not None and bool(made.grad.abs().sum() > 0)
    assert all(parameter.grad is None for parameter in recogniser.parameters())


def test_other_files_are_named(tmp_path):
    path = tmp_path / "model.bin"
    path.write_bytes(b"no model")
    with pytest.raises(WeightsError, match=r"model\.bin is not a CTranslate2 model"):
        read_ctranslate2(path, "encoder/")
