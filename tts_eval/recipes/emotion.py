"""Train `emotion-nano` on RAVDESS, measure it, and write it with its model card.

    python -m tts_eval.recipes.emotion --ravdess FOLDER --read FOLDER:CLIPS [FOLDER:CLIPS ...] --out FOLDER

FOLDER of --ravdess is the unpacked Audio_Speech_Actors_01-24; those of --read hold read speech, a folder per
speaker (LibriSpeech, any set of synthetic voices), of which so many clips are taken. OUT gets
`model.safetensors`, its card `MODEL_CARD.md`, and `features/`, which a second run uses again: features are
nearly all of the work, about ten minutes on one core.
The result is the same on every run. To ship it, copy the two files to `tts_eval/bundled/emotion-nano` and
its checksum to `tts_eval.weights.BUNDLED`.
"""

from __future__ import annotations

import argparse
import logging
import operator
import sys
from collections.abc import Mapping, Sequence
from functools import reduce
from pathlib import Path

import numpy as np

from tts_eval import weights
from tts_eval.emotion_features import EmotionFeatures
from tts_eval.emotion_nano import ENCODER, EmotionHead
from tts_eval.errors import ConfigError, TTSEvalError
from tts_eval.files import write_atomically, write_text_atomically
from tts_eval.recipes import emotion_views
from tts_eval.recipes.emotion_card import card
from tts_eval.recipes.emotion_data import CLASSES, Acted, Block, Read, blocks, read_ravdess, read_speech
from tts_eval.recipes.emotion_evaluation import evaluate
from tts_eval.recipes.emotion_training import HeadSettings, Moments, tempered, train
from tts_eval.recipes.perturbations import UNSEEN

logger = logging.getLogger(__name__)

PREFIXES = (1.0,)
"""Seconds after which unfinished speech is judged in the measurement."""


def make(ravdess: Path, read: Mapping[Path, int], out: Path) -> None:
    """Train, measure and write; everything that is there already is used.

    Raises:
        DataError: a folder does not hold what it should.
        WeightsError: the encoder has not been fetched.
    """
    clips = read_ravdess(ravdess)
    random = np.random.default_rng(0)
    spoken = read_speech(read, random)
    features = EmotionFeatures(weights.locate(ENCODER) / "model.bin")
    folder = out / "features"
    views = [
        emotion_views.acted_features(folder, view, clips, features)
        for view in (emotion_views.CLEAN, *emotion_views.DISTURBED)
    ]
    first_takes = [index for index, clip in enumerate(clips) if clip.repetition == 1]
    tests = {
        view: (
            first_takes,
            emotion_views.acted_features(folder, view, [clips[index] for index in first_takes], features),
        )
        for view in (*UNSEEN, *map(emotion_views.first, PREFIXES))
    }
    read_rows = emotion_views.read_features(folder, spoken, features, random)
    labels = np.array([clip.label for clip in clips])
    learned = np.array([not clip.is_held_out for clip in spoken])
    corpora = np.array([clip.corpus for clip in spoken])

    origin = views[0].mean(axis=0)
    parts = {
        block: Moments.of(
            np.concatenate([view[indices] for view in views]),
            np.tile(labels[indices], len(views)),
            len(CLASSES),
            origin,
        )
        for block, indices in blocks(clips).items()
    }
    read_parts = [
        Moments.of(rows, np.zeros(len(rows), int), 1, origin)
        for rows in (read_rows[learned & (corpora == corpus)] for corpus in dict.fromkeys(corpora.tolist()))
    ]

    def head_of(chosen: Sequence[Block]) -> EmotionHead:
        owners = blocks(clips)
        plain = views[0][[index for block in chosen for index in owners[block]]]
        acted = reduce(operator.add, (parts[block] for block in chosen))
        return train(plain, acted, read_parts, origin, CLASSES, HeadSettings())

    logger.info("twelve folds")
    evaluation = evaluate(
        clips,
        views[0],
        head_of,
        views={"undisturbed": (first_takes, views[0][first_takes]), "as in training": (range(len(clips)), views[1])}
        | tests,
        read={corpus: read_rows[~learned & (corpora == corpus)] for corpus in dict.fromkeys(corpora.tolist())},
    )
    head = tempered(head_of(list(parts)), evaluation.temperature)
    write_atomically(out / "model.safetensors", head.save)
    write_text_atomically(out / "MODEL_CARD.md", card(evaluation, _counts(clips, spoken)))
    logger.info(
        "recall %.1f %%, %.1f %% on unheard sentences: %s",
        100 * evaluation.recall,
        100 * evaluation.recall_by_sentence,
        out / "MODEL_CARD.md",
    )


def _counts(clips: Sequence[Acted], spoken: Sequence[Read]) -> dict[str, int]:
    return {
        "clips": len(clips),
        "read": sum(not clip.is_held_out for clip in spoken),
        "read_speakers": len({(clip.corpus, clip.speaker) for clip in spoken if not clip.is_held_out}),
        "held_out_speakers": len({(clip.corpus, clip.speaker) for clip in spoken if clip.is_held_out}),
    }


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tts_eval.recipes.emotion", description=__doc__.splitlines()[0] if __doc__ else None
    )
    parser.add_argument("--ravdess", type=Path, required=True, metavar="FOLDER", help="Audio_Speech_Actors_01-24")
    parser.add_argument(
        "--read", nargs="+", required=True, metavar="FOLDER:CLIPS", help="read speech, and how many clips a speaker"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where model, card and features go")
    return parser.parse_args(arguments)


def _read(texts: Sequence[str]) -> dict[Path, int]:
    parts = [text.rpartition(":") for text in texts]
    problems = [
        f"--read is '{text}'; expected FOLDER:CLIPS, e.g. LibriSpeech/train-clean-5:18."
        for text, (folder, _, count) in zip(texts, parts, strict=True)
        if not folder or not count.isdigit() or not int(count)
    ]
    if problems:
        raise ConfigError(problems)
    return {Path(folder): int(count) for folder, _, count in parts}


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit status, 2 for errors."""
    options = _parse(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    try:
        make(options.ravdess, _read(options.read), options.out)
    except TTSEvalError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
