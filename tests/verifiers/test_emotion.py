"""Target, margin and similarity: which emotion is wanted, which failure, how often the classifier runs."""

from dataclasses import replace

import numpy as np
import pytest

from tts_eval.audio import Clip, write_audio
from tts_eval.emotions import Heard
from tts_eval.errors import ConfigError
from tts_eval.types import FailureKind, Prompt
from verifiers import references
from verifiers.emotion import EmotionVerifier, cosine, parse_options

RATE = 16_000
LABELS = ("neutral", "happy", "sad", "happy")


class LevelModel:
    """Hears 10 x the level as the probability of the first "happy"; the embedding is the level as an angle."""

    judge = "level"
    emotions = LABELS
    shortest_seconds = 0.25

    def __init__(self):
        self.calls = []

    def hear(self, clips_16k):
        self.calls.append(len(clips_16k))
        levels = [float(np.abs(clip).mean()) for clip in clips_16k]
        return [
            Heard(np.array([0.6 - level / 2, level, 0.3 - level / 2, 0.1]), np.array([np.cos(level), np.sin(level)]))
            for level in levels
        ]


@pytest.fixture
def model():
    return LevelModel()


def level(value: float, seconds: float = 1.0) -> Clip:
    """On average; every other 20 ms are louder, as no hum is."""
    louder = np.arange(round(seconds * RATE)) // 320 % 2 == 0
    return Clip(np.where(louder, 1.5 * value, 0.5 * value).astype(np.float32), RATE)


def only(scores):
    (score,) = scores
    return score


def test_target_and_margin_of_a_label(model, make_item):
    score = only(EmotionVerifier(model).score([make_item(level(0.2), metadata={"emotion": "happy"})]))
    # 0.2 and the 0.1 of the second label of that name, against 0.5 neutral
    assert score.value == score.values["target"] == pytest.approx(0.3, abs=1e-6)
    assert score.values["margin"] == pytest.approx(0.3 - 0.5, abs=1e-6)
    assert score.values["probability_sad"] == pytest.approx(0.2, abs=1e-6)
    assert dict(score.details) == {"wanted": "happy", "heard": "neutral"}
    np.testing.assert_allclose(score.embedding, [np.cos(0.2), np.sin(0.2)], atol=1e-6)


def test_hiss_has_no_emotion_and_is_not_heard(model, make_item):
    hiss = Clip(np.random.default_rng(0).normal(0, 0.1, RATE).astype(np.float32), RATE)
    score = only(EmotionVerifier(model).score([make_item(hiss, metadata={"emotion": "happy"})]))
    assert score.failure.kind is FailureKind.SILENT
    assert model.calls in ([], [0])


@pytest.mark.parametrize(
    ("metadata", "style", "wanted"),
    [
        ({"emotion": "Sadness"}, None, "sad"),
        ({}, "HAP", "happy"),
        ({"emotion": "neutral"}, "happy", "neutral"),
        ({"emotion": ""}, "开心/happy", "happy"),
    ],
)
def test_where_the_label_comes_from(model, make_item, metadata, style, wanted):
    item = make_item(level(0.2), metadata=metadata, prompt=Prompt(style=style))
    assert only(EmotionVerifier(model).score([item])).details["wanted"] == wanted


def test_without_a_known_label_there_is_no_score_and_nothing_is_heard(model, make_item):
    items = [
        make_item(level(0.2)),
        make_item(level(0.2), prompt=Prompt(style="with a trembling voice")),
        make_item(level(0.2), metadata={"emotion": "angry"}),
    ]
    scores = EmotionVerifier(model).score(items)
    assert [score.failure.kind for score in scores] == [FailureKind.NO_REFERENCE] * 3
    assert "no 'emotion'" in scores[0].failure.message
    assert "name one for all requests: emotion:,target=EMOTION" in scores[0].failure.message
    assert (
        "'with a trembling voice', which level does not know; it knows neutral, happy, sad" in scores[1].failure.message
    )
    assert not sum(model.calls)


def test_one_emotion_can_be_wanted_of_all_requests(model, make_item):
    items = [make_item(level(0.2)), make_item(level(0.2), metadata={"emotion": "sad"})]
    sad, joy = EmotionVerifier(model, "sad"), EmotionVerifier(model, "Joy")
    assert [score.details["wanted"] for score in sad.score(items)] == ["sad", "sad"]
    assert [score.value for score in joy.score(items)] == [pytest.approx(0.3, abs=1e-6)] * 2
    assert len({sad.judge, joy.judge, EmotionVerifier(model).judge, EmotionVerifier(model, "prompt").judge}) == 4


def test_an_emotion_that_the_model_does_not_know_is_refused_at_once(model):
    with pytest.raises(
        ConfigError, match=r"'neutrall', which level does not know\. Did you mean 'neutral'\? Expected label"
    ):
        EmotionVerifier(model, "neutrall")
    with pytest.raises(ConfigError, match=r"'angry', .* or one of neutral, happy, sad\."):
        EmotionVerifier(model, "angry")


def test_by_prompt_the_emotion_heard_there_is_wanted(model, make_item):
    item = make_item(level(0.1), prompt=Prompt(audio=level(0.6), style="sad"))
    score = only(EmotionVerifier(model, "prompt").score([item]))
    assert score.value == score.values["similarity"] == pytest.approx(np.cos(0.5), abs=1e-6)
    assert score.details["wanted"] == "happy"
    assert score.values["target"] == pytest.approx(0.2, abs=1e-6)
    assert score.values["margin"] == pytest.approx(0.2 - 0.55, abs=1e-6)


def test_the_two_targets_are_two_judges_with_their_own_metrics(model):
    by_label, by_prompt = EmotionVerifier(model), EmotionVerifier(model, "prompt")
    assert by_label.judge != by_prompt.judge
    assert [metric.name for metric in by_label.metrics] == ["target", "margin"]
    assert [metric.name for metric in by_prompt.metrics] == ["similarity", "target", "margin"]
    assert {metric.name: metric.worst for metric in by_prompt.metrics} == {"similarity": -1, "target": 0, "margin": -1}


def test_a_prompt_that_cannot_be_used_is_no_reference(model, make_item, tmp_path):
    prompts = [
        Prompt(style="happy"),
        Prompt(audio=tmp_path / "gone.wav"),
        Prompt(audio=level(0.0)),
        Prompt(audio=level(0.5, 0.2)),
        Prompt(audio=level(0.5)),
    ]
    items = [make_item(level(0.5), prompt=prompt) for prompt in prompts]
    scores = EmotionVerifier(model, "prompt").score([make_item(level(0.5)), *items])
    assert [score.failure and score.failure.kind for score in scores] == [FailureKind.NO_REFERENCE] * 5 + [None]
    assert "gone.wav" in scores[2].failure.message
    assert "has 0.200 s; the model needs 0.250 s" in scores[4].failure.message


def test_a_prompt_is_heard_once_and_a_batch_costs_one_call(model, make_item, tmp_path, monkeypatch):
    path = tmp_path / "prompt.wav"
    write_audio(path, level(0.5))
    verifier = EmotionVerifier(model, "prompt")
    items = [make_item(level(value), prompt=Prompt(audio=path)) for value in (0.2, 0.3)]
    verifier.score(items)
    verifier.score(items)
    assert model.calls == [1, 2, 2]
    monkeypatch.setattr(references, "MAX_REFERENCES", 1)
    verifier.score([make_item(level(0.2), prompt=Prompt(audio=level(0.9)))])
    assert len(verifier._prompts) == 1


def test_unfinished_speech_is_undecided_below_a_second_and_judged_above(model, make_item):
    items = [
        replace(make_item(level(0.2, seconds), metadata={"emotion": "happy"}), partial=partial)
        for seconds, partial in ((0.9, True), (1.1, True), (0.9, False), (0.2, False))
    ]
    verifier = EmotionVerifier(model)
    assert verifier.supports_partial
    failures = [score.failure and score.failure.kind for score in verifier.score(items)]
    assert failures == [FailureKind.UNDECIDED, None, None, FailureKind.SHORT]


def test_numbers_that_are_not_finite_are_the_classifiers_failure(model, make_item):
    model.hear = lambda clips: [Heard(np.full(4, np.nan), np.ones(2)) for _ in clips]
    score = only(EmotionVerifier(model).score([make_item(level(0.2), metadata={"emotion": "sad"})]))
    assert score.failure.kind is FailureKind.VERIFIER


def test_options():
    assert parse_options("") == ("", "", "label")
    assert parse_options("/m/a,device=cuda:1,target=prompt") == ("/m/a", "cuda:1", "prompt")
    with pytest.raises(ConfigError) as caught:
        parse_options("nano,devise=cpu,device=tpu,target=")
    assert "Did you mean 'device'?" in caught.value.problems[0]
    assert "device is 'tpu'" in caught.value.problems[1]
    assert "target is ''" in caught.value.problems[2]


def test_cosine_of_nothing_is_zero():
    assert cosine(np.zeros(2), np.ones(2)) == 0.0
    assert cosine(np.array([2.0, 0.0]), np.array([-1.0, 0.0])) == -1.0
