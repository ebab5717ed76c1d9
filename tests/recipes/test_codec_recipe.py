"""The recipe on seconds of noise: it learns, stops anywhere, and goes on as if it had not."""

import json
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tts_eval.errors import ConfigError, DataError
from tts_eval.recipes import codec
from tts_eval.recipes.checkpoints import LearningRate, steps_to_go
from tts_eval.recipes.clips import ClipStore, prepare
from tts_eval.recipes.codec_batches import Batches, BatchSize
from tts_eval.recipes.codec_training import CodecTraining, Schedule, cut_windows
from tts_eval.recipes.corpus import read_corpus
from tts_eval.recipes.spectral_losses import SpectralDistance
from tts_eval.synthesizers.nano_codec import CodecConfig, NanoCodec

TINY = CodecConfig(
    encoder_width=16, encoder_blocks=1, decoder_width=16, decoder_blocks=1, frame_width=16, frame_blocks=1
)
SIZE = BatchSize(seconds=4.0, windows=2, window_codes=20)


@pytest.fixture
def corpus(data_of_noise) -> Path:
    return data_of_noise


@pytest.fixture
def store(corpus, tmp_path) -> ClipStore:
    prepare(read_corpus(corpus), tmp_path / "clips")
    return ClipStore(tmp_path / "clips")


def make_training(**schedule: object) -> CodecTraining:
    rate = LearningRate(rate=schedule.pop("rate", 8e-4), warmup_steps=1)  # type: ignore[arg-type]
    return CodecTraining(TINY, Schedule(rate=rate, **schedule), device=torch.device("cpu"))  # type: ignore[arg-type]


def learn(training: CodecTraining, store: ClipStore, until: int) -> list[float]:
    batches = Batches(store, SIZE, TINY.hop, seed=0)
    return [float(training.learn(batches.at(step))["spectral"].detach()) for step in range(training.step, until)]


def test_resumed_training_equals_undisturbed(store, tmp_path):
    undisturbed = make_training(adversarial_from=2)
    learn(undisturbed, store, 5)
    undisturbed.save(tmp_path / "calm")
    killed = make_training(adversarial_from=2)
    learn(killed, store, 3)
    killed.save(tmp_path / "killed")
    learn(killed, store, 4)  # lost: never saved
    (tmp_path / "killed/.writing-half").mkdir()
    resumed = make_training(adversarial_from=2)
    assert resumed.resume(tmp_path / "killed")
    assert resumed.step == 3
    learn(resumed, store, 5)
    resumed.save(tmp_path / "killed")
    calm, after = (load_file(tmp_path / name / "checkpoint-00000005/model.safetensors") for name in ("calm", "killed"))
    assert calm.keys() == after.keys()
    assert all(torch.equal(calm[name], after[name]) for name in calm)
    assert not list((tmp_path / "killed").glob(".writing-*"))


def test_it_learns(store):
    losses = learn(make_training(rate=3e-3), store, 25)
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])


def test_the_average_is_what_is_shipped(store, tmp_path):
    training = make_training()
    learn(training, store, 3)
    training.save(tmp_path)
    shipped = NanoCodec.load(tmp_path / "codec").state_dict()
    averaged = training.average.codec.state_dict()
    assert all(torch.equal(shipped[name], averaged[name].half().float()) for name in averaged)
    name = "encoder.leave.weight"
    assert not torch.equal(averaged[name], training.student.codec.state_dict()[name])


def test_old_checkpoints_go_and_another_shape_is_refused(store, tmp_path):
    training = make_training()
    assert not training.resume(tmp_path)
    for step in (1, 2, 3):
        learn(training, store, step)
        training.save(tmp_path)
    assert [path.name for path in sorted(tmp_path.glob("checkpoint-*"))] == [
        "checkpoint-00000002",
        "checkpoint-00000003",
    ]
    other = CodecTraining(CodecConfig(levels=(4, 4)), Schedule(), device=torch.device("cpu"))
    with pytest.raises(ConfigError, match="another shape"):
        other.resume(tmp_path)


def test_a_batch_depends_on_its_step_alone(store):
    first, again = (Batches(store, SIZE, TINY.hop, seed=0) for _ in range(2))
    first.at(0)
    assert all(torch.equal(a, b) for a, b in zip(first.at(7), again.at(7), strict=True))
    assert not torch.equal(first.at(7).audio, Batches(store, SIZE, TINY.hop, seed=1).at(7).audio)


def test_windows_are_of_the_clips_they_come_from(store):
    batch = Batches(store, SIZE, TINY.hop, seed=0).at(0)
    rows, frames = batch.audio.shape[0], batch.audio.shape[1] // TINY.hop
    numbers = torch.arange(rows * frames).reshape(rows, frames, 1)
    audio, points = cut_windows(batch, numbers, TINY.hop)
    assert audio.shape == (SIZE.windows, SIZE.window_codes * TINY.hop)
    first = points[0, 0, 0].item()
    row, frame = divmod(int(first), frames)
    torch.testing.assert_close(audio[0], batch.audio[row, frame * TINY.hop :][: audio.shape[1]])


def test_a_growing_corpus_adds_what_is_new(corpus, tmp_path):
    utterances = read_corpus(corpus)
    prepare(utterances[:5], tmp_path)
    prepare(utterances, tmp_path)
    prepare(utterances, tmp_path)
    prepare(utterances, tmp_path, speeds=(1.0, 1.25))
    store = ClipStore(tmp_path)
    assert len(list(tmp_path.glob("shard-*"))) == 3
    assert len(store.clips) == 2 * 19  # the silent clip has no voice
    assert len(store.voices) == len(store.clips)
    plain = {clip.key.partition("@")[0]: index for index, clip in enumerate(store.clips) if clip.key.endswith("@1")}
    for index, clip in enumerate(store.clips):
        name, _, speed = clip.key.partition("@")
        assert len(store.audio(index)) == pytest.approx(len(store.audio(plain[name])) / float(speed), abs=2)
        assert clip.speaker.endswith("@1.25") == (speed == "1.25")


def test_a_shard_without_a_voice_and_a_deleted_one_break_nothing(corpus, tmp_path):
    silent, *others = sorted(read_corpus(corpus), key=lambda utterance: utterance.id != "11")
    prepare([silent], tmp_path)
    for count in (2, 4):
        prepare(others[:count], tmp_path)
    assert len(ClipStore(tmp_path).clips) == 4
    shutil.rmtree(tmp_path / "shard-0001")
    prepare(others[:6], tmp_path)
    assert len(ClipStore(tmp_path).clips) == 6


def test_nothing_to_validate_with_is_said_before_training(corpus, tmp_path, capsys):
    rows = [row for row in (corpus / "metadata.tsv").read_text().splitlines() if "af_nova" not in row]
    for folder in corpus.iterdir():
        if folder.is_dir():
            (tmp_path / "data").mkdir(exist_ok=True)
            (tmp_path / "data" / folder.name).symlink_to(folder)
    (tmp_path / "data" / "metadata.tsv").write_text("\n".join(rows[:3]))
    assert codec.main(["--data", str(tmp_path / "data"), "--out", str(tmp_path / "out")]) == 2
    assert "held out to validate" in capsys.readouterr().err


def test_processes_do_not_change_what_is_prepared(corpus, tmp_path, monkeypatch):
    utterances = read_corpus(corpus)[:2]
    with pytest.raises(DataError, match="prepare"):
        ClipStore(tmp_path)
    prepare(utterances, tmp_path)
    audio = (tmp_path / "shard-0000/audio.int16").read_bytes()
    assert len(audio) == 2 * sum(clip.samples for clip in ClipStore(tmp_path).clips)


def test_the_learning_rate_rises_stays_and_falls():
    rate = LearningRate(rate=1.0, warmup_steps=10, steps=100, decay_steps=20)
    assert [rate.at(step) for step in (0, 9, 50, 79, 80)] == [0.1, 1, 1, 1, 1]
    assert rate.at(85) == 0.5
    assert 0 < rate.at(99) < 0.03
    assert LearningRate(rate=1.0).at(10**6) == 1


def test_the_distance_of_a_sound_to_itself_is_nothing():
    distance = SpectralDistance()
    sound = 0.1 * torch.randn(2, 16_000, generator=torch.manual_seed(0))
    quieter, other = 0.5 * sound, torch.randn(2, 16_000, generator=torch.manual_seed(1)) * 0.1
    assert distance(sound, sound) == 0
    assert distance(quieter, sound) > 0
    assert distance(0.9 * sound, sound) < distance(quieter, sound)
    assert distance(other, sound) > 0.5


def test_the_command_trains_validates_and_goes_on(corpus, tmp_path, capsys):
    flags = ["--data", str(corpus), "--out", str(tmp_path), "--speeds", "1", "--batch-seconds", "3", "--windows", "1"]
    flags += ["--log-every", "1", "--codes-per-second", "50", "--threads", "1"]
    codec.main([*flags, "--steps", "1"])
    codec.main([*flags, "--steps", "2", "--decay-steps", "1", "--adversarial-from", "1"])
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    losses = [line for line in lines if "spectral" in line]
    assert [line["step"] for line in losses] == [1, 2]
    assert "critic" in losses[1]
    assert all(line["validation"]["codes_used"] > 0 for line in lines if "validation" in line)
    assert NanoCodec.load(tmp_path / "codec").config.codes_per_second == 50


def test_a_signal_ends_the_training_with_a_checkpoint(corpus, tmp_path, monkeypatch):
    learn_one = CodecTraining.learn

    def killed(self, batch):
        os.kill(os.getpid(), signal.SIGTERM)
        return learn_one(self, batch)

    monkeypatch.setattr(CodecTraining, "learn", killed)
    before = signal.getsignal(signal.SIGTERM)
    flags = ["--speeds", "1", "--batch-seconds", "3", "--windows", "1", "--threads", "1", "--steps", "5"]
    codec.main(["--data", str(corpus), "--out", str(tmp_path), *flags])
    assert signal.getsignal(signal.SIGTERM) is before
    assert [path.name for path in tmp_path.glob("checkpoint-*")] == ["checkpoint-00000001"]


def test_steps_end_with_their_number_or_the_time():
    taken: list[None] = []
    for step in steps_to_go(lambda: len(taken), steps=3, minutes=None):
        taken.append(step)
    assert len(taken) == 3
    assert list(steps_to_go(lambda: 0, steps=None, minutes=0.0)) == []


def test_a_frozen_encoder_keeps_its_tokens_while_the_decoder_learns(store):
    training = make_training(freeze_encoder=True)
    training.average.codec.encoder.leave.bias.data += 0.1  # so that it is not the student's
    before = {name: value.clone() for name, value in training.average.state_dict().items()}
    codes = training.average.codec.encode(torch.from_numpy(store.audio(0))[None])
    learn(training, store, 3)
    changed = {name for name, value in training.average.state_dict().items() if not torch.equal(value, before[name])}
    assert changed and all(name.startswith("codec.decoder.") for name in changed)
    assert torch.equal(training.average.codec.encode(torch.from_numpy(store.audio(0))[None]), codes)


class FakeRecogniser(torch.nn.Module):
    """Hears how loud a sound is, and nothing else."""

    def forward(self, made, real):
        return (made.square().mean(1) - real.square().mean(1)).abs().mean()


def test_the_recogniser_is_listened_to(store):
    decoders = []
    for weight in (0.0, 50.0):
        rate = LearningRate(rate=8e-4, warmup_steps=1)
        schedule = Schedule(rate=rate, recogniser_weight=weight, recogniser_windows=1)
        training = CodecTraining(TINY, schedule, device=torch.device("cpu"), recogniser=FakeRecogniser())  # type: ignore[arg-type]
        report = training.learn(Batches(store, SIZE, TINY.hop, seed=0).at(0))
        assert ("words" in report) == bool(weight)
        decoders.append(training.student.codec.decoder.leave.weight.detach().clone())
    assert not torch.equal(*decoders)
