from pathlib import Path

import numpy as np
import pytest
import torch

from tts_eval.audio import Clip, write_audio
from tts_eval.recipes import clips


class FakeEncoder:
    """A voice for every clip that is not silent."""

    def embed(self, clips_16k):
        return [np.full(256, 1 / 16, np.float32) if np.abs(samples).max() else None for samples in clips_16k]


@pytest.fixture(autouse=True, scope="package")
def one_thread():
    """Tiny models are slower on many threads, far slower where other work wants the cores as well."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def fake_encoder(monkeypatch):
    monkeypatch.setattr(clips, "speaker_encoder", FakeEncoder)


@pytest.fixture(scope="session")
def data_of_noise(tmp_path_factory) -> Path:
    """Ten voices of noise, one of which no training hears, and a silent clip."""
    folder = tmp_path_factory.mktemp("data") / "corpus"
    random = np.random.default_rng(0)
    rows = ["id\tvoice\tseconds\ttext\tphonemes"]
    for number in range(20):
        voice = "af_nova" if number % 10 == 0 else f"voice{number % 10}"
        seconds = 2.0 + 0.1 * number
        samples = 0.1 * random.standard_normal(int(16_000 * seconds)) * (number != 11)
        (folder / voice).mkdir(parents=True, exist_ok=True)
        write_audio(folder / voice / f"{number}.wav", Clip(samples, 16_000))
        rows.append(f"{number}\t{voice}\t{seconds:.2f}\tNumber {number}\tnˈʌmbɚ wˈʌn")
    (folder / "metadata.tsv").write_text("\n".join(rows))
    return folder
