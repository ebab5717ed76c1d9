from __future__ import annotations

from collections.abc import Callable

import pytest

import verifiers.asr
from tts_eval.errors import ConfigError, UnknownNameError, WeightsError
from tts_eval.text import load_languages
from verifiers import paraformer, transformers_models, whisper_ctranslate2, whisper_openai
from verifiers.asr import create


@pytest.fixture
def loads(monkeypatch):
    """What `create` asks the backends for, instead of loading it."""
    asked: list[tuple[str, str, bool]] = []

    class Stub:
        judge = "stub"
        text_tokens = 10

        def supports(self, language: str) -> bool:
            return language == "en"

    def faster(model: str, *, exact: bool = False) -> Stub:
        asked.append(("faster-whisper", model, exact))
        return Stub()

    def openai(model: str) -> Stub:
        asked.append(("openai-whisper", model, True))
        return Stub()

    def others(backend: str) -> Callable[[str], Stub]:
        return lambda model: asked.append((backend, model, True)) or Stub()

    monkeypatch.setattr(transformers_models, "load", others("transformers"))
    monkeypatch.setattr(paraformer, "load", others("funasr"))
    monkeypatch.setattr(whisper_ctranslate2, "load", faster)
    monkeypatch.setattr(whisper_openai, "load", openai)
    return asked


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("", ("faster-whisper", "tiny.en", False)),
        ("exact", ("faster-whisper", "tiny.en", True)),
        ("base", ("faster-whisper", "base", False)),
        ("base:exact", ("faster-whisper", "base", True)),
        ("faster-whisper:base:exact", ("faster-whisper", "base", True)),
        ("faster-whisper", ("faster-whisper", "tiny.en", False)),
        ("Systran/faster-whisper-small", ("faster-whisper", "Systran/faster-whisper-small", False)),
        ("openai-whisper:small.en", ("openai-whisper", "small.en", True)),
        ("openai-whisper:/models/a.pt:exact", ("openai-whisper", "/models/a.pt", True)),
        ("transformers:openai/whisper-small", ("transformers", "openai/whisper-small", True)),
        ("transformers:facebook/hubert-large-ls960-ft", ("transformers", "facebook/hubert-large-ls960-ft", True)),
        ("funasr", ("funasr", "paraformer-zh", True)),
        ("funasr:iic/other", ("funasr", "iic/other", True)),
    ],
)
def test_argument(loads, argument, expected):
    create(argument)
    assert loads == [expected]


@pytest.mark.parametrize(
    ("argument", "model", "protocol"),
    [
        ("base:seed-tts@1", ("faster-whisper", "base", False), "seed-tts@1"),
        ("base:exact:f5@1", ("faster-whisper", "base", True), "f5@1"),
        ("librispeech@1", ("faster-whisper", "tiny.en", False), "librispeech@1"),
        ("base", ("faster-whisper", "base", False), "whisper-norm@1"),
    ],
)
def test_a_protocol_may_be_named_and_is_part_of_the_judge(loads, argument, model, protocol):
    verifier = create(argument)
    assert loads == [model]
    assert {metric.protocol for metric in verifier.metrics if metric.name != "likelihood"} == {protocol}
    assert verifier.judge == ("stub" if protocol == "whisper-norm@1" else f"stub:{protocol}")


def test_a_protocol_without_a_language_of_the_model_is_refused(loads, monkeypatch):
    monkeypatch.setattr(verifiers.asr, "load_languages", lambda name: {"zh": load_languages(name)["zh"]})
    with pytest.raises(ConfigError, match=r"stub knows none of the languages of protocol seed-tts@1 \(zh\)"):
        create("base:seed-tts@1")


def test_an_unknown_protocol_is_refused_before_a_model_is_loaded(loads):
    with pytest.raises(UnknownNameError, match="seed-tts@1"):
        create("base:seed-tts@7")
    assert not loads


@pytest.mark.parametrize(
    ("argument", "problems"),
    [
        ("whisperx:tiny:quick", ["'whisperx' in", "'quick' in"]),
        ("whisperx:tiny:exact", ["'whisperx' in"]),
        ("faster-whisper:tiny:quick", ["'quick' in"]),
        ("transformers", ["'asr:transformers' names no model"]),
        ("transformers:exact", ["'asr:transformers:exact' names no model"]),
    ],
)
def test_a_wrong_argument_lists_its_problems_and_an_example(loads, argument, problems):
    with pytest.raises(ConfigError) as caught:
        create(argument)
    assert len(caught.value.problems) == len(problems) + 1
    for problem, message in zip(problems, caught.value.problems, strict=False):
        assert problem in message
    assert "asr:base:exact" in caught.value.problems[-1]
    assert not loads


def test_a_path_may_hold_a_colon(loads, tmp_path):
    folder = tmp_path / "a:b"
    folder.mkdir()
    create(f"{folder}:exact")
    assert loads == [("faster-whisper", str(folder), True)]


def test_a_folder_without_a_model_says_what_it_lacks(tmp_path):
    (tmp_path / "model.bin").touch()
    with pytest.raises(ConfigError, match=r"lacks config\.json, tokenizer\.json, vocabulary\.json or vocabulary\.txt"):
        create(str(tmp_path))
    with pytest.raises(ConfigError, match="is not a Whisper model"):
        create(str(tmp_path / "absent"))


def test_a_folder_that_ctranslate2_cannot_read_says_so(tmp_path):
    for file in ("model.bin", "config.json", "tokenizer.json", "vocabulary.json"):
        (tmp_path / file).write_text("{}")
    with pytest.raises(WeightsError, match="CTranslate2 cannot load the Whisper model in"):
        create(str(tmp_path))


def test_an_unknown_model_gets_a_suggestion():
    with pytest.raises(
        ConfigError, match=r"Unknown Whisper model 'larg-v3' for faster-whisper\. Did you mean large-v3"
    ):
        create("larg-v3")


def test_a_model_that_cannot_be_downloaded_names_the_way_out(monkeypatch):
    import faster_whisper.utils

    def offline(model: str) -> str:
        raise OSError("no route to host")

    monkeypatch.setattr(faster_whisper.utils, "download_model", offline)
    with pytest.raises(WeightsError, match=r"'small' is neither .* no route to host .*tts-eval fetch whisper-tiny\.en"):
        create("small")


def test_bundled_weights_that_are_not_here_name_the_command(monkeypatch, tmp_path):
    monkeypatch.setenv("TTS_EVAL_HOME", str(tmp_path))
    with pytest.raises(WeightsError, match="tts-eval fetch whisper-base"):
        create("base")
