r"""Train the speech codec of `llasa-nano`.

    python -m tts_eval.recipes.codec --data kokoro-speech --data LibriSpeech --out runs/codec --minutes 120
    python -m tts_eval.recipes.codec --data kokoro-speech --data LibriSpeech --out runs/codec --steps 30000 \
        --decay-steps 6000 --adversarial-from 15000

The same command goes on where the last one stopped, and ends with the weights an undisturbed run has.
The learning rate stays up until the last `--decay-steps` before `--steps`, so the end need not be
known at the start: train until it is good enough, then ask for the decay. OUT/codec holds the
averaged codec at all times. Prints one JSON object a line: losses, validation, checkpoints.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from tts_eval import weights
from tts_eval.errors import DataError, TTSEvalError
from tts_eval.recipes.checkpoints import LearningRate, steps_to_go
from tts_eval.recipes.clips import LONGEST, SHORTEST, ClipStore, prepare
from tts_eval.recipes.codec_batches import Batches, BatchSize
from tts_eval.recipes.codec_training import CodecTraining, Schedule
from tts_eval.recipes.codec_validation import validate
from tts_eval.recipes.corpus import HELD_OUT_SPEAKERS, Utterance, read_corpus, split_held_out, stable_fraction
from tts_eval.recipes.recogniser_distance import RecogniserDistance
from tts_eval.synthesizers.nano_codec import RATE, CodecConfig

VALIDATION_CLIPS = 24
"""From each corpus."""
VALIDATION_SECONDS = 8.0
_SCHEDULE, _SIZE, _CODEC = Schedule(), BatchSize(), CodecConfig()


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
    clips = options.clips or options.out / "clips"
    prepare_corpora(options.data, clips, speeds=options.speeds, processes=options.threads)
    schedule = Schedule(
        rate=LearningRate(rate=options.rate, steps=options.steps, decay_steps=options.decay_steps),
        adversarial_from=options.adversarial_from,
        phoneme_weight=options.phoneme_weight,
        recogniser_weight=options.recogniser_weight,
        freeze_encoder=options.freeze_encoder,
    )
    training = CodecTraining(
        CodecConfig(codes_per_second=options.codes_per_second, levels=tuple(options.levels)),
        schedule,
        device=torch.device(options.device),
        recogniser=RecogniserDistance(weights.locate("whisper-tiny.en") / "model.bin"),
        bf16=options.bf16,
        seed=options.seed,
    )
    size = BatchSize(seconds=options.batch_seconds, windows=options.windows)
    batches = Batches(ClipStore(clips / "training"), size, training.config.hop, options.seed)
    training.resume(options.out)
    train(training, batches, ClipStore(clips / "validation"), options)


def train(training: CodecTraining, batches: Batches, held_out: ClipStore, options: argparse.Namespace) -> None:
    """Step until `options.steps` or `options.minutes`, and leave a checkpoint."""
    saved = time.monotonic()
    log = _Log(options.log_every)
    for _ in steps_to_go(lambda: training.step, steps=options.steps, minutes=options.minutes):
        batch = batches.at(training.step)
        log.add(training.step, training.learn(batch), seconds=float(batch.frames.sum()) * training.config.hop / RATE)
        if training.step % options.validate_every == 0:
            _print(step=training.step, validation=validate(training.average, held_out, training.device)._asdict())
        if time.monotonic() - saved > 60 * options.checkpoint_minutes:
            training.save(options.out)
            saved = time.monotonic()
    training.save(options.out)
    _print(step=training.step, validation=validate(training.average, held_out, training.device)._asdict())


def prepare_corpora(folders: Sequence[Path], clips: Path, *, speeds: Sequence[float], processes: int) -> None:
    """Decode what may be trained on, and a few clips of each corpus that may not.

    Raises:
        DataError: a corpus cannot be read, or nothing in any of them is held out.
    """
    for folder in folders:
        free, held_out = split_held_out(read_corpus(folder))
        prepare(_validation_clips(held_out), clips / "validation", processes=processes)
        prepare(free, clips / "training", speeds=speeds, processes=processes)
    if not any((clips / "validation").glob("shard-*")):
        raise DataError(
            f"None of the clips of {2 * SHORTEST:g} to {min(VALIDATION_SECONDS, LONGEST):g} s is held out to validate "
            "with; expected one at least. About one sentence in twenty is: give more --data."
        )


def _validation_clips(held_out: Sequence[Utterance]) -> list[Utterance]:
    fitting = [each for each in held_out if 2 * SHORTEST <= each.seconds <= min(VALIDATION_SECONDS, LONGEST)]
    # Voices that no training heard say more than sentences that none did; a corpus may have only the latter.
    strangers = [each for each in fitting if each.speaker in HELD_OUT_SPEAKERS]
    return sorted(strangers or fitting, key=lambda each: stable_fraction(each.id))[:VALIDATION_CLIPS]


class _Log:
    """Means of what a few steps report."""

    def __init__(self, every: int) -> None:
        self._every = every
        self._reset()

    def _reset(self) -> None:
        self._started = time.monotonic()
        self._values: dict[str, list[Tensor]] = defaultdict(list)
        self._seconds = 0.0

    def add(self, step: int, report: dict[str, Tensor], *, seconds: float) -> None:
        for name, value in report.items():
            self._values[name].append(value.detach())
        self._seconds += seconds
        if (step + 1) % self._every == 0:
            self._print(step + 1)
            self._reset()

    def _print(self, step: int) -> None:
        wall = time.monotonic() - self._started
        counts = torch.bincount(torch.cat(self._values.pop("codes"))).float()
        shares = counts[counts > 0] / counts.sum()
        means = {name: round(float(torch.stack(values).mean()), 4) for name, values in self._values.items()}
        steps = len(self._values["spectral"])
        _print(
            step=step,
            **means,
            codes_used=len(shares),
            code_bits=round(float(-(shares * shares.log2()).sum()), 2),
            steps_per_second=round(steps / wall, 2),
            times_realtime=round(self._seconds / wall, 1),
        )


def _print(**values: object) -> None:
    print(json.dumps(values), flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tts_eval.recipes.codec", description="Train the nano codec.")
    add = parser.add_argument
    add("--data", type=Path, action="append", required=True, help="a corpus; may be given several times")
    add("--out", type=Path, required=True, help="checkpoints, and the codec")
    add("--clips", type=Path, help="where decoded clips are kept (OUT/clips)")
    add("--minutes", type=float, help="stop after so long")
    add("--steps", type=int, help="stop at this step")
    add("--decay-steps", type=int, default=0, help="let the learning rate fall over the last steps")
    add("--adversarial-from", type=int, help="the step at which the critic joins")
    add("--freeze-encoder", action="store_true", help="keep the tokens as they are, and train the decoder on")
    add("--rate", type=float, default=_SCHEDULE.rate.rate)
    add("--phoneme-weight", type=float, default=_SCHEDULE.phoneme_weight)
    add("--recogniser-weight", type=float, default=_SCHEDULE.recogniser_weight)
    add("--codes-per-second", type=int, default=_CODEC.codes_per_second)
    add("--levels", type=int, nargs="+", default=_CODEC.levels)
    add("--speeds", type=float, nargs="+", default=[1.0, 0.9, 1.1], help="playing speeds: each makes a new speaker")
    add("--batch-seconds", type=float, default=_SIZE.seconds)
    add("--windows", type=int, default=_SIZE.windows)
    add("--device", default="cpu", help="cpu or cuda")
    add("--bf16", action="store_true", help="compute in bfloat16 where it is safe")
    add("--threads", type=int, default=2)
    add("--seed", type=int, default=0)
    add("--log-every", type=int, default=50)
    add("--validate-every", type=int, default=1000)
    add("--checkpoint-minutes", type=float, default=5.0)
    return parser


if __name__ == "__main__":
    sys.exit(main())
