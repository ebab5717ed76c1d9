"""The recipe of emotion-nano: file names, folds, the closed form and the measures."""

import operator
import re
from functools import reduce
from pathlib import Path

import numpy as np
import pytest

from tts_eval.audio import Clip, write_audio
from tts_eval.emotion_nano import EmotionHead
from tts_eval.errors import DataError
from tts_eval.recipes import emotion
from tts_eval.recipes.emotion_data import (
    CLASSES,
    EMOTIONS,
    read_ravdess,
    read_speech,
    test_folds,
    test_folds_by_sentence,
)
from tts_eval.recipes.emotion_evaluation import average_recall, heard_emotions
from tts_eval.recipes.emotion_training import HeadSettings, Moments, best_temperature, tempered, train
from tts_eval.recipes.perturbations import UNSEEN, levelled, perturbed, resampled, stretched

for helper in (test_folds, test_folds_by_sentence):
    helper.__test__ = False  # their names are what they do, not tests
RATE = 16_000


@pytest.fixture(scope="module")
def ravdess(tmp_path_factory) -> Path:
    """All 24 actors, seven emotions, two sentences; an eighth of a second of noise each, and a file of another name."""
    folder = tmp_path_factory.mktemp("data") / "RAVDESS"
    random = np.random.default_rng(0)
    for actor in range(1, 25):
        (folder / f"Actor_{actor:02}").mkdir(parents=True)
        for code in (1, 2, 3, 4, 5, 6, 8):
            for sentence in (1, 2):
                clip = Clip(random.normal(0, 0.1, RATE // 8), RATE)
                write_audio(folder / f"Actor_{actor:02}/03-01-{code:02}-01-{sentence:02}-01-{actor:02}.wav", clip)
    write_audio(folder / "readme.wav", Clip(np.ones(800), RATE))
    return folder


def test_clips_are_known_by_their_names(ravdess):
    clips = read_ravdess(ravdess)
    assert len(clips) == 24 * 6 * 2
    assert [clip.name for clip in clips] == sorted(clip.name for clip in clips)
    found = {(clip.name[6:8], clip.emotion, clip.is_calm) for clip in clips}
    assert found == {
        ("01", "neutral", False),
        ("02", "neutral", True),
        ("03", "happy", False),
        ("04", "sad", False),
        ("05", "angry", False),
        ("08", "surprised", False),
    }


def test_no_actor_and_no_sentence_is_on_both_sides(ravdess):
    clips = read_ravdess(ravdess)
    tested = []
    for blocks, test in test_folds(clips):
        actors = {clips[index].actor for index in test}
        assert len(actors) == 6
        assert not {(actor - 1) // 6 for actor in actors} & {block.fold for block in blocks}
        tested += test
    assert sorted(tested) == list(range(len(clips)))
    tested = []
    for blocks, test in test_folds_by_sentence(clips):
        assert not {clips[index].sentence for index in test} & {block.sentence for block in blocks}
        assert not {clips[index].fold for index in test} & {block.fold for block in blocks}
        tested += test
    assert sorted(tested) == list(range(len(clips)))


def test_missing_actors_are_named(tmp_path):
    write_audio(tmp_path / "03-01-01-01-01-01-05.wav", Clip(np.ones(800), RATE))
    with pytest.raises(DataError, match=r"holds 1 clips .* none of actor 1, 2, 3, 4, 6, 7"):
        read_ravdess(tmp_path)


def test_read_speech_is_the_same_choice_every_time_and_keeps_speakers_apart(tmp_path):
    for speaker in ("a", "af_nova", "b", "c", "d"):
        (tmp_path / speaker / "chapter").mkdir(parents=True)
        for number in range(4):
            write_audio(tmp_path / speaker / "chapter" / f"{number}.wav", Clip(np.ones(800), RATE))
    clips = read_speech({tmp_path: 3}, np.random.default_rng(0))
    assert len({clip.name for clip in clips}) == 15
    assert clips == read_speech({tmp_path: 3}, np.random.default_rng(0))
    # Every third speaker, and the voice that no training may hear.
    assert {clip.speaker for clip in clips if clip.is_held_out} == {"a", "af_nova", "c"}
    with pytest.raises(DataError, match="holds no read speech"):
        read_speech({tmp_path / "gone": 3}, np.random.default_rng(0))


NAMES = ("a", "b", "c", "d", "e")


def rows_of_classes(random, count=400, size=6):
    """Five classes of one covariance, and read speech that moves along the last axis and lies far out on the first."""
    labels = np.arange(count) % 5
    centres = 2.0 * np.eye(5, size) + 10.0
    rows = centres[labels] + random.normal(size=(count, size)) @ np.diag(np.linspace(0.5, 1.5, size))
    read = centres[0] + 0.1 * random.normal(size=(60, size)) + np.outer(random.normal(size=60), np.eye(size)[5])
    return rows, labels, read + 4 * np.eye(size)[0]


def head_of(rows, labels, read, settings, names=NAMES):
    origin = np.full(rows.shape[1], 9.0)
    halves = [Moments.of(rows[part::2], labels[part::2], 5, origin) for part in (0, 1)]
    background = [Moments.of(read, np.zeros(len(read), int), 1, origin)] if len(read) else []
    return train(rows, reduce(operator.add, halves), background, origin, names, settings)


def discriminant_scores(rows, labels, read, settings, points, priors):
    """Linear discriminant analysis as the textbook has it, with explicit inverses, in the space of the directions."""
    mean, deviation = rows.mean(axis=0), rows.std(axis=0)
    z, points, read = (rows - mean) / deviation, (points - mean) / deviation, (read - mean) / deviation
    directions = np.linalg.svd(z - z.mean(axis=0), full_matrices=False)[2][: settings.directions].T
    z, points, read = z @ directions, points @ directions, read @ directions
    centres = np.array([z[labels == label].mean(axis=0) for label in range(5)])
    covariance = np.cov((z - centres[labels]).T, bias=True)
    covariance = covariance + settings.read * np.cov(read.T, bias=True) + settings.identity * np.eye(z.shape[1])
    offset = read.mean(axis=0) - centres[0]
    inverse = np.linalg.inv(covariance + settings.recording * np.outer(offset, offset))
    scores = np.array([[p @ inverse @ c - 0.5 * c @ inverse @ c for c in centres] for p in points]) + np.log(priors)
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(
    "settings",
    [
        HeadSettings(read=0, recording=0, identity=0.5),
        HeadSettings(read=0.7, recording=0, identity=0.5),
        HeadSettings(read=0.7, recording=0.3, identity=0.5),
        HeadSettings(directions=5),
    ],
)
def test_the_head_is_the_discriminant_analysis_of_the_textbook(settings):
    rows, labels, read = rows_of_classes(np.random.default_rng(0))
    head, points = head_of(rows, labels, read, settings), rows[:40]
    expected = discriminant_scores(rows, labels, read, settings, points, np.ones(5))
    np.testing.assert_allclose(head(points)[0], expected, atol=1e-3)
    assert head.hidden.shape == (4, 6)


def test_classes_of_one_emotion_share_its_prior():
    rows, labels, read = rows_of_classes(np.random.default_rng(0))
    head, points = head_of(rows, labels, read, HeadSettings(), ("a", "a", "c", "d", "e")), rows[:40]
    expected = discriminant_scores(rows, labels, read, HeadSettings(), points, np.array([0.5, 0.5, 1, 1, 1]))
    np.testing.assert_allclose(head(points)[0], expected, atol=1e-3)


def test_a_class_without_clips_is_an_error():
    rows, labels, _ = rows_of_classes(np.random.default_rng(0))
    with pytest.raises(ValueError, match="expected some of each of a, b"):
        head_of(rows[labels != 3], labels[labels != 3], [], HeadSettings())


def test_an_emotion_is_heard_by_the_sum_of_its_classes():
    places = np.log([[0.3], [0.3], [0.4], [1e-9], [1e-9], [1e-9]])
    zero, one = np.zeros(1), np.ones(1)
    head = EmotionHead(CLASSES, zero, one, np.zeros((1, 1)), one, places, np.zeros(6))
    assert heard_emotions(head, np.zeros((2, 1))).tolist() == [0, 0]


def test_the_temperature_makes_confidence_honest():
    random = np.random.default_rng(0)
    labels = random.integers(0, 5, 4000)
    honest = 2.0 * np.eye(5)[labels]
    flipped = random.random(4000) < 0.3
    labels[flipped] = random.integers(0, 5, flipped.sum())
    best = best_temperature(honest, labels)
    assert best_temperature(3.0 * honest, labels) == pytest.approx(3 * best, rel=0.03)
    rows, classes, _ = rows_of_classes(random)
    head = head_of(rows, classes, [], HeadSettings())
    np.testing.assert_array_equal(tempered(head, 4.0)(rows)[0].argmax(axis=1), head(rows)[0].argmax(axis=1))
    assert tempered(head, 4.0)(rows)[0].max() < head(rows)[0].max()


def test_average_recall_weights_classes_alike():
    assert average_recall(np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1])) == pytest.approx((2 / 3 + 1) / 2)


def test_disturbances_follow_from_the_generator_and_change_the_clip():
    time = np.arange(RATE) / RATE
    clip = levelled(np.sin(2 * np.pi * 200 * time) + 0.3 * np.sin(2 * np.pi * 1500 * time))
    for seed in range(6):
        first, again = (perturbed(clip, np.random.default_rng(seed)) for _ in range(2))
        np.testing.assert_array_equal(first, again)
        assert np.sqrt(np.mean(first**2)) == pytest.approx(0.06, rel=1e-3)
    for name, disturb in UNSEEN.items():
        made = disturb(clip, np.random.default_rng(0))
        assert made.dtype == np.float32
        assert np.isfinite(made).all()
        shared = min(len(made), len(clip))
        assert np.abs(made[:shared] - clip[:shared]).max() > 1e-3, name


def test_speed_moves_the_pitch_and_stretching_does_not():
    clip = levelled(np.sin(2 * np.pi * 200 * np.arange(2 * RATE) / RATE))

    def loudest(samples):
        return np.abs(np.fft.rfft(samples)).argmax() * RATE / len(samples)

    faster, longer = resampled(clip, 1.1), stretched(clip, 1.15)
    assert len(faster) / len(clip) == pytest.approx(1 / 1.1, rel=1e-3)
    assert loudest(faster) == pytest.approx(220, abs=1)
    assert len(longer) / len(clip) == pytest.approx(1.15, rel=1e-3)
    assert loudest(longer) == pytest.approx(200, abs=2)


class TinyFeatures:
    """Six numbers instead of the encoder's."""

    size = 6

    def __init__(self, weights: Path) -> None:
        self.asked = 0

    def rows(self, samples):
        self.asked += 1
        values = [samples.mean(), samples.std(), samples.max(), samples[0], samples[-1], len(samples) / RATE]
        return np.array([values], np.float32)


def test_the_recipe_writes_a_head_and_its_card_and_keeps_the_features(ravdess, tmp_path, monkeypatch, capsys):
    speaker = tmp_path / "reading" / "s1"
    speaker.mkdir(parents=True)
    (tmp_path / "reading" / "s2").mkdir()
    for number in range(6):
        clip = Clip(np.random.default_rng(number).normal(0, 0.1, 2 * RATE), RATE)
        write_audio(speaker.parent / f"s{1 + number % 2}" / f"{number}.wav", clip)
    made = []
    monkeypatch.setattr(emotion, "EmotionFeatures", lambda path: made.append(TinyFeatures(path)) or made[-1])
    command = ["--ravdess", str(ravdess), "--read", f"{tmp_path / 'reading'}:3", "--out", str(tmp_path / "out")]
    assert emotion.main(command) == 0
    head = EmotionHead.load(tmp_path / "out" / "model.safetensors")
    assert head.emotions == CLASSES
    assert set(CLASSES) == set(EMOTIONS)
    card = (tmp_path / "out" / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "288 speech clips" in card
    assert "| reading |" in card
    assert re.search(r"Of reading, no more than [\d.]+ % is called neutral", card)
    assert re.search(r"[\d.]+ % and [\d.]+ % are not from untouched data", card)
    assert all(f"| {name} |" in card for name in (*UNSEEN, "first-1"))
    before = (tmp_path / "out" / "model.safetensors").read_bytes()
    assert emotion.main(command) == 0
    assert made[0].asked > 0 == made[1].asked
    assert (tmp_path / "out" / "model.safetensors").read_bytes() == before
    assert emotion.main([*command[:3], "nowhere", *command[4:]]) == 2
    assert "expected FOLDER:CLIPS" in capsys.readouterr().err
