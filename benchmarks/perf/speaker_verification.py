"""How well the voice models of `speaker` tell speakers apart, and how fast they are.

Every clip of 3-10.5 s is compared with every other one, as the `speaker` verifier compares a candidate with its
prompt; the equal error rate is the share of pairs that are judged wrongly at the threshold at which pairs of one
speaker are refused as often as pairs of two are let pass. Then the beginnings of clips are compared with all whole
clips but their own: what `speaker` knows of a candidate that is not finished. Speed is processor time of one
embedding after the other, features included, beside that of GE2E, who goes first alternating.

    python -m benchmarks.perf.speaker_verification --data-dir DATA

DATA holds LibriSpeech/ in its official layout. With `--library` and `resemblyzer` installed, the rate of that library's
own embeddings is printed too. The last line printed is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.perf.asr_batching import Read, read_librispeech, sample
from verifiers.speaker_encoder import RATE, SpeakerEncoder
from verifiers.speaker_models import load_encoder

SHORTEST, LONGEST = 3.0, 10.5
RIVAL = "ge2e"
"""The model beside whose speed the others are put."""

Embed = Callable[[Sequence[np.ndarray]], Sequence[np.ndarray | None]]


def equal_error_rate(same: np.ndarray, other: np.ndarray) -> float:
    """Where as large a share of `same` [M] lies below a threshold as of `other` [N] lies at or above it.

    Between two thresholds that straddle that point, the line between them is followed.
    """
    thresholds = np.unique(np.concatenate([same, other, [np.inf]]))
    refused = np.searchsorted(np.sort(same), thresholds) / len(same)
    passed = 1.0 - np.searchsorted(np.sort(other), thresholds) / len(other)
    after = int(np.argmax(refused >= passed))
    before = max(after - 1, 0)
    gaps = passed[before] - refused[before], refused[after] - passed[after]
    share = gaps[0] / (gaps[0] + gaps[1]) if gaps[0] + gaps[1] > 0 else 0.0
    return float(refused[before] + share * (refused[after] - refused[before]))


def cosines(first: np.ndarray, second: np.ndarray, speakers: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Cosines of `first` [N, D] and `second` [N, D] but for those of one clip: of one speaker, of two."""
    similarity = first @ second.T
    is_same = np.array(speakers)[:, None] == np.array(speakers)
    others_clip = ~np.eye(len(speakers), dtype=bool)
    return similarity[is_same & others_clip], similarity[~is_same]


def embeddings(embed: Embed, audio: Sequence[np.ndarray]) -> np.ndarray:
    """One row per clip; zeros, which resemble nobody, where no voice is heard."""
    found = embed(audio)
    size = next(len(voice) for voice in found if voice is not None)
    return np.stack([np.zeros(size, np.float32) if voice is None else voice for voice in found])


def error_rates(embed: Embed, clips: Sequence[Read], beginnings: Sequence[float]) -> dict[str, float]:
    """Equal error rates of whole clips against whole clips, and of beginnings of so many seconds against whole ones."""
    speakers = [clip.name.partition("-")[0] for clip in clips]
    audio = [clip.clip.at(RATE) for clip in clips]
    whole = embeddings(embed, audio)
    found = {"whole": equal_error_rate(*cosines(whole, whole, speakers))}
    for seconds in beginnings:
        begun = embeddings(embed, [samples[: round(seconds * RATE)] for samples in audio])
        found[f"{seconds:g}"] = equal_error_rate(*cosines(begun, whole, speakers))
    return found


def measure_speed(encoders: dict[str, SpeakerEncoder], clips: Sequence[Read], runs: int) -> dict[str, float]:
    """Milliseconds of processor time per second of audio, the median of `runs`."""
    audio = [clip.clip.at(RATE) for clip in clips]
    spoken = sum(map(len, audio)) / RATE
    taken: dict[str, list[float]] = {name: [] for name in encoders}
    for encoder in encoders.values():
        encoder.embed(audio[:1])
    for run in range(runs):
        for name in list(encoders) if run % 2 == 0 else list(reversed(encoders)):
            started = time.process_time()
            encoders[name].embed(audio)
            taken[name].append(1000 * (time.process_time() - started) / spoken)
    return {name: statistics.median(values) for name, values in taken.items()}


def resemblyzer() -> Embed:
    """The library's own way from samples to an embedding, silences trimmed as in ours."""
    try:
        library: Any = import_module("resemblyzer")
    except ImportError as error:
        raise SystemExit("--library needs the package: pip install resemblyzer") from error
    encoder = library.VoiceEncoder("cpu", verbose=False)
    return lambda audio: [encoder.embed_utterance(library.preprocess_wav(samples.copy())) for samples in audio]


def main() -> None:
    """Measure, print a table and the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True, help="folder that holds LibriSpeech/")
    parser.add_argument("--clips", type=int, default=0, help="clips to compare; 0 is all of 3-10.5 s")
    parser.add_argument("--models", nargs="*", default=["campplus"], help="beside ge2e; what `speaker:` takes")
    parser.add_argument("--beginnings", nargs="*", type=float, default=[1.0, 1.5, 2.0, 3.0], help="in seconds")
    parser.add_argument("--runs", type=int, default=3, help="timed runs of each model")
    parser.add_argument("--timed-clips", type=int, default=16, help="clips that a timed run hears")
    parser.add_argument("--library", action="store_true", help="rate of the resemblyzer package's own embeddings too")
    options = parser.parse_args()
    clips = read_librispeech(options.data_dir / "LibriSpeech", SHORTEST, LONGEST)
    clips = sample(clips, options.clips or len(clips))
    loaded = {name: load_encoder(name) for name in dict.fromkeys([RIVAL, *options.models])}
    rates = {model.judge: error_rates(model.encoder.embed, clips, options.beginnings) for model in loaded.values()}
    if options.library:
        rates["resemblyzer's own"] = error_rates(resemblyzer(), clips, [])
    encoders = {model.judge: model.encoder for model in loaded.values()}
    speed = measure_speed(encoders, sample(clips, min(options.timed_clips, len(clips))), options.runs)
    speakers = len({clip.name.partition("-")[0] for clip in clips})
    print(f"{len(clips)} clips of {speakers} speakers; equal error rate, % (beginnings: seconds against whole clips)")
    for judge, found in rates.items():
        cost = f"   {speed[judge]:.1f} ms of processor per second of audio" if judge in speed else ""
        print(f"  {judge:40}  " + "  ".join(f"{name} {100 * rate:.2f}" for name, rate in found.items()) + cost)
    ratios = {judge: value / speed[loaded[RIVAL].judge] for judge, value in speed.items()}
    print(json.dumps({"clips": len(clips), "speakers": speakers, "eer": rates, "ms": speed, "ratio": ratios}))


if __name__ == "__main__":
    main()
