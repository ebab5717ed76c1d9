"""How much faster the `asr` verifier is than a loop over faster-whisper or openai-whisper, and does it hear as well?

All sides use the same weights, threads and clips: int8 in the verifier and faster-whisper, float32 in openai-whisper,
which knows no smaller number on a CPU. A loop calls `transcribe` once per clip, at temperature 0 (no second attempts),
without voice detection, timestamps and text of earlier clips, and only transcribes; the verifier also scores the
likelihood of the true text and counts word errors. Beam 5 is the default of faster-whisper and of the command line of
openai-whisper, whose Python function is greedy.

Speed: clips of 4-8 s. Every run times all sides, who goes first alternating; ratios are medians over runs, of wall
seconds and of the processor seconds of all threads, which a busy machine leaves alone. Words: WER against the true
text, on these clips and on more of 3-10 s, with a paired bootstrap interval of the difference (verifier minus loop,
10,000 resamples of clips, 95 %). `exact` keeps the 30 s window to hear what the loop over faster-whisper hears with
beam 5: the share of clips with the same transcript, word for word, capitals and punctuation included.

    python -m benchmarks.perf.asr_batching --data-dir DATA

DATA holds LibriSpeech/ in its official layout. The last line printed is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

import numpy as np

from benchmarks.perf.whisper_weights import save_openai
from tts_eval import weights
from tts_eval.audio import Clip, read_audio
from tts_eval.execution import available_cores
from tts_eval.text import load_protocol
from tts_eval.types import Candidate, FinishReason, Item, Request, Sampling
from verifiers import whisper_ctranslate2
from verifiers.asr import DEFAULT_PROTOCOL, AsrVerifier

ASSETS = {"tiny.en": "whisper-tiny.en", "base": "whisper-base"}
RESAMPLES = 10_000
CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}
VERIFIER, EXACT = "asr", "exact"
FASTER, FASTER_GREEDY, OPENAI, OPENAI_GREEDY = "faster-beam5", "faster-greedy", "openai-beam5", "openai-greedy"
SIDES = (VERIFIER, EXACT, FASTER, FASTER_GREEDY, OPENAI, OPENAI_GREEDY)


@dataclass(frozen=True, slots=True)
class Read:
    """A clip and the text read in it."""

    name: str
    clip: Clip
    text: str


Side: TypeAlias = Callable[[Sequence[Read]], list[str]]
"""Clips in, transcripts out."""


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


def load_sides(name: str, threads: int, wanted: Sequence[str]) -> dict[str, Side]:
    """Those of `SIDES` that are wanted, each hearing with the weights called `name`."""
    import torch
    from faster_whisper import WhisperModel

    torch.set_num_threads(threads)
    folder = weights.locate(ASSETS[name])
    fast = whisper_ctranslate2.load(name, threads=threads)
    exact = whisper_ctranslate2.load(name, exact=True, threads=threads)
    faster = WhisperModel(str(folder), compute_type=fast.judge.split(":")[2], cpu_threads=threads)
    openai = _openai_model(folder) if {OPENAI, OPENAI_GREEDY} & set(wanted) else None
    sides = {
        VERIFIER: verifying(AsrVerifier(fast)),
        EXACT: verifying(AsrVerifier(exact)),
        FASTER: looping(lambda audio: _faster(faster, audio, 5)),
        FASTER_GREEDY: looping(lambda audio: _faster(faster, audio, 1)),
        OPENAI: looping(lambda audio: _openai(openai, audio, 5)),
        OPENAI_GREEDY: looping(lambda audio: _openai(openai, audio, None)),
    }
    return {side: hear for side, hear in sides.items() if side in wanted}


def _openai_model(folder: Path) -> Any:
    import whisper

    with TemporaryDirectory() as scratch:
        return whisper.load_model(str(save_openai(folder, Path(scratch) / "whisper.pt")), device="cpu")


def verifying(verifier: AsrVerifier) -> Side:
    """The whole verifier, all clips in one call."""

    def hear(clips: Sequence[Read]) -> list[str]:
        items = [
            Item(
                request=Request(id=clip.name, text=clip.text),
                candidate=Candidate(index=0, seed=0, sampling=Sampling(), finish=FinishReason.EOS, clip=clip.clip),
            )
            for clip in clips
        ]
        return [result.details["transcript"] for result in verifier.score(items)]

    return hear


def looping(transcribe: Callable[[np.ndarray], str]) -> Side:
    """One call per clip."""
    return lambda clips: [transcribe(clip.clip.at(16_000)) for clip in clips]


def _faster(model: Any, audio_16k: np.ndarray, beam: int) -> str:
    segments, _ = model.transcribe(
        audio_16k,
        beam_size=beam,
        temperature=0.0,
        vad_filter=False,
        language="en",
        condition_on_previous_text=False,
        without_timestamps=True,
    )
    return " ".join(segment.text.strip() for segment in segments)


def _openai(model: Any, audio_16k: np.ndarray, beam: int | None) -> str:
    heard = model.transcribe(
        np.array(audio_16k),
        beam_size=beam,
        temperature=0.0,
        language="en",
        condition_on_previous_text=False,
        without_timestamps=True,
        fp16=False,
    )
    return str(heard["text"]).strip()


@dataclass(frozen=True, slots=True)
class Timed:
    """What a side took in each run, by clock, and what it heard in the last."""

    seconds: Mapping[str, Sequence[float]]
    transcripts: Sequence[str]


def measure(sides: Mapping[str, Side], clips: Sequence[Read], runs: int) -> dict[str, Timed]:
    """All sides on the same clips; each is warmed up by two of them."""
    for hear in sides.values():
        hear(clips[:2])
    seconds: dict[str, dict[str, list[float]]] = {side: {clock: [] for clock in CLOCKS} for side in sides}
    heard: dict[str, list[str]] = {}
    for run in range(runs):
        for side in list(sides)[:: 1 if run % 2 == 0 else -1]:
            before = {clock: read() for clock, read in CLOCKS.items()}
            heard[side] = sides[side](clips)
            for clock, read in CLOCKS.items():
                seconds[side][clock].append(read() - before[clock])
            took = ", ".join(f"{values[-1]:.1f} s {clock}" for clock, values in seconds[side].items())
            print(f"run {run + 1} of {runs}, {side}: {took}", file=sys.stderr)
    return {side: Timed(seconds[side], heard[side]) for side in sides}


def speed(timed: Mapping[str, Timed]) -> dict[str, dict[str, Any]]:
    """By side: seconds of each run, and how many times faster the verifier is, by clock."""
    fast = timed[VERIFIER].seconds
    return {
        side: {
            **{f"{clock}_seconds": [round(value, 2) for value in values] for clock, values in each.seconds.items()},
            **{
                f"ratio_{clock}": statistics.median(
                    slow / quick for slow, quick in zip(values, fast[clock], strict=True)
                )
                for clock, values in each.seconds.items()
            },
        }
        for side, each in timed.items()
    }


def accuracy(transcripts: Mapping[str, Sequence[str]], clips: Sequence[Read]) -> dict[str, dict[str, Any]]:
    """By side: corpus WER, and the bootstrap interval of the verifier's minus the side's."""
    protocol = load_protocol(DEFAULT_PROTOCOL)
    words = np.array([protocol.reference_length(clip.text) for clip in clips])
    errors = {
        side: np.array([protocol.counts(clip.text, text).errors for clip, text in zip(clips, texts, strict=True)])
        for side, texts in transcripts.items()
    }
    rows = np.random.default_rng(0).integers(0, len(clips), size=(RESAMPLES, len(clips)))
    found = {}
    for side, own in errors.items():
        difference = errors[VERIFIER] - own
        low, high = np.percentile(difference[rows].sum(axis=1) / words[rows].sum(axis=1), [2.5, 97.5])
        found[side] = {
            "clips": len(clips),
            "wer": float(own.sum() / words.sum()),
            "difference": float(difference.sum() / words.sum()),
            "difference_95": [float(low), float(high)],
        }
    return found


def agreement(transcripts: Mapping[str, Sequence[str]]) -> float | None:
    """Share of clips of which `exact` and the loop over faster-whisper with beam 5 give the same words."""
    if EXACT not in transcripts or FASTER not in transcripts:
        return None
    pairs = zip(transcripts[EXACT], transcripts[FASTER], strict=True)
    return statistics.mean(one.split() == other.split() for one, other in pairs)


def main() -> None:
    """Measure, print tables and the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True, help="folder that holds LibriSpeech/")
    parser.add_argument("--clips", type=int, default=64, help="clips of 4-8 s for the speed; 0 skips it")
    parser.add_argument("--wer-clips", type=int, default=200, help="clips of 3-10 s for the words; 0 skips them")
    parser.add_argument("--runs", type=int, default=3, help="timed runs of each side")
    parser.add_argument("--threads", type=int, default=available_cores(), help="threads of every side")
    parser.add_argument("--models", nargs="+", choices=list(ASSETS), default=list(ASSETS), help="checkpoints")
    parser.add_argument("--against", nargs="+", choices=SIDES[1:], default=SIDES[1:], help="what asr is compared with")
    options = parser.parse_args()

    folder = options.data_dir / "LibriSpeech"
    timed = sample(read_librispeech(folder, 4.0, 8.0), options.clips)
    more = sample(read_librispeech(folder, 3.0, 10.0), options.wer_clips)
    results: dict[str, Any] = {"threads": options.threads, "clips": options.clips, "runs": options.runs}
    for name in options.models:
        sides = load_sides(name, options.threads, (VERIFIER, *options.against))
        result: dict[str, Any] = {}
        if timed:
            found = measure(sides, timed, options.runs)
            heard = {side: each.transcripts for side, each in found.items()}
            result |= {"speed": speed(found), "words": accuracy(heard, timed), "same_words": agreement(heard)}
            print(f"{name}, {len(timed)} clips of 4-8 s, {options.threads} threads\n{table(result)}", flush=True)
        if more:
            # Beam 5 alone: the slower sides add nothing but hours.
            heard = {side: hear(more) for side, hear in sides.items() if side in (VERIFIER, EXACT, FASTER)}
            result["more"] = {"words": accuracy(heard, more), "same_words": agreement(heard)}
            print(f"{name}, {len(more)} clips of 3-10 s\n{table(result['more'])}", flush=True)
        results[name] = result
    print(json.dumps(results))


def table(result: Mapping[str, Any]) -> str:
    """The measurements on one set of clips, for people."""
    lines = [
        "                 wall s   cpu s   asr is faster: wall, cpu      WER   asr's WER minus this, 95 % interval"
    ]
    for side, words in result["words"].items():
        times = " " * 42
        if "speed" in result:
            took = result["speed"][side]
            wall, cpu = (statistics.median(took[f"{clock}_seconds"]) for clock in CLOCKS)
            times = f"{wall:6.1f}  {cpu:6.1f}   {took['ratio_wall']:14.2f}x {took['ratio_cpu']:7.2f}x "
        low, high = (100 * bound for bound in words["difference_95"])
        difference = f"{100 * words['difference']:+.2f} points [{low:+.2f}, {high:+.2f}]"
        lines.append(f"  {side:14} {times}  {words['wer']:6.2%}   {difference}")
    if result["same_words"] is not None:
        lines.append(f"  {EXACT} and {FASTER}: the same words in {result['same_words']:.1%} of the clips")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
