"""The language model's recipe on a minute of noise: it learns, resumes, and what it writes can speak."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tts_eval import weights
from tts_eval.errors import ConfigError
from tts_eval.phonemes import SYMBOLS
from tts_eval.recipes import language_model
from tts_eval.recipes.checkpoints import LearningRate
from tts_eval.recipes.coded_speech import CodedClip
from tts_eval.recipes.language_batches import IGNORED, Batches, SequenceSettings, collate, join
from tts_eval.recipes.language_training import LanguageTraining, ModelShape
from tts_eval.recipes.phoneme_head import FILE as PHONEME_HEAD
from tts_eval.recipes.phoneme_head import PhonemeHead
from tts_eval.recipes.token_table import TokenTable
from tts_eval.synthesizers import load_synthesizer
from tts_eval.synthesizers.llasa.format import LlasaFormat, join_texts
from tts_eval.synthesizers.nano_codec import CodecConfig, NanoCodec
from tts_eval.types import FinishReason, Job, Request, Sampling

TINY = ModelShape(
    codec="toy", levels=(4, 4, 4), codes_per_second=25, width=32, layers=2, heads=2, kv_heads=1, inner_width=48
)
CODEC = CodecConfig(
    levels=(4, 4, 4), encoder_width=16, encoder_blocks=1, decoder_width=16, decoder_blocks=1, frame_width=16,
    frame_blocks=1,
)  # fmt: skip


def make_clips(count: int = 30) -> list[CodedClip]:
    """Speech in which every phoneme is said as its own number, twice."""
    random = np.random.default_rng(0)
    clips = []
    for number in range(count):
        letters = [int(letter) for letter in random.integers(0, 10, 6 + number % 5)]
        codes = np.repeat(np.array(letters, np.int32), 2)
        places = np.repeat(np.arange(len(letters), dtype=np.int32), 2)
        clips.append(CodedClip(f"voice{number % 3}", "".join(SYMBOLS[letter] for letter in letters), codes, places))
    return clips


def make_training(**settings: float) -> LanguageTraining:
    rate = LearningRate(rate=3e-3, warmup_steps=5)
    return LanguageTraining(TINY, rate, device=torch.device("cpu"), **settings)  # type: ignore[arg-type]


def learn(training: LanguageTraining, until: int, **settings: object) -> list[float]:
    batches = Batches(make_clips(), training.vocabulary, SequenceSettings(tokens=512, longest=96, **settings), seed=0)  # type: ignore[arg-type]
    return [float(training.learn(batches.at(step))["loss"]) for step in range(training.step, until)]


def test_it_learns_to_read():
    training = make_training()
    losses = learn(training, 150, code_noise=0.05)
    assert np.mean(losses[-10:]) < 0.5 * np.mean(losses[:10])
    right, wrong = language_model.validation_batches(make_clips(12), training)
    found = training.validate(right, wrong)
    assert found.wrong_text_loss > found.loss + 0.5


def test_resumed_training_equals_undisturbed(tmp_path: Path):
    calm = make_training()
    learn(calm, 5)
    calm.save(tmp_path / "calm")
    killed = make_training()
    learn(killed, 3)
    killed.save(tmp_path / "killed")
    learn(killed, 4)  # lost: never saved
    resumed = make_training()
    assert resumed.resume(tmp_path / "killed")
    learn(resumed, 5)
    resumed.save(tmp_path / "killed")
    written = (tmp_path / name / "checkpoint-00000005" / "model.safetensors" for name in ("calm", "killed"))
    first, second = map(load_file, written)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_sequences_are_llasas_and_only_speech_is_predicted(tmp_path: Path):
    training = make_training()
    clip, other = make_clips(2)
    batch = collate([join([clip])], training.vocabulary, 0.0, np.random.default_rng(0))
    training.export(tmp_path / "model")
    written = LlasaFormat.load(tmp_path / "model", chat=False)
    opening = written.prompt(clip.phonemes)
    assert batch.inputs[0, : len(opening)].tolist() == opening
    assert batch.inputs[0, len(opening) :].tolist() == [*(written.first + clip.codes).tolist(), written.end]
    assert batch.labels[0, : len(opening)].eq(IGNORED).all()
    assert torch.equal(batch.labels[0, len(opening) :], batch.inputs[0, len(opening) :])
    # Two sentences in a row are what a prompt and the text to say become.
    prompted = written.prompt(other.phonemes, transcript=clip.phonemes, codes=clip.codes.tolist())
    joined = join([clip, other])
    assert joined.phonemes == join_texts(clip.phonemes, other.phonemes)
    both = collate([joined], training.vocabulary, 0.0, np.random.default_rng(0))
    assert both.inputs[0, : len(prompted)].tolist() == prompted


def test_the_place_of_an_input_is_the_symbol_that_the_next_token_says():
    training = make_training()
    clips = make_clips(2)
    batch = collate([join(clips), join(clips[:1])], training.vocabulary, 0.0, np.random.default_rng(0))
    for row in range(2):
        asked = batch.place[row] >= 0
        symbols = batch.inputs[row][batch.place[row][asked]] - training.vocabulary.symbols[SYMBOLS[0]]
        codes = batch.inputs[row][1:][asked[:-1]] - training.vocabulary.first_code
        assert torch.equal(symbols, codes), "a phoneme is said as its own number"
        assert int(asked.sum()) == sum(len(clip.codes) for clip in clips[: 2 - row])
    unknown = replace(clips[0], places=np.full_like(clips[0].places, -1))
    assert (collate([join([unknown])], training.vocabulary, 0.0, np.random.default_rng(0)).place == -1).all()


def test_a_guided_model_looks_at_what_it_says():
    looking_away = []
    for weight in (0.0, 0.5):
        training = make_training(guide_weight=weight)
        batches = Batches(make_clips(), training.vocabulary, SequenceSettings(tokens=512, longest=96), seed=0)
        looking_away.append(np.mean([float(training.learn(batches.at(step))["guide"]) for step in range(40)][-10:]))
    assert looking_away[1] < 0.7 * looking_away[0]


def test_noise_is_heard_and_never_predicted():
    training = make_training()
    clip = make_clips(1)[0]
    rows = [join([clip])] * 20
    calm, noisy = (collate(rows, training.vocabulary, noise, np.random.default_rng(0)) for noise in (0.0, 0.3))
    assert torch.equal(calm.labels, noisy.labels)
    is_code = (calm.labels >= 0) & (calm.labels != training.vocabulary.speech_end)
    assert 0.2 < (calm.inputs != noisy.inputs)[is_code].float().mean() < 0.4
    assert torch.equal(calm.inputs[~is_code], noisy.inputs[~is_code])


def test_batches_fit_depend_on_their_step_alone_and_grow():
    settings = SequenceSettings(tokens=400, longest=96, shortest_first_steps=100, joined=1.0)
    vocabulary = make_training().vocabulary
    first, again = (Batches(make_clips(), vocabulary, settings, seed=0) for _ in range(2))
    first.at(0)
    assert all(torch.equal(a, b) for a, b in zip(first.at(7), again.at(7), strict=True))
    assert all(first.at(step).inputs.numel() <= 400 for step in range(50))
    assert first.at(0).inputs.shape[1] <= 40 < max(first.at(step).inputs.shape[1] for step in range(100, 120))


def test_the_command_makes_a_model_that_speaks(tmp_path: Path, data_of_noise: Path, capsys):
    pytest.importorskip("piper")
    NanoCodec(CODEC).save(tmp_path / "codec")
    PhonemeHead(3).save(tmp_path / PHONEME_HEAD)
    flags = ["--data", str(data_of_noise), "--codec", str(tmp_path / "codec"), "--out", str(tmp_path / "nano")]
    flags += ["--speeds", "1", "--threads", "1", "--width", "32", "--layers", "1", "--log-every", "1"]
    language_model.main([*flags, "--steps", "1"])
    language_model.main([*flags, "--steps", "2"])
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["step"] for line in lines if "loss" in line] == [1, 2]
    synthesizer = load_synthesizer(f"llasa:{tmp_path / 'nano' / 'model'}")
    request = Request(id="r", text="Hello there.")
    jobs = [Job(request=request, index=i, seed=i, sampling=Sampling(max_seconds=1.0)) for i in range(2)]
    made = synthesizer.generate(jobs)
    assert all(candidate.clip is not None and candidate.clip.rate == 16_000 for candidate in made)
    assert all(candidate.finish in (FinishReason.EOS, FinishReason.LENGTH) for candidate in made)
    assert [c.tokens.tolist() for c in synthesizer.generate(jobs)] == [c.tokens.tolist() for c in made]
    strange = Request(id="s", text="Привет", language="en")
    (failed,) = synthesizer.generate([Job(request=strange, index=0, seed=0, sampling=Sampling())])
    assert "never seen" in failed.failure.message
    assert weights.is_present(weights.asset("ge2e-resemblyzer"))


def test_the_exported_llama_is_the_averaged_model(tmp_path: Path):
    from transformers import LlamaForCausalLM

    training = make_training()
    learn(training, 3)
    training.export(tmp_path / "model")
    batch = Batches(make_clips(), training.vocabulary, SequenceSettings(tokens=128, longest=96), seed=1).at(0)
    shipped = LlamaForCausalLM.from_pretrained(tmp_path / "model", dtype=torch.float32)
    with torch.no_grad():
        expected = training.average(batch.inputs, batch.mask.bool())
        found = shipped(batch.inputs).logits[batch.mask.bool()]
    torch.testing.assert_close(found, expected, atol=0.02, rtol=0.02)


def test_what_is_learned_of_a_code_holds_for_its_neighbours():
    table = TokenTable(vocabulary=70, width=8, first=4, levels=(4, 4, 4))
    before = table().detach()
    before_square = table()[4].square().sum()
    before_square.backward()
    with torch.no_grad():
        table.shared -= 1.0 * table.shared.grad
    moved = (table().detach() - before)[4:68].norm(dim=1)
    near, far = moved[[1, 4, 16]], moved[1 + 4 + 16 :][-1:]  # one coordinate differs; all three differ
    assert moved[0] > near.max() > near.min() > far.max() == 0
    assert torch.equal(table().detach()[:4], before[:4])
    with pytest.raises(ValueError, match="do not fit"):
        TokenTable(vocabulary=60, width=8, first=4, levels=(4, 4, 4))


def test_a_killed_command_leaves_a_model_that_speaks_and_another_codec_is_another_run(
    tmp_path: Path, data_of_noise: Path, monkeypatch
):
    pytest.importorskip("piper")

    def killed(*arguments: object) -> None:
        raise KeyboardInterrupt

    NanoCodec(CODEC).save(tmp_path / "codec")
    PhonemeHead(3).save(tmp_path / PHONEME_HEAD)
    NanoCodec(CODEC).save(tmp_path / "other")
    flags = ["--data", str(data_of_noise), "--out", str(tmp_path / "nano"), "--speeds", "1", "--threads", "1"]
    flags += ["--width", "32", "--layers", "1", "--steps", "1"]
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(language_model, "train", killed)
        language_model.main([*flags, "--codec", str(tmp_path / "codec")])
    load_synthesizer(f"llasa:{tmp_path / 'nano' / 'model'}")
    language_model.main([*flags, "--codec", str(tmp_path / "codec")])
    with pytest.raises(ConfigError, match="codec"):
        language_model.main([*flags, "--codec", str(tmp_path / "other")])
    assert len(list((tmp_path / "nano" / "codes").iterdir())) == 2
