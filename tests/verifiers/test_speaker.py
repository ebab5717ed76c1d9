"""The comparison: which reference, which failure, how often the encoder runs. The encoder is a stub."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tts_eval import ground_truth
from tts_eval.audio import Clip, write_audio
from tts_eval.errors import ConfigError, WeightsError
from tts_eval.types import FailureKind, Prompt
from verifiers import references
from verifiers.speaker import PARTIAL_SECONDS, SpeakerVerifier, create, parse_options

RATE = 16_000


class LoudnessEncoder:
    """A voice is its mean absolute sample, as an angle; below 0.01 nobody speaks."""

    shortest_seconds = 0.01
    lowest_cosine = -1.0

    def __init__(self):
        self.calls = []

    def embed(self, clips_16k):
        self.calls.append(len(clips_16k))
        angles = [float(np.abs(samples).mean()) for samples in clips_16k]
        return [np.array([np.cos(a), np.sin(a)], np.float32) if a >= 0.01 else None for a in angles]


@pytest.fixture
def verifier():
    return SpeakerVerifier(LoudnessEncoder(), "loudness")


def level(value: float, rate: int = RATE) -> Clip:
    return Clip(np.full(rate // 2, value, np.float32), rate)


def only(scores):
    (score,) = scores
    return score


def test_the_prompt_is_preferred_to_the_ground_truth(verifier, make_item):
    item = make_item(level(0.5), prompt=Prompt(audio=level(0.9)), ground_truth=level(0.5))
    assert only(verifier.score([item])).value == pytest.approx(np.cos(0.4), abs=1e-6)


@pytest.mark.parametrize("prompt", [None, Prompt(transcript="no audio")])
def test_the_ground_truth_stands_in_for_a_prompt(verifier, make_item, prompt):
    score = only(verifier.score([make_item(level(0.5), prompt=prompt, ground_truth=level(0.2))]))
    assert score.value == pytest.approx(np.cos(0.3), abs=1e-6)
    assert score.values == {"sim": score.value}


def test_the_same_audio_is_fully_similar_and_never_more(verifier, make_item):
    values = [
        only(verifier.score([make_item(level(v), ground_truth=level(v))])).value for v in np.linspace(0.1, 1.0, 40)
    ]
    assert max(values) <= 1.0
    assert min(values) == pytest.approx(1.0, abs=1e-6)


def test_references_of_other_rates_are_resampled(verifier, make_item):
    time = np.arange(24_000) / 24_000
    sine = Clip((0.5 * np.sin(2 * np.pi * 200 * time)).astype(np.float32), 24_000)
    encoder = verifier._encoder
    seen = []
    encoder.embed = lambda clips: seen.extend(map(len, clips)) or [np.array([1.0, 0.0], np.float32) for _ in clips]
    verifier.score([make_item(sine, ground_truth=sine)])
    assert seen == [16_000, 16_000]


def test_without_a_reference_there_is_no_score(verifier, make_item, tmp_path: Path):
    text_file = tmp_path / "text.wav"
    text_file.write_text("not audio")
    nothing = level(0.0)
    unvoiced = level(0.005)
    items = [
        make_item(level(0.5)),
        make_item(level(0.5), prompt=Prompt(audio=tmp_path / "gone.wav")),
        make_item(level(0.5), prompt=Prompt(audio=text_file)),
        make_item(level(0.5), prompt=Prompt(audio=nothing)),
        make_item(level(0.5), prompt=Prompt(audio=unvoiced)),
        make_item(level(0.5), prompt=Prompt(audio=level(0.5))),
    ]
    scores = verifier.score(items)
    assert [score.failure and score.failure.kind for score in scores] == [FailureKind.NO_REFERENCE] * 5 + [None]
    assert "gone.wav" in scores[1].failure.message
    assert "text.wav" in scores[2].failure.message
    assert scores[5].value == pytest.approx(1.0, abs=1e-6)


def test_a_candidate_without_a_voice_fails_as_silent(verifier, make_item):
    scores = verifier.score([make_item(level(0.005), ground_truth=level(0.5))])
    assert only(scores).failure.kind is FailureKind.SILENT


def test_a_reference_is_embedded_once_and_a_batch_costs_one_call_for_all_candidates(verifier, make_item):
    prompt = Prompt(audio=level(0.7))
    items = [make_item(level(value), prompt=prompt) for value in (0.2, 0.3, 0.4)]
    verifier.score(items)
    assert verifier._encoder.calls == [1, 3]
    verifier.score([*items, make_item(level(0.2), prompt=Prompt(audio=level(0.7)))])
    assert verifier._encoder.calls[2:] == [4]


def test_a_replaced_file_is_a_new_reference(verifier, make_item, tmp_path: Path):
    path = tmp_path / "prompt.wav"
    item = make_item(level(0.5), prompt=Prompt(audio=path))
    write_audio(path, level(0.5))
    before = only(verifier.score([item])).value
    size, written = path.stat().st_size, path.stat().st_mtime_ns
    write_audio(path, level(0.9))
    os.utime(path, ns=(written, written + 1_000_000))
    assert path.stat().st_size == size
    assert only(verifier.score([item])).value < before - 0.05


def test_a_missing_file_is_looked_for_again(verifier, make_item, tmp_path: Path):
    path = tmp_path / "late.wav"
    item = make_item(level(0.5), prompt=Prompt(audio=path))
    assert only(verifier.score([item])).failure is not None
    write_audio(path, level(0.5))
    assert only(verifier.score([item])).value == pytest.approx(1.0, abs=1e-4)


def test_references_kept_are_bounded_and_still_right(verifier, make_item, monkeypatch):
    monkeypatch.setattr(references, "MAX_REFERENCES", 2)
    levels = (0.1, 0.2, 0.3, 0.4, 0.5)
    items = [make_item(level(0.5), prompt=Prompt(audio=level(value))) for value in levels]
    expected = [pytest.approx(np.cos(0.5 - value), abs=1e-6) for value in levels]
    for _ in range(2):
        assert [score.value for score in verifier.score(items)] == expected
        assert len(verifier._references) == 2


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("wavlm", "Did you mean 'wavlm-sv'"),
        ("/nowhere/wavlm_large_finetune.pth", "existing file or folder"),
        ("ge2e,devise=cpu", "Did you mean 'device'"),
        ("ge2e,device=tpu", "device is 'tpu'"),
        ("ge2e,reference=", "reference is ''"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_is_loaded(argument, message):
    with pytest.raises(ConfigError, match=message):
        create(argument)


def test_all_wrong_options_are_named_at_once():
    with pytest.raises(ConfigError) as caught:
        parse_options("ecapa,size=3,device=tpu")
    assert len(caught.value.problems) == 2


def test_a_setting_that_is_given_twice_is_refused():
    with pytest.raises(ConfigError, match="sets 'device' more than once"):
        parse_options("ecapa,device=cpu,device=cuda")


@pytest.mark.parametrize("argument", ["", "ge2e"])
def test_missing_weights_name_the_command(argument, monkeypatch, tmp_path):
    monkeypatch.setenv("TTS_EVAL_HOME", str(tmp_path))
    with pytest.raises(WeightsError, match="tts-eval fetch ge2e-resemblyzer"):
        create(argument)


def test_a_recording_is_not_compared_with_itself(verifier, make_item):
    item = make_item(level(0.5), ground_truth=level(0.5))
    truth = replace(item, candidate=replace(item.candidate, index=ground_truth.INDEX))
    assert only(verifier.score([truth])).failure.kind is FailureKind.NO_REFERENCE
    prompted = make_item(level(0.5), prompt=Prompt(audio=level(0.9)), ground_truth=level(0.5))
    truth = replace(prompted, candidate=replace(prompted.candidate, index=ground_truth.INDEX))
    assert only(verifier.score([truth])).value == pytest.approx(np.cos(0.4), abs=1e-6)


def test_the_worst_a_clip_can_get_is_the_lowest_cosine(verifier):
    assert [metric.worst for metric in verifier.metrics] == [-1.0]


def test_a_codec_adds_the_similarity_to_what_it_makes_of_the_prompt(make_item):
    heard = []

    def softer(clip: Clip) -> Clip:
        heard.append(clip)
        return Clip(clip.samples * 0.5, clip.rate)

    verifier = SpeakerVerifier(LoudnessEncoder(), "loudness+softer", resynthesise=softer)
    prompt = Prompt(audio=level(0.8))
    items = [make_item(level(value), prompt=prompt) for value in (0.4, 0.8)]
    scores = verifier.score(items)
    assert [metric.protocol for metric in verifier.metrics] == ["sim-o@1", "sim-r@1"]
    assert [s.values["sim"] for s in scores] == pytest.approx([np.cos(0.4), 1.0], abs=1e-6)
    assert [s.values["sim_r"] for s in scores] == pytest.approx([1.0, np.cos(0.4)], abs=1e-6)
    verifier.score(items)
    assert len(heard) == 1
    assert verifier._encoder.calls == [2, 2, 2]


def test_a_codec_that_loses_the_voice_leaves_nothing_to_compare_with(make_item):
    verifier = SpeakerVerifier(LoudnessEncoder(), "mute", resynthesise=lambda clip: Clip(clip.samples * 0, clip.rate))
    score = only(verifier.score([make_item(level(0.5), prompt=Prompt(audio=level(0.5)))]))
    assert score.failure.kind is FailureKind.NO_REFERENCE
    assert "codec" in score.failure.message


def test_clips_and_references_too_short_for_the_model_fail(verifier, make_item):
    blip = Clip(np.full(159, 0.5, np.float32), RATE)
    enough = Clip(np.full(160, 0.5, np.float32), RATE)
    items = [
        make_item(blip, ground_truth=level(0.5)),
        make_item(enough, ground_truth=level(0.5)),
        make_item(level(0.5), ground_truth=blip),
    ]
    kinds = [score.failure and score.failure.kind for score in verifier.score(items)]
    assert kinds == [FailureKind.SHORT, None, FailureKind.NO_REFERENCE]


def test_too_little_of_an_unfinished_candidate_is_undecided(verifier, make_item):
    def item(seconds: float, value: float, partial: bool):
        clip = Clip(np.full(round(seconds * RATE), value, np.float32), RATE)
        return replace(make_item(clip, ground_truth=level(0.5)), partial=partial)

    scores = verifier.score(
        [
            item(PARTIAL_SECONDS - 0.1, 0.5, True),
            item(PARTIAL_SECONDS - 0.1, 0.0, True),
            item(PARTIAL_SECONDS - 0.1, 0.5, False),
            item(PARTIAL_SECONDS, 0.5, True),
            item(PARTIAL_SECONDS, 0.005, True),
            item(PARTIAL_SECONDS, 0.005, False),
        ]
    )
    undecided, silent = FailureKind.UNDECIDED, FailureKind.SILENT
    assert [s.failure and s.failure.kind for s in scores] == [undecided, undecided, None, None, undecided, silent]
    assert all((score.value is None) == (score.failure is not None) for score in scores)


def test_the_voice_that_was_compared_comes_with_the_score(verifier, make_item):
    score = only(verifier.score([make_item(level(0.5), ground_truth=level(0.2))]))
    np.testing.assert_allclose(score.embedding, [np.cos(0.5), np.sin(0.5)], atol=1e-6)
