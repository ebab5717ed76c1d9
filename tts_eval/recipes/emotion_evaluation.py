"""How well an emotion head does on actors, sentences, recordings and speakers that it never heard."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tts_eval.emotion_nano import EmotionHead
from tts_eval.recipes.emotion_data import CLASSES, EMOTIONS, Acted, Block, test_folds, test_folds_by_sentence
from tts_eval.recipes.emotion_training import best_temperature

Train = Callable[[Sequence[Block]], EmotionHead]
"""A head from these blocks of clips."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Unweighted average recalls are means over folds."""

    recall: float
    """Unheard actors."""
    fold_recalls: tuple[float, ...]
    recall_without_calm: float
    """As `recall`, with the calm clips left out of the test."""
    recall_by_sentence: float
    """Unheard actors who say the unheard sentence."""
    recall_by_sentence_without_calm: float
    confusion: np.ndarray
    """Clips by true and heard emotion, [5, 5]."""
    temperature: float
    """Which makes the probabilities of unheard actors fit."""
    views: Mapping[str, float]
    """Recall of unheard actors in other views."""
    read: Mapping[str, np.ndarray]
    """Share of each emotion in read speech of unheard speakers, mean over folds, by corpus."""


def evaluate(
    clips: Sequence[Acted],
    clean: np.ndarray,
    train: Train,
    *,
    views: Mapping[str, tuple[Sequence[int], np.ndarray]],
    read: Mapping[str, np.ndarray],
) -> Evaluation:
    """Train a head for every fold and listen to what it did not hear.

    Args:
        clips: RAVDESS.
        clean: Features of the undisturbed clips, [clips, D].
        train: Makes a head.
        views: By name: the indices of the clips that the view has, and their features.
        read: Features of read speech of speakers that no head learns from, by corpus.
    """
    labels = np.array([EMOTIONS.index(clip.emotion) for clip in clips])
    classes = np.array([clip.label for clip in clips])
    loud = np.array([not clip.is_calm for clip in clips])
    logits = np.zeros((len(clips), len(CLASSES)))
    heard = np.zeros(len(clips), int)
    by_sentence = np.zeros(len(clips), int)
    seen: dict[str, list[float]] = {name: [] for name in views}
    shares: dict[str, list[np.ndarray]] = {corpus: [] for corpus in read}
    for training, testing in test_folds(clips):
        head = train(training)
        logits[testing] = head.logits(clean[testing])
        heard[testing] = heard_emotions(head, clean[testing])
        for name, (owners, rows) in views.items():
            mine = np.isin(owners, testing)
            seen[name].append(average_recall(labels[np.array(owners)[mine]], heard_emotions(head, rows[mine])))
        for corpus, rows in read.items():
            shares[corpus].append(np.bincount(heard_emotions(head, rows), minlength=len(EMOTIONS)) / len(rows))
    for training, testing in test_folds_by_sentence(clips):
        by_sentence[testing] = heard_emotions(train(training), clean[testing])
    tests = [testing for _, testing in test_folds(clips)]
    tests_by_sentence = [testing for _, testing in test_folds_by_sentence(clips)]
    confusion = np.zeros((len(EMOTIONS), len(EMOTIONS)), int)
    np.add.at(confusion, (labels, heard), 1)
    recalls = _recalls(labels, heard, tests)
    return Evaluation(
        recall=float(np.mean(recalls)),
        fold_recalls=tuple(recalls),
        recall_without_calm=float(np.mean(_recalls(labels, heard, tests, loud))),
        recall_by_sentence=float(np.mean(_recalls(labels, by_sentence, tests_by_sentence))),
        recall_by_sentence_without_calm=float(np.mean(_recalls(labels, by_sentence, tests_by_sentence, loud))),
        confusion=confusion,
        temperature=best_temperature(logits, classes),
        views={name: float(np.mean(values)) for name, values in seen.items()},
        read={corpus: np.mean(values, axis=0) for corpus, values in shares.items()},
    )


def average_recall(labels: np.ndarray, heard: np.ndarray) -> float:
    """Unweighted average recall: the mean over the classes there are of the share that is heard as what it is."""
    return float(np.mean([np.mean(heard[labels == label] == label) for label in np.unique(labels)]))


def _recalls(
    labels: np.ndarray, heard: np.ndarray, tests: Iterable[Sequence[int]], counted: np.ndarray | None = None
) -> list[float]:
    wanted = np.ones(len(labels), bool) if counted is None else counted
    kept = [np.array(test)[wanted[test]] for test in tests]
    return [average_recall(labels[test], heard[test]) for test in kept]


def heard_emotions(head: EmotionHead, rows: np.ndarray) -> np.ndarray:
    """Index in `EMOTIONS` of the most probable emotion of each row."""
    probabilities, _ = head(rows)
    columns = [probabilities[:, [name == emotion for name in head.emotions]].sum(axis=1) for emotion in EMOTIONS]
    found: np.ndarray = np.stack(columns, axis=1).argmax(axis=1)
    return found
