"""Through a small random checkpoint in transformers' own format."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch

from tts_eval.errors import ConfigError
from tts_eval.synthesizers import load_synthesizer
from tts_eval.types import FailureKind, FinishReason, Request, Sampling

sentencepiece = pytest.importorskip("sentencepiece")

HELLO = Request(id="hello", text="good morning")


@pytest.fixture(scope="module")
def parts(tmp_path_factory) -> Path:
    """`model`, `vocoder` and `voice.npy`, each as its library writes it."""
    from transformers import (
        SpeechT5Config,
        SpeechT5ForTextToSpeech,
        SpeechT5HifiGan,
        SpeechT5HifiGanConfig,
        SpeechT5Tokenizer,
    )

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("speecht5")
    letters = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["the quick brown fox jumps over a lazy dog"] * 20), model_writer=letters,
        model_type="char", vocab_size=32, pad_id=1, bos_id=0, eos_id=2, unk_id=3, minloglevel=2,
    )  # fmt: skip
    (folder / "spm_char.model").write_bytes(letters.getvalue())
    tokenizer = SpeechT5Tokenizer(str(folder / "spm_char.model"))
    tokenizer.save_pretrained(folder / "model")
    config = SpeechT5Config(
        vocab_size=len(tokenizer), hidden_size=16, encoder_layers=1, encoder_attention_heads=2, encoder_ffn_dim=16,
        decoder_layers=1, decoder_attention_heads=2, decoder_ffn_dim=16, num_mel_bins=8, speech_decoder_prenet_units=16,
        speech_decoder_postnet_units=8, speaker_embedding_dim=4, max_text_positions=40, max_speech_positions=900,
        initializer_range=0.5,
    )  # fmt: skip
    model = SpeechT5ForTextToSpeech(config)
    torch.nn.init.constant_(model.speech_decoder_postnet.prob_out.bias, -2.0)  # it never ends
    model.save_pretrained(folder / "model")
    vocoder = SpeechT5HifiGanConfig(
        model_in_dim=8, sampling_rate=8000, upsample_initial_channel=8, upsample_rates=[4, 4],
        upsample_kernel_sizes=[8, 8], resblock_kernel_sizes=[3], resblock_dilation_sizes=[[1]], initializer_range=0.5,
    )  # fmt: skip
    SpeechT5HifiGan(vocoder).save_pretrained(folder / "vocoder")
    np.save(folder / "voice.npy", np.array([[1.0, 0.5, -1.0, 2.0]], dtype=np.float32))
    return folder


def spec(parts: Path, voice: str = "voice.npy") -> str:
    return f"transformers:{parts / 'model'},device=cpu,vocoder={parts / 'vocoder'},voice={parts / voice}"


def test_seeds_decide_in_any_order_and_batch(parts, make_jobs):
    synthesizer = load_synthesizer(spec(parts))
    jobs = make_jobs([HELLO, Request(id="other", text="a fox")], 2)
    made = synthesizer.generate(jobs)
    again = [synthesizer.generate([job])[0] for job in jobs[::-1]][::-1]
    assert [c.clip.sha256 for c in made] == [c.clip.sha256 for c in again]
    assert len({c.clip.sha256 for c in made}) == 4
    assert made[0].clip.rate == 8000


def test_it_says_what_transformers_says(parts, make_jobs):
    from transformers import SpeechT5ForTextToSpeech, SpeechT5HifiGan, SpeechT5Tokenizer

    (job,) = make_jobs([HELLO], 1)
    (made,) = load_synthesizer(spec(parts)).generate([job])
    ids = SpeechT5Tokenizer.from_pretrained(parts / "model")(HELLO.text, return_tensors="pt")["input_ids"]
    model = SpeechT5ForTextToSpeech.from_pretrained(parts / "model").eval()
    vocoder = SpeechT5HifiGan.from_pretrained(parts / "vocoder").eval()
    torch.manual_seed(job.seed)
    voice = torch.from_numpy(np.load(parts / "voice.npy"))
    expected = model.generate_speech(ids, speaker_embeddings=voice, vocoder=vocoder).detach().numpy()
    np.testing.assert_allclose(made.clip.samples, expected.clip(-1, 1), atol=1e-5)


def test_the_voice_is_part_of_sound_and_revision(parts, make_jobs):
    np.save(parts / "other.npy", np.array([-1.0, 0.5, 3.0, 0.0]))
    first, second = load_synthesizer(spec(parts)), load_synthesizer(spec(parts, "other.npy"))
    assert first.revision != second.revision
    jobs = make_jobs([HELLO], 1)
    assert first.generate(jobs)[0].clip.sha256 != second.generate(jobs)[0].clip.sha256


def test_it_ends_where_the_model_says_so_and_is_stopped_otherwise(parts, make_jobs):
    synthesizer = load_synthesizer(spec(parts))
    (cut,) = synthesizer.generate(make_jobs([HELLO], 1, Sampling(max_seconds=0.05)))
    (whole,) = synthesizer.generate(make_jobs([HELLO], 1))
    assert cut.finish is whole.finish is FinishReason.LENGTH
    assert 0.04 < cut.clip.seconds <= 0.05 < whole.clip.seconds
    torch.nn.init.constant_(synthesizer._voice._model.speech_decoder_postnet.prob_out.bias, 5.0)
    (ended,) = synthesizer.generate(make_jobs([HELLO], 1))
    assert ended.finish is FinishReason.EOS
    assert ended.clip.seconds < 0.05


@pytest.mark.parametrize("text", ["?!", "word " * 20])
def test_what_it_cannot_read_is_a_failure(parts, make_jobs, text):
    (made,) = load_synthesizer(spec(parts)).generate(make_jobs([Request(id="bad", text=text)], 1))
    assert made.failure.kind is FailureKind.SYNTHESIS
    assert "'bad'" in made.failure.message


def test_a_voice_is_needed_and_has_a_size(parts):
    with pytest.raises(ConfigError, match="needs a speaker"):
        load_synthesizer(f"transformers:{parts / 'model'},device=cpu,vocoder={parts / 'vocoder'}")
    with pytest.raises(ConfigError, match="no use for speaker="):
        load_synthesizer(f"{spec(parts)},speaker=1")
    np.save(parts / "long.npy", np.zeros(5))
    (parts / "text.npy").write_text("not numbers")
    for name in ("long.npy", "text.npy", "nowhere.npy"):
        with pytest.raises(ConfigError, match="4 numbers"):
            load_synthesizer(spec(parts, name))
