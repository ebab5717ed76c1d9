"""How well a small Llasa speaks and clones: sentences that no training heard, in voices that it knows and does not.

    python -m benchmarks.perf.nano_quality --data kokoro-speech --out runs/nano-quality

Two runs with reports of their own are made under OUT. `seen`: 100 held-out sentences behind prompts of
training voices, 16 candidates each, chosen by `asr:tiny.en` and judged by `asr:base`. `strangers`: sentences
behind prompts of voices that no training heard; a clip counts as cloned when its GE2E embedding is
nearer to its prompt than to the prompt of any other voice of the corpus. Also timed: one sample, and
sixteen of one sentence. The targets: WER at most 20 % and 8 %, 80 % cloned, RTF 0.6, 16 for the time of 4.
Prints a table; the last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks import runner
from benchmarks.meta_list import load_list
from benchmarks.perf.selection_rules import find_judge
from reports.pools import pool_of, ranks_of
from reports.read_run import read_run
from tts_eval import weights
from tts_eval.audio import Clip, read_audio, write_audio
from tts_eval.config import RunConfig
from tts_eval.errors import DataError
from tts_eval.ge2e import GE2EEncoder
from tts_eval.recipes.corpus import HELD_OUT_SPEAKERS, Utterance, is_held_out, read_corpus, stable_fraction
from tts_eval.seeds import candidate_seed
from tts_eval.synthesizers import load_synthesizer
from tts_eval.threads import share_cores
from tts_eval.types import Job, Request, Sampling, Synthesizer

RATE = 16_000
PROMPT_SECONDS = (2.5, 4.5)
TARGET_SECONDS = (2.0, 8.0)
JUDGE, RULE = "asr:base", "asr:tiny.en#wer + asr:tiny.en#likelihood"


def write_list(folder: Path, corpus: Sequence[Utterance], count: int, *, strangers: bool) -> Path:
    """A meta.lst of `count` held-out sentences, each behind a prompt of another voice in turn.

    Raises:
        DataError: the corpus has too few of either.
    """
    prompts = voice_prompts([each for each in corpus if (each.speaker in HELD_OUT_SPEAKERS) == strangers])
    low, high = TARGET_SECONDS
    sentences = {each.text: each for each in corpus if is_held_out(each.text) and low <= each.seconds <= high}
    chosen = sorted(sentences, key=stable_fraction)[:count]
    if len(chosen) < count or not prompts:
        raise DataError(
            f"The corpus has {len(chosen)} held-out sentences and {len(prompts)} voices; lower --sentences."
        )
    folder.mkdir(parents=True, exist_ok=True)
    voices = sorted(prompts)
    rows = []
    for number, text in enumerate(chosen):
        voice = voices[number % len(voices)]
        write_audio(folder / f"{voice}.flac", read_audio(prompts[voice].path))
        rows.append(f"{voice}-{number:03}|{prompts[voice].text}|{voice}.flac|{text}")
    (folder / "meta.lst").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder / "meta.lst"


def voice_prompts(corpus: Sequence[Utterance]) -> dict[str, Utterance]:
    """One clip for each voice, of a sentence that is not held out."""
    low, high = PROMPT_SECONDS
    fitting = [each for each in corpus if low <= each.seconds <= high and not is_held_out(each.text)]
    return {each.speaker: each for each in sorted(fitting, key=lambda each: stable_fraction(each.id), reverse=True)}


def speak(listing: Path, synthesizer: str, n: int, out: Path) -> dict[str, float]:
    """Run the list; returns the mean WER of one sample and of the chosen ones, and the coverage."""
    config = RunConfig(suite=f"list:{listing}", synth=synthesizer, n=n, verifier=RULE, judge=(JUDGE,))
    runner.run(config, out)
    results = read_run(out)
    sums = pool_of(results, find_judge(results, f"{JUDGE}#wer")).sums
    rows, best = np.arange(len(results.requests)), ranks_of(results).argmin(axis=1)
    return {
        "n": n,
        "requests": len(rows),
        "single_wer": float(sums.numerators.sum() / sums.denominators.sum()),
        "chosen_wer": float(sums.numerators[rows, best].sum() / sums.denominators[rows, best].sum()),
        "cut": float(np.mean([c.finish.value != "eos" for r in results.requests for c in r.candidates])),
    }


def cloned(out: Path, corpus: Sequence[Utterance]) -> dict[str, float]:
    """Share of a run's clips whose voice is nearest to their prompt's, of all voices, and the mean cosine to it."""
    encoder = GE2EEncoder(weights.locate("ge2e-resemblyzer") / "pretrained.pt")
    prompts = voice_prompts(corpus)
    voices = sorted(prompts)
    known = np.stack([_voice(encoder, read_audio(prompts[voice].path)) for voice in voices])
    hits, cosines = [], []
    for request in read_run(out).requests:
        target = voices.index(request.id.rsplit("-", 1)[0])
        for candidate in request.candidates:
            if candidate.audio is None:
                hits.append(False)
                continue
            similar = known @ _voice(encoder, read_audio(out / candidate.audio))
            hits.append(int(similar.argmax()) == target)
            cosines.append(float(similar[target]))
    return {
        "cloned": float(np.mean(hits)),
        "cosine": float(np.mean(cosines)),
        "clips": len(hits),
        "voices": len(voices),
    }


def _voice(encoder: GE2EEncoder, clip: Clip) -> np.ndarray:
    (voice,) = encoder.embed([clip.at(RATE)])
    return np.zeros(256, np.float32) if voice is None else voice


def timed(synthesizer: Synthesizer, request: Request, rounds: int) -> dict[str, float]:
    """Seconds of work per second of audio of one sample, and the time of sixteen over that of one."""
    ones, sixteens, factors = [], [], []
    for turn in range(rounds + 1):
        one, seconds = _time(synthesizer, request, 1, turn)
        sixteen, _ = _time(synthesizer, request, 16, turn)
        if turn:  # the first round warms up
            ones.append(one)
            sixteens.append(sixteen)
            factors.append(one / seconds)
    return {"rtf": float(np.median(factors)), "sixteen_over_one": float(np.median(sixteens) / np.median(ones))}


def _time(synthesizer: Synthesizer, request: Request, n: int, turn: int) -> tuple[float, float]:
    jobs = [
        Job(request=request, index=i, seed=candidate_seed(turn, request.id, i), sampling=Sampling()) for i in range(n)
    ]
    started = time.perf_counter()
    made = synthesizer.generate(jobs)
    return time.perf_counter() - started, sum(c.clip.seconds for c in made if c.clip is not None)


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="kokoro-speech, or another corpus with many voices")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--synth", default="llasa-nano")
    parser.add_argument("--sentences", type=int, default=100)
    parser.add_argument("--n", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5, help="of the timing")
    options = parser.parse_args(arguments)
    share_cores()
    corpus = read_corpus(options.data)
    record: dict[str, dict[str, float]] = {}
    for part, n in (("seen", options.n), ("strangers", 1)):
        listing = write_list(options.out / f"{part}-list", corpus, options.sentences, strangers=part == "strangers")
        record[part] = speak(listing, options.synth, n, options.out / part) | cloned(options.out / part, corpus)
    request = load_list(argument=str(options.out / "seen-list" / "meta.lst"), data_dir=None).requests[0]
    record["time"] = timed(load_synthesizer(options.synth), request, options.rounds)
    for part in ("seen", "strangers"):
        row = record[part]
        print(
            f"{part:10} {row['requests']:.0f} sentences, N = {row['n']:.0f}: WER of one {row['single_wer']:.1%}, "
            f"of the chosen {row['chosen_wer']:.1%}; cut {row['cut']:.1%}; cloned {row['cloned']:.0%} of "
            f"{row['clips']:.0f} clips among {row['voices']:.0f} voices, cosine {row['cosine']:.3f}"
        )
    print(
        f"one sample: RTF {record['time']['rtf']:.2f}; sixteen take {record['time']['sixteen_over_one']:.1f}x as long"
    )
    print(json.dumps(record))


if __name__ == "__main__":
    main()
