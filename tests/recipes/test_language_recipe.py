"""The language model's recipe on a minute of noise: it learns, resumes, and what it writes can speak."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tts_eval import weights
from tts_eval.phonemes import SYMBOLS
from tts_eval.recipes import language_model
from tts_eval.recipes.checkpoints import LearningRate
from tts_eval.recipes.coded_speech import CodedClip
from tts_eval.recipes.language_batches import IGNORED, Batches, SequenceSettings, collate, join
from tts_eval.recipes.language_training import LanguageTraining, ModelShape
from tts_eval.recipes.token_table import TokenTable
from tts_eval.synthesizers import load_synthesizer
from tts_eval.synthesizers.llasa.format import LlasaFormat
from tts_eval.synthesizers.llasa.words import SLACK, WordFormat
from tts_eval.synthesizers.nano_codec import CodecConfig, NanoCodec
from tts_eval.synthesizers.phoneme_alignment import FILE as PHONEME_HEAD
from tts_eval.synthesizers.phoneme_alignment import PhonemeHead
from tts_eval.types import FinishReason, Job, Request, Sampling

TINY = ModelShape(
    codec="toy", levels=(4, 4, 4), codes_per_second=25, width=32, layers=2, heads=2, kv_heads=1, inner_width=48
)
CODEC = CodecConfig(
    levels=(4, 4, 4), encoder_width=16, encoder_blocks=1, decoder_width=16, decoder_blocks=1, frame_width=16,
    frame_blocks=1,
)  # fmt: skip


def make_clips(count: int = 30) -> list[CodedClip]:
    """Speech in words of two or three phonemes, in which every phoneme is said as its own number, twice."""
    random = np.random.default_rng(0)
    clips = []
    for number in range(count):
        letters = random.integers(0, 10, 6 + number % 5)
        words = [letters[start : start + 3] for start in range(0, len(letters), 3)]
        phonemes = " ".join("".join(SYMBOLS[letter] for letter in word) for word in words)
        places = [place for place, symbol in enumerate(phonemes) if symbol != " "]
        codes, places = np.repeat(letters, 2).astype(np.int32), np.repeat(np.array(places, np.int32), 2)
        clips.append(CodedClip(f"voice{number % 3}", phonemes, codes, places))
    return clips


def make_training() -> LanguageTraining:
    return LanguageTraining(TINY, LearningRate(rate=3e-3, warmup_steps=5), device=torch.device("cpu"))


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


def save_codec(folder: Path) -> None:
    NanoCodec(CODEC).save(folder)
    PhonemeHead(3).save(folder / PHONEME_HEAD)


class FakeAligner:
    """Knows where everything in `make_clips` is said."""

    def places(self, codes: np.ndarray, phonemes: str, *, is_whole: bool = True) -> np.ndarray:
        places = np.repeat([place for place, symbol in enumerate(phonemes) if symbol != " "], 2)
        assert is_whole == (len(codes) == len(places))
        return places[: len(codes)]


def test_sequences_are_those_that_are_spoken_from_and_only_speech_is_predicted(tmp_path: Path):
    training = make_training()
    clip, other = make_clips(2)
    training.export(tmp_path / "model")
    base = LlasaFormat.load(tmp_path / "model", chat=False)
    prompted = WordFormat(base, FakeAligner()).prompt(
        other.phonemes, transcript=clip.phonemes, codes=clip.codes.tolist()
    )
    # What a row hears when it says just what the clip says: the prompt, then codes, ends and its script in turn.
    heard, said = list(prompted.ids), [False] * len(prompted.ids)
    for codes, piece in zip(np.split(other.codes, range(6, len(other.codes), 6)), [*prompted.script, ()], strict=True):
        heard += [*(base.first + codes).tolist(), base.end, *piece]
        said += [True] * (len(codes) + 1) + [False] * len(piece)
    batch = collate([join([clip, other])], training.vocabulary, 0.0, np.random.default_rng(0))
    assert batch.inputs[0].tolist() == heard
    labels = torch.tensor(heard).masked_fill(~torch.tensor(said), IGNORED)
    assert torch.equal(batch.labels[0, len(prompted.ids) :], labels[len(prompted.ids) :])
    assert (batch.labels[0] >= 0).sum() == len(clip.codes) + len(other.codes) + len(prompted.script) + 1 + 2


def test_a_prompt_that_leaves_no_room_is_heard_from_a_later_word_on(tmp_path: Path):
    training = make_training()
    _, other, _, clip = make_clips(4)
    training.export(tmp_path / "model")
    base = LlasaFormat.load(tmp_path / "model", chat=False)
    words = clip.phonemes.split()

    def prompt(longest: int) -> list[int]:
        form = WordFormat(base, FakeAligner(), longest=longest)
        return form.prompt(other.phonemes, transcript=clip.phonemes, codes=clip.codes.tolist()).ids

    def without(words_left_out: int) -> list[int]:
        known = " ".join(words[words_left_out:])
        left_out = 2 * sum(map(len, words[:words_left_out]))
        return (
            WordFormat(base, FakeAligner())
            .prompt(other.phonemes, transcript=known, codes=clip.codes[left_out:].tolist())
            .ids
        )

    wholes = [without(number) for number in range(len(words))]
    assert prompt(0) == prompt(10_000) == wholes[0]
    found = [wholes.index(prompt(longest)) for longest in range(200, 0, -1)]
    assert found == sorted(found) and set(found) == set(range(len(words))), "a word stays, however little room there is"
    said = 3 * len("".join(other.phonemes.split())) + len(other.phonemes.split()) + SLACK
    fitting = len(wholes[1]) - len(base.encode(other.phonemes.split()[0])) + said
    assert wholes.index(prompt(fitting)) == 1 and wholes.index(prompt(fitting - 1)) == 2


@pytest.mark.parametrize("begun", [1, 6, 9])
def test_going_on_with_a_recording_is_a_sequence_as_in_training_wherever_it_breaks_off(tmp_path: Path, begun: int):
    training = make_training()
    (clip,) = make_clips(1)
    training.export(tmp_path / "model")
    base = LlasaFormat.load(tmp_path / "model", chat=False)
    written = WordFormat(base, FakeAligner()).prompt(clip.phonemes, codes=clip.codes[:begun].tolist())
    heard = list(written.ids)
    ends = [end for end in (*range(6, len(clip.codes), 6), len(clip.codes)) if end >= begun]
    for start, end, piece in zip([begun, *ends], ends, [*written.script, ()], strict=False):
        heard += [*(base.first + clip.codes[start:end]).tolist(), base.end, *piece]
    batch = collate([join([clip])], training.vocabulary, 0.0, np.random.default_rng(0))
    assert batch.inputs[0, batch.mask[0] > 0].tolist() == heard
    assert len(written.script) == len(ends) - 1


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
    save_codec(tmp_path / "codec")
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
    assert moved[0] > near.max() >= near.min() > far.max() == 0
    assert torch.equal(table().detach()[:4], before[:4])
    with pytest.raises(ValueError, match="do not fit"):
        TokenTable(vocabulary=60, width=8, first=4, levels=(4, 4, 4))


def test_a_killed_command_leaves_a_model_that_speaks_and_another_codec_is_another_run(
    tmp_path: Path, data_of_noise: Path, monkeypatch, capsys
):
    pytest.importorskip("piper")

    def killed(*arguments: object) -> None:
        raise KeyboardInterrupt

    save_codec(tmp_path / "codec")
    save_codec(tmp_path / "other")
    flags = ["--data", str(data_of_noise), "--out", str(tmp_path / "nano"), "--speeds", "1", "--threads", "1"]
    flags += ["--width", "32", "--layers", "1", "--steps", "1"]
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(language_model, "train", killed)
        language_model.main([*flags, "--codec", str(tmp_path / "codec")])
    load_synthesizer(f"llasa:{tmp_path / 'nano' / 'model'}")
    language_model.main([*flags, "--codec", str(tmp_path / "codec")])
    assert language_model.main([*flags, "--codec", str(tmp_path / "other")]) == 2
    assert "of another shape or codec" in capsys.readouterr().err
    assert len(list((tmp_path / "nano" / "codes").iterdir())) == 2
