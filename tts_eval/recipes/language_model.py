r"""Train the language model of `llasa-nano` on the tokens of a trained codec.

    python -m tts_eval.recipes.language_model --data kokoro-speech --data LibriSpeech --codec runs/codec/codec \
        --out runs/nano --minutes 120

The same command goes on where the last one stopped, and ends with the weights an undisturbed run has.
OUT/model is a checkpoint that `llasa:OUT/model` reads, at all times. Data may be any folder that
`tts_eval.recipes.corpus` knows, so a lab can train its own small model. Prints one JSON object a line.
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tts_eval.errors import DataError, TTSEvalError
from tts_eval.recipes.checkpoints import LearningRate, steps_to_go
from tts_eval.recipes.clips import ClipStore
from tts_eval.recipes.codec import prepare_corpora
from tts_eval.recipes.coded_speech import CodedClip, coded_clips, phonemes_by_id
from tts_eval.recipes.corpus import read_corpus
from tts_eval.recipes.language_batches import Batch, Batches, Sequenced, SequenceSettings, collate, join
from tts_eval.recipes.language_training import LanguageTraining, ModelShape
from tts_eval.synthesizers.llasa.checkpoint import digest
from tts_eval.synthesizers.llasa.words import split_words
from tts_eval.synthesizers.nano_codec import RATE, NanoCodec
from tts_eval.synthesizers.nano_speech import save_default_voice
from tts_eval.synthesizers.phoneme_alignment import PhonemeAligner

VALIDATION_CLIPS = 48
_SEQUENCES = SequenceSettings()
_SHAPE = ModelShape(codec="", levels=(), codes_per_second=0)


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line and train; returns the exit status, 2 for errors with a way out."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO)
    try:
        make(options)
    except TTSEvalError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def make(options: argparse.Namespace) -> None:
    """Prepare what is not there yet, and train."""
    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    codec = NanoCodec.load(options.codec).to(device)
    revision = digest(options.codec)
    clips = options.clips or options.out / "clips"
    prepare_corpora(options.data, clips, speeds=options.speeds, processes=options.threads)
    phonemes = phonemes_by_id(utterance for folder in options.data for utterance in read_corpus(folder))
    aligner = PhonemeAligner.load(options.codec, device)
    coded = {
        part: coded_clips(ClipStore(clips / part), phonemes, codec, aligner, options.out / "codes" / revision / part)
        for part in ("training", "validation")
    }
    shape = ModelShape(
        codec=revision,
        levels=codec.config.levels,
        codes_per_second=RATE // codec.config.hop,
        width=options.width,
        layers=options.layers,
        dropout=options.dropout,
    )
    rate = LearningRate(rate=options.rate, steps=options.steps, decay_steps=options.decay_steps)
    training = LanguageTraining(shape, rate, device=device, bf16=options.bf16, seed=options.seed)
    settings = SequenceSettings(
        tokens=options.batch_tokens,
        longest=shape.longest,
        shortest_first_steps=options.shortest_first_steps,
        code_noise=options.code_noise,
    )
    batches = Batches(coded["training"], training.vocabulary, settings, options.seed)
    training.resume(options.out)
    training.export(options.out / "model")
    add_codec(options.out / "model", options.codec, ClipStore(clips / "training"))
    train(training, batches, coded["validation"], options)


def add_codec(model: Path, codec: Path, store: ClipStore) -> None:
    """Put the codec into the model's folder, and the voice that is heard most as its default voice."""
    speakers = Counter(clip.speaker for clip in store.clips)
    ((speaker, _),) = speakers.most_common(1)
    voices = store.voices[[clip.speaker == speaker for clip in store.clips]]
    shutil.copytree(codec, model / "codec", dirs_exist_ok=True)
    save_default_voice(model / "codec", torch.nn.functional.normalize(torch.from_numpy(voices).mean(0), dim=0))


def train(
    training: LanguageTraining, batches: Batches, held_out: Sequence[CodedClip], options: argparse.Namespace
) -> None:
    """Step until `options.steps` or `options.minutes`, and leave a checkpoint."""
    saved = logged = time.monotonic()
    right, wrong = validation_batches(held_out, training)
    losses: list[dict[str, Tensor]] = []
    tokens = 0
    for _ in steps_to_go(lambda: training.step, steps=options.steps, minutes=options.minutes):
        batch = batches.at(training.step)
        losses.append(training.learn(batch))
        tokens += int(batch.mask.sum())
        if training.step % options.log_every == 0:
            seconds = time.monotonic() - logged
            means = {name: round(float(torch.stack([row[name] for row in losses]).mean()), 4) for name in losses[0]}
            _print(step=training.step, **means, tokens_per_second=round(tokens / seconds))
            losses, tokens, logged = [], 0, time.monotonic()
        if training.step % options.validate_every == 0:
            _print(step=training.step, validation=training.validate(right, wrong)._asdict())
        if time.monotonic() - saved > 60 * options.checkpoint_minutes:
            training.save(options.out)
            saved = time.monotonic()
    training.save(options.out)
    _print(step=training.step, validation=training.validate(right, wrong)._asdict())


def validation_batches(held_out: Sequence[CodedClip], training: LanguageTraining) -> tuple[Batch, Batch]:
    """Held-out speech behind its own words, and each word's behind one of the next clip's.

    Raises:
        DataError: there is no held-out speech.
    """
    if not held_out:
        raise DataError(
            "None of the held-out clips could be aligned with its text, so there is nothing to validate with; "
            "expected one at least. Give more --data, or a codec whose phoneme head knows this speech."
        )
    clips = sorted(held_out[:VALIDATION_CLIPS], key=lambda clip: len(clip.codes))
    random = np.random.default_rng(0)
    right = [join([clip]) for clip in clips]
    wrong = [_misread(row, other) for row, other in zip(right, [*right[1:], right[0]], strict=True)]
    first, second = (collate(rows, training.vocabulary, 0.0, random) for rows in (right, wrong))
    return first, second


def _misread(row: Sequenced, other: Sequenced) -> Sequenced:
    """The speech of `row`, each word of it behind one of `other`."""
    spoken = split_words(row.phonemes, row.codes, row.places)
    strange = other.phonemes.split()
    chosen = [strange[index % len(strange)] for index in range(len(spoken))]
    starts = np.cumsum([0, *(len(word) + 1 for word in chosen)])[: len(chosen)]
    return Sequenced(" ".join(chosen), row.codes, np.repeat(starts, [len(codes) for _, codes in spoken]))


def _print(**values: object) -> None:
    print(json.dumps(values), flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tts_eval.recipes.language_model", description="Train the nano language model."
    )
    add = parser.add_argument
    add("--data", type=Path, action="append", required=True, help="a corpus; may be given several times")
    add("--codec", type=Path, required=True, help="folder of the trained codec")
    add("--out", type=Path, required=True, help="checkpoints, codes, and the model")
    add("--clips", type=Path, help="where decoded clips are kept (OUT/clips)")
    add("--minutes", type=float, help="stop after so long")
    add("--steps", type=int, help="stop at this step")
    add("--decay-steps", type=int, default=0, help="let the learning rate fall over the last steps")
    add("--rate", type=float, default=1.5e-3)
    add("--width", type=int, default=_SHAPE.width)
    add("--layers", type=int, default=_SHAPE.layers)
    add("--dropout", type=float, default=_SHAPE.dropout)
    add("--batch-tokens", type=int, default=_SEQUENCES.tokens)
    add("--shortest-first-steps", type=int, default=1000, help="sequences grow over these first steps")
    add("--code-noise", type=float, default=_SEQUENCES.code_noise, help="share of heard codes that are replaced")
    add("--speeds", type=float, nargs="+", default=[1.0, 0.9, 1.1], help="playing speeds: each makes a new speaker")
    add("--device", default="cpu", help="cpu or cuda")
    add("--bf16", action="store_true", help="compute in bfloat16 where it is safe")
    add("--threads", type=int, default=2)
    add("--seed", type=int, default=0)
    add("--log-every", type=int, default=50)
    add("--validate-every", type=int, default=500)
    add("--checkpoint-minutes", type=float, default=5.0)
    return parser


if __name__ == "__main__":
    sys.exit(main())
