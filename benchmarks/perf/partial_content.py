"""Does the content score of unfinished speech tell right words from wrong ones while they are being said?

Correct speech: every clip is cut after 1.5 s, 2 s, 2.5 s ... and each beginning is judged by `asr` as an unfinished
candidate. Its word error rate against the best-matching prefix of the text should stay low at every length. The floor
is what the recogniser gets wrong in whole clips; what cutting adds shows in those clips that it hears right whole.
Wrong speech: in each clip one word of the text is replaced by the sound of another word that the same reader says
in another clip, cut at the quietest 20 ms near the word's limits. The rate just before that word is compared with
the rates up to 1.5 s after its end; 95 % intervals are bootstrap intervals over clips (10,000 resamples).
Beginnings of which fewer than two words are settled (`tts_eval.text`) are undecided and take no part in the means.

    python -m benchmarks.perf.partial_content --data-dir DATA

DATA holds LibriSpeech/ in its official layout. The last line printed is one JSON object.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.perf.asr_batching import ASSETS, RESAMPLES, Read, read_librispeech, sample
from tts_eval import weights
from tts_eval.audio import Clip
from tts_eval.text import load_protocol
from tts_eval.types import Candidate, FinishReason, Item, Request, Sampling
from verifiers import load_verifier
from verifiers.asr import DEFAULT_PROTOCOL

RATE = 16_000
STEP, FIRST = 0.5, 1.5
OFFSETS = (0.0, 0.5, 1.0, 1.5)
"""Seconds after the end of the wrong word."""


@dataclass(frozen=True, slots=True)
class Word:
    """One word as it is said in a clip."""

    text: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Spliced:
    """A clip with a wrong word in it."""

    clip: Clip
    text: str
    start: float
    """Where the wrong word begins, in seconds."""
    end: float


def said_words(model: Any, read: Read) -> list[Word]:
    """The words of a clip with their times; none where the recogniser hears other words than the text's."""
    protocol = load_protocol("librispeech@1")
    segments, _ = model.transcribe(read.clip.at(RATE), language="en", word_timestamps=True)
    words = [Word(protocol.reference(word.word), word.start, word.end) for part in segments for word in part.words]
    return words if " ".join(word.text for word in words) == protocol.reference(read.text) else []


def quietest(audio_16k: np.ndarray, seconds: float) -> int:
    """The sample within 80 ms of a time around which 20 ms are quietest."""
    first = max(int((seconds - 0.08) * RATE), 0)
    stretch = np.square(audio_16k[first : int((seconds + 0.08) * RATE)].astype(np.float64))
    return first + 160 + int(np.argmin(np.convolve(stretch, np.ones(320), mode="valid")))


def splice(read: Read, words: Sequence[Word], donor: Read, said: Sequence[Word]) -> Spliced | None:
    """`read` with its word nearest to the middle replaced by the longest strange word of `donor`."""
    known = {word.text for word in words}
    strange = [word for word in said if word.text not in known and len(word.text) > 3]
    inside = [
        word for word in words if word.start > 1.5 and read.clip.seconds - word.end > OFFSETS[-1] and len(word.text) > 3
    ]
    if not strange or not inside:
        return None
    wrong = max(strange, key=lambda word: word.end - word.start)
    place = min(inside, key=lambda word: abs(word.start - read.clip.seconds / 2))
    audio, other = read.clip.at(RATE), donor.clip.at(RATE)
    before, after = quietest(audio, place.start), quietest(audio, place.end)
    sound = other[quietest(other, wrong.start) : quietest(other, wrong.end)]
    joined = Clip(np.concatenate([audio[:before], sound, audio[after:]]), RATE)
    return Spliced(joined, read.text, before / RATE, (before + len(sound)) / RATE)


def splices(model: Any, clips: Sequence[Read], count: int) -> list[Spliced]:
    """Up to `count` clips with a wrong word of the same reader."""
    by_reader: dict[str, list[tuple[Read, list[Word]]]] = {}
    found: list[Spliced] = []
    for read in clips:
        words = said_words(model, read)
        if not words:
            continue
        others = by_reader.setdefault(read.name.partition("-")[0], [])
        for donor, said in others[-1:]:
            made = splice(read, words, donor, said)
            found += [made] if made else []
        others.append((read, words))
        if len(found) == count:
            break
    return found


def item(clip: Clip, text: str, *, partial: bool) -> Item:
    """A clip as a candidate."""
    candidate = Candidate(index=0, seed=0, sampling=Sampling(), finish=FinishReason.LENGTH, clip=clip)
    return Item(request=Request(id=f"{clip.seconds:.1f} s", text=text), candidate=candidate, partial=partial)


def beginning(clip: Clip, text: str, seconds: float) -> Item:
    """The first seconds of a clip as a candidate that is still being generated."""
    return item(Clip(clip.at(RATE)[: int(seconds * RATE)], RATE), text, partial=True)


def rates(verifier: Any, items: Sequence[Item]) -> np.ndarray:
    """Word error rate of each item, NaN where it is undecided."""
    return np.array([score.value if score.value is not None else np.nan for score in verifier.score(items)])


def measure_correct(verifier: Any, clips: Sequence[Read]) -> list[dict[str, Any]]:
    """Mean rate of correct speech by length, of all clips and of those that are heard right whole."""
    lengths = [np.arange(FIRST, clip.clip.seconds, STEP) for clip in clips]
    items = [beginning(clip.clip, clip.text, end) for clip, ends in zip(clips, lengths, strict=True) for end in ends]
    found, ends = rates(verifier, items), np.concatenate(lengths)
    whole = rates(verifier, [item(clip.clip, clip.text, partial=False) for clip in clips])
    right = np.repeat(whole == 0, [len(own) for own in lengths])
    table = [_row("whole", len(clips), whole, whole[whole == 0])]
    for end in np.unique(ends):
        there = ends == end
        if there.sum() >= min(10, len(clips)):  # fewer clips are this long than would make a mean
            table.append(_row(f"{end:.1f} s", int(there.sum()), found[there], found[there & right]))
    return table


def _row(length: str, clips: int, found: np.ndarray, right: np.ndarray) -> dict[str, Any]:
    decided, clean = found[np.isfinite(found)], right[np.isfinite(right)]
    return {
        "length": length,
        "clips": clips,
        "decided": len(decided),
        "wer": float(decided.mean()) if len(decided) else None,
        "right": len(clean),
        "wer_right": float(clean.mean()) if len(clean) else None,
    }


def _per_cent(rate: float | None) -> str:
    return "n/a" if rate is None else f"{rate:.1%}"


def measure_wrong(verifier: Any, clips: Sequence[Spliced]) -> list[dict[str, Any]]:
    """Mean rise of the rate over that before the wrong word, by seconds after its end."""
    times = [[clip.start, *(clip.end + offset for offset in OFFSETS)] for clip in clips]
    items = [beginning(clip.clip, clip.text, end) for clip, ends in zip(clips, times, strict=True) for end in ends]
    found = rates(verifier, items).reshape(len(clips), -1)
    found = found[np.isfinite(found).all(axis=1)]
    rows = np.random.default_rng(0).integers(0, len(found), size=(RESAMPLES, len(found)))
    table = []
    for column, offset in enumerate(OFFSETS, start=1):
        rise = found[:, column] - found[:, 0]
        low, high = np.percentile(rise[rows].mean(axis=1), [2.5, 97.5])
        table.append(
            {
                "after": offset,
                "clips": len(found),
                "wer_before": float(found[:, 0].mean()),
                "wer": float(found[:, column].mean()),
                "rise_95": [float(low), float(high)],
                "share_risen": float((rise > 0).mean()),
            }
        )
    return table


def main() -> None:
    """Measure, print two tables and the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True, help="folder that holds LibriSpeech/")
    parser.add_argument("--model", choices=list(ASSETS), default="tiny.en", help="the recogniser that judges")
    parser.add_argument("--clips", type=int, default=60, help="clips of correct speech")
    parser.add_argument("--spliced", type=int, default=60, help="clips with a wrong word")
    options = parser.parse_args()

    from faster_whisper import WhisperModel

    everything = read_librispeech(options.data_dir / "LibriSpeech", 4.0, 10.0)
    verifier = load_verifier(f"asr:{options.model}")
    correct = measure_correct(verifier, sample(everything, options.clips)) if options.clips else []
    print(f"{verifier.judge}, {DEFAULT_PROTOCOL}\n\ncorrect speech")
    print("  length  clips  undecided  mean prefix-WER  ... of clips heard right whole")
    for row in correct:
        rate, clean = _per_cent(row["wer"]), f"{_per_cent(row['wer_right'])} of {row['right']}"
        print(f"  {row['length']:>6}  {row['clips']:5}  {row['clips'] - row['decided']:9}  {rate:>15}  {clean:>29}")
    wrong = []
    if options.spliced:
        # The same checkpoint for everyone, so that every judge is given the same splices.
        aligner = WhisperModel(str(weights.locate(ASSETS["tiny.en"])), device="cpu", compute_type="int8")
        wrong = measure_wrong(verifier, splices(aligner, everything, options.spliced))
        print(f"\na wrong word in {wrong[0]['clips']} clips; before it {wrong[0]['wer_before']:.1%}")
        print("  seconds after its end  mean prefix-WER  rise, 95 % interval  clips that rose")
    for row in wrong:
        low, high = (100 * bound for bound in row["rise_95"])
        print(f"  {row['after']:21.1f}  {row['wer']:15.1%}  {low:+8.1f} to {high:+.1f}  {row['share_risen']:15.0%}")
    print(json.dumps({"judge": verifier.judge, "correct": correct, "wrong": wrong}))


if __name__ == "__main__":
    main()
