"""With a stand-in for the model; the real one where its weights and voice packs are at hand."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from tts_eval import phonemes, weights
from tts_eval.audio import Clip
from tts_eval.errors import ConfigError, MissingDependencyError, SynthesisError
from tts_eval.limits import limit_notes
from tts_eval.synthesizers import kokoro as module
from tts_eval.synthesizers import load_synthesizer
from tts_eval.synthesizers.kokoro import KokoroSynthesizer
from tts_eval.synthesizers.kokoro_model import ASSET, LONGEST, STYLE_SIZE
from tts_eval.types import FailureKind, FinishReason, Request, Sampling

HELLO = Request(id="hello", text="Hello there")
PACKS = Path(os.environ.get("TTS_EVAL_TEST_KOKORO_VOICES", "/nowhere"))


class Beeps:
    """A tenth of a second for each phoneme."""

    def __init__(self):
        self.asked = []

    def say(self, phonemes, voice):
        self.asked.append((phonemes, voice))
        if not phonemes:
            raise SynthesisError("nothing to say")
        return Clip(np.full(100 * len(phonemes), 0.1, dtype=np.float32), 1000)


def synthesizer(model: Beeps) -> KokoroSynthesizer:
    return KokoroSynthesizer(model, "af_sky", "1", lambda text: text.replace(" ", "").lower())


def test_a_text_is_said_once_for_all_candidates(make_jobs):
    model = Beeps()
    jobs = make_jobs([HELLO, Request(id="other", text="Bye")], 3)
    made = synthesizer(model).generate(jobs)
    assert model.asked == [("hellothere", "af_sky"), ("bye", "af_sky")]
    assert [(c.index, c.seed) for c in made] == [(job.index, job.seed) for job in jobs]
    assert [c.clip.seconds for c in made] == pytest.approx([1.0] * 3 + [0.3] * 3)
    assert len({c.clip.sha256 for c in made}) == 2
    assert made[0].cost.generator_seconds == made[2].cost.generator_seconds > 0


def test_what_cannot_be_said_is_a_failure(make_jobs):
    requests = [Request(id="empty", text=""), Request(id="foreign", text="Hallo", language="de"), HELLO]
    requests.append(Request(id="british", text="Hello", language="en-GB"))
    empty, foreign, good, british = synthesizer(Beeps()).generate(make_jobs(requests, 1))
    assert empty.failure.kind is foreign.failure.kind is FailureKind.SYNTHESIS
    assert "'empty'" in empty.failure.message
    assert "not 'de'" in foreign.failure.message
    assert good.finish is british.finish is FinishReason.EOS


def test_a_clip_that_is_too_long_is_cut(make_jobs):
    (made,) = synthesizer(Beeps()).generate(make_jobs([HELLO], 1, Sampling(max_seconds=0.5)))
    assert made.finish is FinishReason.LENGTH
    assert made.clip.seconds == pytest.approx(0.5)


def test_that_it_draws_nothing_is_said():
    assert "all candidates of a request are the same" in limit_notes(synthesizer(Beeps()), [HELLO])[0]


@pytest.fixture
def packs(tmp_path, monkeypatch) -> Path:
    """Voice packs of zeros, and no model behind them."""
    monkeypatch.setattr(module, "Kokoro", lambda folder, voices, threads: Beeps())
    monkeypatch.setattr(phonemes, "espeak", lambda: None)
    monkeypatch.setattr(module, "version", lambda package: "1.0")
    for number, voice in enumerate(("af_heart", "bm_lewis")):
        (tmp_path / f"{voice}.bin").write_bytes(bytes([number]) * (LONGEST * STYLE_SIZE * 4))
    return tmp_path


def test_the_revision_is_that_of_voice_model_and_phonemes(packs):
    default = load_synthesizer(f"kokoro:,voices={packs}").revision
    other = load_synthesizer(f"kokoro:bm_lewis,voices={packs}").revision
    assert default.startswith(f"af_heart@{weights.fingerprint_of(ASSET)}:")
    assert default.endswith("+phonemes1.0")
    assert other.split(":")[1] != default.split(":")[1]


def test_a_pack_that_is_not_here_comes_from_the_hub(packs, monkeypatch):
    asked = []

    def download(source, purpose, patterns):
        asked.append((source.name, *patterns))
        (packs / "voices").mkdir()
        (packs / "af_heart.bin").rename(packs / "voices" / "af_heart.bin")
        return packs

    monkeypatch.setattr("tts_eval.synthesizers.kokoro_model.download", download)
    load_synthesizer("kokoro")
    assert asked == [("onnx-community/Kokoro-82M-v1.0-ONNX", "voices/af_heart.bin")]


@pytest.mark.parametrize(
    ("argument", "problem"),
    [("af_hart", "af_heart"), ("af_heart,voices=/nowhere", "folder with VOICE.bin"), ("af_heart,voice=x", "'voices'")],
)
def test_what_is_wrong_is_said(argument, problem):
    with pytest.raises(ConfigError, match=problem):
        load_synthesizer(f"kokoro:{argument}")


def test_phonemes_that_cannot_be_had_name_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "piper", None)
    phonemes.espeak.cache_clear()
    with pytest.raises(MissingDependencyError, match="pip install"):
        load_synthesizer("kokoro")


@pytest.mark.real
def test_the_real_model_speaks(make_jobs):
    if not (PACKS.is_dir() and weights.is_present(ASSET)):
        pytest.skip("no Kokoro at hand: fetch its weights, set TTS_EVAL_TEST_KOKORO_VOICES to a folder of voice packs")
    (made,) = load_synthesizer(f"kokoro:af_heart,voices={PACKS}").generate(make_jobs([HELLO], 1))
    assert 0.5 < made.clip.seconds < 2.0
    assert made.clip.peak_dbfs > -20
