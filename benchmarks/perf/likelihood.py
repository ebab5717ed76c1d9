"""How much cheaper the likelihood of a known text is than a transcript.

Three recognitions hear the same clips of 4-8 s with the same weights and threads: `likelihood` (the verifier of that
name: encoder in a window of the clip's length, one pass of the decoder), `transcript` (encoder in the 16 s window and
beam search) and `both` (the `asr` verifier). Every run times all three, who goes first alternating. Wall seconds
mislead on a busy machine, so the processor seconds of all threads are counted too; ratios are medians over runs. The
likelihoods of the first and the last are compared as well.

    python -m benchmarks.perf.likelihood --data-dir DATA

DATA holds LibriSpeech/ in its official layout. The last line printed is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.perf.asr_batching import ASSETS, Read, read_librispeech, sample
from tts_eval.execution import available_cores
from verifiers import whisper_ctranslate2
from verifiers.recognition import RATE, Recogniser, Transcript, Utterance

CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}


def sides(recogniser: Recogniser, clips: Sequence[Read]) -> dict[str, Callable[[], list[Transcript]]]:
    """What is timed, by name."""
    both = [Utterance(audio_16k=clip.clip.at(RATE), text=clip.text, language="en") for clip in clips]
    alone = [replace(utterance, transcribe=False) for utterance in both]
    heard = [replace(utterance, text="") for utterance in both]
    return {
        "likelihood": lambda: recogniser.recognise(alone),
        "transcript": lambda: recogniser.recognise(heard),
        "both": lambda: recogniser.recognise(both),
    }


def measure(recogniser: Recogniser, clips: Sequence[Read], runs: int) -> dict[str, Any]:
    """Seconds of each side per run, the median ratios to `likelihood`, and how the likelihoods correlate."""
    works = sides(recogniser, clips)
    sides(recogniser, clips[:4])["both"]()
    taken: dict[str, list[float]] = {f"{side}_{clock}": [] for side in works for clock in CLOCKS}
    results: dict[str, list[Transcript]] = {}
    for run in range(runs):
        for side in list(works) if run % 2 == 0 else list(reversed(works)):
            before = {clock: read() for clock, read in CLOCKS.items()}
            results[side] = works[side]()
            for clock, read in CLOCKS.items():
                taken[f"{side}_{clock}"].append(read() - before[clock])
    ratios = {
        f"ratio_{side}_{clock}": statistics.median(
            slow / fast for slow, fast in zip(taken[f"{side}_{clock}"], taken[f"likelihood_{clock}"], strict=True)
        )
        for side in ("transcript", "both")
        for clock in CLOCKS
    }
    alone, beside = (
        np.array([each.log_prob / each.tokens for each in results[side]]) for side in ("likelihood", "both")
    )
    seconds = {name: [round(value, 2) for value in values] for name, values in taken.items()}
    return {"seconds": seconds, **ratios, "correlation": float(np.corrcoef(alone, beside)[0, 1])}


def main() -> None:
    """Measure, print a table and the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True, help="folder that holds LibriSpeech/")
    parser.add_argument("--clips", type=int, default=64, help="clips of 4-8 s")
    parser.add_argument("--runs", type=int, default=3, help="timed runs of each side")
    parser.add_argument("--threads", type=int, default=available_cores(), help="threads")
    parser.add_argument("--models", nargs="+", choices=list(ASSETS), default=list(ASSETS), help="checkpoints")
    options = parser.parse_args()
    clips = sample(read_librispeech(options.data_dir / "LibriSpeech", 4.0, 8.0), options.clips)
    results: dict[str, Any] = {"threads": options.threads, "clips": options.clips, "runs": options.runs}
    for name in options.models:
        recogniser = whisper_ctranslate2.load(name, threads=options.threads)
        found = results[name] = {"judge": recogniser.judge, **measure(recogniser, clips, options.runs)}
        print(f"{recogniser.judge}, {options.clips} clips; likelihoods correlate at {found['correlation']:.3f}")
        for side in ("likelihood", "transcript", "both"):
            wall, cpu = (statistics.median(found["seconds"][f"{side}_{clock}"]) for clock in CLOCKS)
            ratio = (
                ""
                if side == "likelihood"
                else f"   {found[f'ratio_{side}_wall']:.2f}x, {found[f'ratio_{side}_cpu']:.2f}x"
            )
            print(f"  {side:10}  {wall:7.2f} s wall  {cpu:7.2f} s cpu{ratio}")
    print(json.dumps(results))


if __name__ == "__main__":
    main()
