from __future__ import annotations

import math
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from whisper_checkpoints import check_same_words, real_speech, real_weights, utterances

from benchmarks.perf.whisper_weights import save_openai
from tts_eval.audio import Clip
from tts_eval.errors import ConfigError, MissingDependencyError, WeightsError
from verifiers.asr import create
from verifiers.recognition import RATE
from verifiers.whisper_openai import load

# openai-whisper leaves the files of its vocabulary and spelling table to the garbage collector.
pytestmark = pytest.mark.filterwarnings(
    "ignore:.*(tiktoken|english.json):pytest.PytestUnraisableExceptionWarning",
    "ignore:__array_wrap__ must accept:DeprecationWarning",
)
ENGLISH, MULTILINGUAL = 51864, 51865


def checkpoint(path: Path, vocabulary: int) -> Path:
    """A tiny Whisper with random weights in the official format."""
    torch = pytest.importorskip("torch")
    whisper = pytest.importorskip("whisper.model")
    dims = whisper.ModelDimensions(
        n_mels=80,
        n_audio_ctx=1500,
        n_audio_state=16,
        n_audio_head=2,
        n_audio_layer=1,
        n_vocab=vocabulary,
        n_text_ctx=24,
        n_text_state=16,
        n_text_head=2,
        n_text_layer=1,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = whisper.Whisper(dims)
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
    torch.save({"dims": asdict(dims), "model_state_dict": model.state_dict()}, path)
    return path


@pytest.fixture(scope="module")
def english(tmp_path_factory) -> Path:
    return checkpoint(tmp_path_factory.mktemp("whisper") / "random.en.pt", ENGLISH)


@pytest.fixture(scope="module")
def multilingual(tmp_path_factory) -> Path:
    return checkpoint(tmp_path_factory.mktemp("whisper") / "random.pt", MULTILINGUAL)


def test_a_checkpoint_runs_through_the_verifier(english, make_item):
    verifier = create(f"openai-whisper:{english}")
    clip = Clip(np.random.default_rng(0).normal(0, 0.1, RATE).astype(np.float32), RATE)
    (score,) = verifier.score([make_item(clip, "good day")])
    assert score.failure is None
    assert verifier.metrics[1].worst <= score.values["likelihood"] < 0
    assert score.judge.startswith("openai-whisper:random.en.pt@")
    assert score.judge.endswith(":exact")


def test_log_prob_is_the_decoders_given_audio_and_the_tokens_before(english):
    import torch
    from whisper.audio import log_mel_spectrogram, pad_or_trim

    recogniser = load(str(english))
    (clip,) = utterances("good day")
    model = recogniser._model
    with torch.inference_mode():
        mel = pad_or_trim(log_mel_spectrogram(np.array(clip.audio_16k), padding=480_000), 3000)
        encoded = model.embed_audio(mel[None])
        expected, before = 0.0, [50257, 50362]  # <|startoftranscript|> <|notimestamps|>
        for token in (922, 1110):  # " good" " day"
            logits = model.logits(torch.tensor([before]), encoded)[0, -1, :50256]
            expected += float(logits.log_softmax(-1)[token])
            before.append(token)
    (found,) = recogniser.recognise([clip])
    assert found.tokens == 2
    # In one forward pass the sum differs by rounding alone; chances below a float16's are raised to it.
    assert found.log_prob == pytest.approx(max(expected, 2 * math.log(2.0**-24)), rel=1e-3)


def test_a_clip_is_judged_alike_alone_and_among_others(english):
    recogniser = load(str(english))
    clips = utterances("good day", "", "a much longer text than the others have", "<|endoftext|>", "word " * 40)
    together = recogniser.recognise(clips)
    for clip, transcript in zip(clips, together, strict=True):
        (alone,) = recogniser.recognise([clip])
        assert (alone.text, alone.tokens) == (transcript.text, transcript.tokens)
        assert alone.log_prob == pytest.approx(transcript.log_prob, rel=1e-3)
    assert (together[1].tokens, together[1].log_prob) == (0, 0.0)
    assert together[4].tokens == 40
    assert together[4].log_prob < -(40 - 22) * math.log(recogniser.text_tokens)


def test_the_likelihood_alone_is_the_same_and_needs_no_search(english, monkeypatch):
    recogniser = load(str(english))
    clips = utterances("good day", "a longer text")
    heard = recogniser.recognise(clips)
    monkeypatch.setattr(recogniser._model, "decode", lambda *args: pytest.fail("searched for a transcript"))
    alone = recogniser.recognise([replace(clip, transcribe=False) for clip in clips])
    assert [(each.text, each.tokens) for each in alone] == [("", each.tokens) for each in heard]
    assert [each.log_prob for each in alone] == pytest.approx([each.log_prob for each in heard], rel=1e-3)


def test_language_reaches_a_multilingual_model(multilingual, english):
    recogniser = load(str(multilingual))
    assert [recogniser.supports(code) for code in ("en", "de", "xx")] == [True, True, False]
    assert [load(str(english)).supports(code) for code in ("en", "de")] == [True, False]
    mixed = [*utterances("good day"), *utterances("good day", language="de")]
    first, second = recogniser.recognise(mixed)
    assert first.log_prob != pytest.approx(second.log_prob, rel=1e-6)


def test_the_fingerprint_follows_the_weights(english, multilingual):
    assert load(str(english)).judge == load(str(english)).judge
    assert load(str(english)).judge.split("@")[1] != load(str(multilingual)).judge.split("@")[1]


def test_a_pickle_with_code_in_it_is_refused(tmp_path, english):
    import torch

    class Trap:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "sprung",))

    torch.save({"dims": Trap(), "model_state_dict": {}}, tmp_path / "trap.pt")
    with pytest.raises(WeightsError, match="nothing but tensors"):
        load(str(tmp_path / "trap.pt"))
    assert not (tmp_path / "sprung").exists()


def test_an_unknown_name_lists_the_known_ones(english):
    with pytest.raises(ConfigError, match=r"Unknown model 'tinny' for openai-whisper: expected one of .*small\.en"):
        load("tinny")


def test_a_missing_package_comes_with_its_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "whisper", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'tts-eval-harness\[openai-whisper\]'"):
        load("tiny.en")


@pytest.mark.real
def test_real_weights_hear_what_ctranslate2_hears_with_them(data, tmp_path):
    source, clips = real_weights(), real_speech(data, 2)
    check_same_words(load(str(save_openai(source, tmp_path / "tiny.en.pt"))), clips)
