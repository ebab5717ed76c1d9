"""Whisper in transformers' format: random checkpoints for the rules, tiny.en's real weights for the words."""

from __future__ import annotations

import json
import math
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from whisper_checkpoints import (
    check_same_words,
    real_speech,
    real_weights,
    save_real_whisper,
    save_tiny_whisper,
    utterances,
)

from tts_eval.audio import Clip
from tts_eval.errors import ConfigError, MissingDependencyError, WeightsError
from verifiers.asr import create
from verifiers.recognition import RATE
from verifiers.transformers_models import load

END, START, ENGLISH, TRANSCRIBE, NO_TIMES = 256, 257, 258, 260, 261
"""Ids after the 256 bytes of the tiny multilingual vocabulary."""


@pytest.fixture(scope="module")
def multilingual(tmp_path_factory) -> Path:
    return save_tiny_whisper(tmp_path_factory.mktemp("whisper") / "tiny")


@pytest.fixture(scope="module")
def english(tmp_path_factory) -> Path:
    return save_tiny_whisper(tmp_path_factory.mktemp("whisper") / "tiny.en", languages=(), seed=1)


def test_a_checkpoint_runs_through_the_verifier(english, make_item):
    verifier = create(f"transformers:{english}:seed-tts@1")
    clip = Clip(np.random.default_rng(0).normal(0, 0.1, RATE).astype(np.float32), RATE)
    (score,) = verifier.score([make_item(clip, "good day")])
    assert score.failure is None
    assert verifier.metrics[1].worst <= score.values["likelihood"] < 0
    assert score.judge.startswith("transformers:tiny.en@")
    assert score.judge.endswith(":float32:greedy:seed-tts@1")


def test_log_prob_is_the_decoders_given_audio_and_the_tokens_before(multilingual):
    import torch

    recogniser: Any = load(str(multilingual))
    (clip,) = utterances("no")
    features = recogniser._features(np.array(clip.audio_16k), sampling_rate=RATE, return_tensors="pt").input_features
    expected, before = 0.0, [START, ENGLISH, TRANSCRIBE, NO_TIMES]
    alphabet = recogniser._tokenizer.get_vocab()
    with torch.inference_mode():
        for letter in "Ġno":  # the space that every text begins with is spelled Ġ in a byte vocabulary
            logits = recogniser._model(features, decoder_input_ids=torch.tensor([before])).logits[0, -1, :END]
            expected += float(logits.log_softmax(-1)[alphabet[letter]])
            before.append(alphabet[letter])
    (found,) = recogniser.recognise([clip])
    assert found.tokens == 3
    assert found.log_prob == pytest.approx(max(expected, 3 * math.log(2.0**-24)), rel=1e-4)


def test_the_transcript_is_that_of_a_plain_greedy_generate(multilingual):
    recogniser: Any = load(str(multilingual))
    clips = utterances("", "", "")
    for clip, heard in zip(clips, recogniser.recognise(clips), strict=True):
        features = recogniser._features(np.array(clip.audio_16k), sampling_rate=RATE, return_tensors="pt")
        tokens = recogniser._model.generate(features.input_features, language="en", task="transcribe")
        assert heard.text == recogniser._tokenizer.decode(tokens[0], skip_special_tokens=True).strip()
    assert len({heard.text for heard in recogniser.recognise(clips)}) > 1


def test_a_clip_is_judged_alike_alone_and_among_others(multilingual):
    recogniser = load(str(multilingual))
    clips = [
        *utterances("good day", "", "a longer text", "<|endoftext|>", "word " * 20),
        *utterances("x", language="de"),
    ]
    together = recogniser.recognise(clips)
    for clip, transcript in zip(clips, together, strict=True):
        (alone,) = recogniser.recognise([clip])
        assert (alone.text, alone.tokens) == (transcript.text, transcript.tokens)
        assert alone.log_prob == pytest.approx(transcript.log_prob, rel=1e-3)
    assert (together[1].tokens, together[1].log_prob) == (0, 0.0)
    # The decoder holds 40 tokens, 4 of which start it; the others of these 100 letters count as guesses.
    assert together[4].tokens == 100
    assert together[4].log_prob < -(100 - 36) * math.log(recogniser.text_tokens)


def test_language_reaches_a_multilingual_model(multilingual, english):
    recogniser = load(str(multilingual))
    assert [recogniser.supports(code) for code in ("en", "de", "fr")] == [True, True, False]
    assert [load(str(english)).supports(code) for code in ("en", "de")] == [True, False]
    first, second = recogniser.recognise([*utterances("good day"), *utterances("good day", language="de")])
    assert first.log_prob != pytest.approx(second.log_prob, rel=1e-6)


def test_the_likelihood_alone_is_the_same_and_needs_no_search(multilingual, monkeypatch):
    recogniser: Any = load(str(multilingual))
    clips = utterances("good day", "a longer text")
    heard = recogniser.recognise(clips)
    monkeypatch.setattr(recogniser._model, "generate", lambda *args, **named: pytest.fail("searched"))
    alone = recogniser.recognise([replace(clip, transcribe=False) for clip in clips])
    assert [each.text for each in alone] == ["", ""]
    assert [each.log_prob for each in alone] == pytest.approx([each.log_prob for each in heard], rel=1e-4)


def test_the_fingerprint_follows_weights_and_vocabulary(multilingual, tmp_path):
    copy = Path(shutil.copytree(multilingual, tmp_path / "tiny"))
    assert load(str(copy)).judge == load(str(multilingual)).judge
    settings = json.loads((copy / "tokenizer_config.json").read_text())
    (copy / "tokenizer_config.json").write_text(json.dumps(settings | {"note": "changed"}))
    assert load(str(copy)).judge != load(str(multilingual)).judge
    save_tiny_whisper(tmp_path / "tiny", seed=5)
    assert load(str(copy)).judge.split("@")[1] != load(str(multilingual)).judge.split("@")[1]


def test_pickled_weights_are_read_without_running_them(multilingual, tmp_path):
    import torch
    from safetensors.torch import load_file

    copy = Path(shutil.copytree(multilingual, tmp_path / "tiny"))
    tensors = load_file(copy / "model.safetensors")
    (copy / "model.safetensors").unlink()
    torch.save(tensors, copy / "pytorch_model.bin")
    clips = utterances("good day")
    assert load(str(copy)).recognise(clips)[0].text == load(str(multilingual)).recognise(clips)[0].text

    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "sprung",))

    torch.save({"weights": Trap()}, copy / "pytorch_model.bin")
    with pytest.raises(WeightsError, match="cannot load the speech recogniser"):
        load(str(copy))
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("model", ["whisper-small", "openai/whisper/small", "a b/c"])
def test_what_is_neither_folder_nor_hub_name_is_refused(model):
    with pytest.raises(ConfigError, match=r"expected the folder of a checkpoint or OWNER/NAME\[@REVISION\]"):
        load(model)


def test_a_folder_that_is_no_recogniser_says_what_it_lacks(multilingual, tmp_path):
    with pytest.raises(ConfigError, match=r"lacks config.json, preprocessor_config.json, model.safetensors"):
        load(str(tmp_path))
    with pytest.raises(ConfigError, match="is no checkpoint of transformers"):
        load(str(tmp_path / "absent"))
    copy = Path(shutil.copytree(multilingual, tmp_path / "bert"))
    (copy / "config.json").write_text(json.dumps({"model_type": "bert", "architectures": ["BertModel"]}))
    with pytest.raises(ConfigError, match="bert holds BertModel; transformers recognises speech with Whisper"):
        load(str(copy))
    (copy / "config.json").write_text("{")
    with pytest.raises(WeightsError, match="cannot load the speech recogniser"):
        load(str(copy))


def test_a_hub_model_is_asked_for_by_its_revision_safetensors_first(multilingual, tmp_path, monkeypatch):
    import huggingface_hub

    asked: list[tuple[str, str | None, bool]] = []
    pickled = Path(shutil.copytree(multilingual, tmp_path / "pickled"))
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")

    def download(name: str, revision: str | None, allow_patterns: list[str]) -> str:
        asked.append((name, revision, "pytorch_model.bin" in allow_patterns))
        return str(pickled if "old" in name else multilingual)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert load("openai/whisper-tiny@main").judge.startswith("transformers:openai/whisper-tiny@main@")
    with pytest.raises(WeightsError):  # safetensors are no pickle
        load("someone/old")
    assert asked == [("openai/whisper-tiny", "main", False), ("someone/old", None, False), ("someone/old", None, True)]


def test_a_hub_that_cannot_be_reached_is_said_before_anything_runs(monkeypatch):
    import huggingface_hub

    def offline(name: str, revision: str | None, allow_patterns: list[str]) -> str:
        raise OSError("no route to host")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", offline)
    with pytest.raises(WeightsError, match=r"'openai/whisper-tiny' .* cannot be had from the hub: no route to host"):
        create("transformers:openai/whisper-tiny")


def test_a_missing_package_comes_with_its_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'tts-eval-harness\[transformers\]'"):
        load("openai/whisper-tiny")


@pytest.mark.real
def test_real_weights_hear_what_ctranslate2_hears_with_them(data, tmp_path):
    source, clips = real_weights(), real_speech(data, 2)
    check_same_words(load(str(save_real_whisper(source, tmp_path / "tiny.en"))), clips)
