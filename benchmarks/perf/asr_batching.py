"""How much faster the `asr` verifier is than a loop over faster-whisper, and whether it hears as well.

Both sides use the same int8 weights, threads and clips. The loop calls `WhisperModel.transcribe` once per
clip and only transcribes; the verifier also scores the likelihood of the true text and counts word errors.
Speed: clips of 4-8 s, each run timing both sides, who goes first alternating; the ratio is the median over
runs. Accuracy: corpus WER against the true text on clips of 3-10 s, with a paired bootstrap interval of
the difference (verifier minus loop, 10,000 resamples of clips, 95 %).

    python -m benchmarks.perf.asr_batching --data-dir DATA

DATA holds LibriSpeech/ in its official layout. The last line printed is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tts_eval import weights
from tts_eval.audio import Clip, read_audio
from tts_eval.edits import ErrorCounts
from tts_eval.execution import available_cores
from tts_eval.text import load_protocol
from tts_eval.types import Candidate, FinishReason, Item, Request, Sampling
from verifiers import whisper_ctranslate2
from verifiers.asr import DEFAULT_PROTOCOL, AsrVerifier

ASSETS = {"tiny.en": "whisper-tiny.en", "base": "whisper-base"}
RESAMPLES = 10_000


@dataclass(frozen=True, slots=True)
class Read:
    """A clip and the text read in it."""

    name: str
    clip: Clip
    text: str


def read_librispeech(folder: Path, shortest: float, longest: float) -> list[Read]:
    """All clips of `shortest` to `longest` seconds under `folder`, in the order of their ids."""
    found = []
    for listing in sorted(folder.rglob("*.trans.txt")):
        for line in listing.read_text(encoding="utf-8").splitlines():
            name, _, text = line.partition(" ")
            path = listing.parent / f"{name}.flac"
            if path.is_file():
                clip = read_audio(path)
                if shortest <= clip.seconds <= longest:
                    found.append(Read(name, clip, text.capitalize()))
    return found


def sample(clips: Sequence[Read], count: int) -> list[Read]:
    """`count` of the clips, the same ones every time."""
    if len(clips) < count:
        raise SystemExit(f"Expected at least {count} clips of the wanted length, found {len(clips)}; use fewer clips.")
    chosen = np.random.default_rng(0).permutation(len(clips))[:count]
    return [clips[index] for index in sorted(chosen)]


def score(verifier: AsrVerifier, clips: Sequence[Read]) -> list[str]:
    """The whole verifier; returns its transcripts."""
    items = [
        Item(
            request=Request(id=clip.name, text=clip.text),
            candidate=Candidate(index=0, seed=0, sampling=Sampling(), finish=FinishReason.EOS, clip=clip.clip),
        )
        for clip in clips
    ]
    return [result.details["transcript"] for result in verifier.score(items)]


def loop(model: Any, clips: Sequence[Read], beam: int) -> list[str]:
    """One `transcribe` call per clip; returns the transcripts."""
    texts = []
    for clip in clips:
        segments, _ = model.transcribe(
            clip.clip.at(16_000),
            beam_size=beam,
            vad_filter=False,
            language="en",
            condition_on_previous_text=False,
            without_timestamps=True,
        )
        texts.append(" ".join(segment.text.strip() for segment in segments))
    return texts


def seconds(work: Callable[[], object]) -> float:
    """Wall seconds of one call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def measure_speed(verifier: AsrVerifier, model: Any, clips: Sequence[Read], runs: int) -> dict[str, Any]:
    """Seconds of each side per run, and the medians of the ratios within a run."""
    sides: dict[str, Callable[[], object]] = {
        "verifier": lambda: score(verifier, clips),
        "loop_beam5": lambda: loop(model, clips, 5),
        "loop_beam1": lambda: loop(model, clips, 1),
    }
    score(verifier, clips[:8])
    loop(model, clips[:2], 5)
    taken: dict[str, list[float]] = {side: [] for side in sides}
    for run in range(runs):
        for side in list(sides) if run % 2 == 0 else list(reversed(sides)):
            taken[side].append(seconds(sides[side]))
    ratios = {
        f"ratio_{side}": statistics.median(
            slow / fast for slow, fast in zip(taken[side], taken["verifier"], strict=True)
        )
        for side in ("loop_beam5", "loop_beam1")
    }
    return {**{f"{side}_seconds": [round(run, 2) for run in values] for side, values in taken.items()}, **ratios}


def measure_accuracy(verifier: AsrVerifier, model: Any, clips: Sequence[Read]) -> dict[str, Any]:
    """Corpus WER of both sides and the bootstrap interval of their difference."""
    protocol = load_protocol(DEFAULT_PROTOCOL)

    def counts(texts: Sequence[str]) -> list[ErrorCounts]:
        return [protocol.counts(clip.text, text) for clip, text in zip(clips, texts, strict=True)]

    ours, theirs = counts(score(verifier, clips)), counts(loop(model, clips, 5))
    words = np.array([count.reference_length for count in ours])
    difference = np.array([mine.errors - other.errors for mine, other in zip(ours, theirs, strict=True)])
    rows = np.random.default_rng(0).integers(0, len(clips), size=(RESAMPLES, len(clips)))
    low, high = np.percentile(difference[rows].sum(axis=1) / words[rows].sum(axis=1), [2.5, 97.5])
    return {
        "clips": len(clips),
        "wer_verifier": sum(count.errors for count in ours) / int(words.sum()),
        "wer_loop": sum(count.errors for count in theirs) / int(words.sum()),
        "difference": float(difference.sum() / words.sum()),
        "difference_95": [float(low), float(high)],
    }


def main() -> None:
    """Measure, print a table and the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True, help="folder that holds LibriSpeech/")
    parser.add_argument("--clips", type=int, default=64, help="clips of 4-8 s for the speed")
    parser.add_argument("--wer-clips", type=int, default=200, help="clips of 3-10 s for the accuracy; 0 skips it")
    parser.add_argument("--runs", type=int, default=3, help="timed runs of each side")
    parser.add_argument("--threads", type=int, default=available_cores(), help="threads of both sides")
    parser.add_argument("--models", nargs="+", choices=list(ASSETS), default=list(ASSETS), help="checkpoints")
    options = parser.parse_args()

    from faster_whisper import WhisperModel

    folder = options.data_dir / "LibriSpeech"
    timed = sample(read_librispeech(folder, 4.0, 8.0), options.clips)
    judged = sample(read_librispeech(folder, 3.0, 10.0), options.wer_clips) if options.wer_clips else []
    results: dict[str, Any] = {"threads": options.threads, "clips": options.clips, "runs": options.runs}
    for name in options.models:
        verifier = AsrVerifier(whisper_ctranslate2.load(name, threads=options.threads))
        model = WhisperModel(
            str(weights.locate(ASSETS[name])), compute_type=verifier.judge.split(":")[2], cpu_threads=options.threads
        )
        speed = measure_speed(verifier, model, timed, options.runs) if options.runs else {}
        accuracy = measure_accuracy(verifier, model, judged) if judged else {}
        results[name] = {"judge": verifier.judge, **speed, **accuracy}
        print(table(name, options.clips, results[name]))
    print(json.dumps(results))


def table(name: str, clips: int, result: dict[str, Any]) -> str:
    """The measurements of one model, for people."""
    lines = [f"{name}  ({result['judge']})"]
    if "ratio_loop_beam5" in result:
        for label, side in (
            ("asr verifier", "verifier"),
            ("loop, beam 5", "loop_beam5"),
            ("loop, beam 1", "loop_beam1"),
        ):
            median = statistics.median(result[f"{side}_seconds"])
            ratio = "" if side == "verifier" else f"   verifier is {result[f'ratio_{side}']:.2f}x as fast"
            lines.append(f"  {label:14} {clips} clips in {median:6.2f} s{ratio}")
    if "wer_loop" in result:
        low, high = (100 * bound for bound in result["difference_95"])
        lines.append(
            f"  WER on {result['clips']} clips: verifier {result['wer_verifier']:.2%}, loop {result['wer_loop']:.2%}"
        )
        lines.append(f"  difference {100 * result['difference']:+.2f} points, 95 % interval {low:+.2f} to {high:+.2f}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
