"""Paraformer through a stand-in for FunASR: what is asked of it, and what is made of its answers."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tts_eval.audio import Clip
from tts_eval.errors import ConfigError, MissingDependencyError, WeightsError
from tts_eval.types import FailureKind
from verifiers import load_verifier
from verifiers.paraformer import load
from verifiers.recognition import RATE, Utterance


class AutoModel:
    """Says what the clip's first sample says, in traditional characters and with spaces; silent clips give nothing."""

    folder: Path
    made: list[dict[str, Any]]

    def __init__(self, **options: Any) -> None:
        if options["model"] == "iic/absent":
            raise RuntimeError("no such model\nand a long trace")
        self.made.append(options)
        self.model_path = str(self.folder)

    def generate(self, input: list[np.ndarray], **options: Any) -> list[dict[str, str]]:
        assert len(input) == options["batch_size"] == 1
        return [{"key": "x", "text": "我 愛 你 們"}] if input[0][0] > 0 else []


@pytest.fixture
def funasr(monkeypatch, tmp_path) -> type[AutoModel]:
    (tmp_path / "model.pt").write_bytes(b"weights")
    fake = type("AutoModel", (AutoModel,), {"folder": tmp_path, "made": []})
    monkeypatch.setitem(sys.modules, "funasr", SimpleNamespace(AutoModel=fake))
    simplify = str.maketrans("愛們", "爱们")
    monkeypatch.setitem(sys.modules, "zhconv", SimpleNamespace(convert=lambda text, locale: text.translate(simplify)))
    return fake


def clip(level: float = 0.1) -> Clip:
    return Clip(np.full(RATE, level, np.float32), RATE)


def test_chinese_speech_is_scored_in_characters(funasr, make_item):
    verifier = load_verifier("asr:funasr:paraformer-zh:seed-tts@1")
    right, wrong, unheard, english = verifier.score(
        [
            make_item(clip(), "我爱你们。", language="zh"),
            make_item(clip(), "我爱他们！", language="zh-CN"),
            make_item(clip(-0.1), "我爱你们", language="zh"),
            make_item(clip(), "I love you", language="en"),
        ]
    )
    assert [score.value for score in (right, wrong, unheard)] == [0.0, 0.25, 1.0]
    assert right.values["reference_words"] == 4
    assert english.failure is not None
    assert english.failure.kind is FailureKind.NO_REFERENCE
    assert right.judge.startswith("funasr:paraformer-zh@")
    assert right.judge.endswith(":seed-tts@1")


def test_it_has_no_likelihood(funasr):
    verifier = load_verifier("asr:funasr:seed-tts@1")
    assert [metric.name for metric in verifier.metrics] == ["wer", "corpus_wer"]
    with pytest.raises(ConfigError, match="gives no likelihood of a text"):
        load_verifier("likelihood:funasr")


def test_an_english_protocol_is_refused(funasr):
    with pytest.raises(ConfigError, match=r"knows none of the languages of protocol whisper-norm@1 \(en\)"):
        load_verifier("asr:funasr")


def test_nothing_is_transcribed_where_nothing_is_wanted(funasr, monkeypatch):
    recogniser = load()
    monkeypatch.setattr(funasr, "generate", lambda *args, **named: pytest.fail("transcribed"))
    wanted = Utterance(audio_16k=clip().samples, text="我", language="zh", transcribe=False)
    assert recogniser.recognise([wanted])[0].text == ""


def test_names_and_folders(funasr, tmp_path):
    load()
    load("iic/other")
    load(str(tmp_path))
    assert [options["model"] for options in funasr.made] == ["paraformer-zh", "iic/other", str(tmp_path)]
    assert all(options["disable_update"] for options in funasr.made)
    first = load().judge
    (tmp_path / "model.pt").write_bytes(b"other weights")
    assert load().judge != first


def test_bad_models_are_said_at_once(funasr, tmp_path):
    with pytest.raises(ConfigError, match="Unknown model 'paraformer' for funasr: expected paraformer-zh"):
        load("paraformer")
    with pytest.raises(WeightsError, match=r"cannot load 'iic/absent': no such model Check"):
        load("iic/absent")
    (tmp_path / "model.pt").unlink()
    with pytest.raises(WeightsError, match=r"FunASR loaded no .*model\.pt"):
        load()


def test_a_missing_package_comes_with_its_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "funasr", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'tts-eval-harness\[chinese\]'"):
        load()
