"""Clean English speech for training small models: sentences in, a folder of clips and phonemes out.

    python -m tts_eval.recipes.speech --texts FILE... --out FOLDER --engine piper --hours 7
    python -m tts_eval.recipes.speech --texts FILE... --out FOLDER --engine kokoro --hours 6 --voice-packs FOLDER

FOLDER is a `SpeechFolder`: `VOICE/ID.opus` (16 kHz, peak 0.8, 50 ms of silence at either end) and
`metadata.tsv` (id, voice, seconds, text, phonemes), whatever the engine.

Voice, temperature and noise of a sentence, and its place in the order, are hashes of the seed and its
words. So a killed run goes on where it stopped, and more texts or hours later only add clips.

Never said are the sentences and voices that `tts_eval.recipes.corpus` holds out of every training.
Not handled: sentences are not split or joined, and no recogniser checks what was said.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import os
import re
import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Protocol

from tts_eval import seeds, weights
from tts_eval.audio import Clip
from tts_eval.errors import ConfigError, DataError, SynthesisError, TTSEvalError
from tts_eval.phonemes import phonemize
from tts_eval.recipes.corpus import HELD_OUT_SPEAKERS, is_held_out
from tts_eval.recipes.speech_folder import SpeechFolder, read_metadata, trim
from tts_eval.synthesizers.kokoro_model import VOICES, Kokoro
from tts_eval.synthesizers.piper import EMBEDDED, PiperSynthesizer
from tts_eval.types import Job, Request, Sampling

logger = logging.getLogger(__name__)

SHORTEST_SECONDS, LONGEST_SECONDS = 1.5, 10.0
"""Sentences that are likely to last less or more are passed over."""
CHARACTERS_PER_SECOND = 17.8
"""Measured on 3.2 hours of Kokoro; Piper's joe differs by 5 %."""
COLDEST, HOTTEST = 0.6, 1.1
"""Range of Piper's temperatures."""
ENGINES = {"piper": ("piper_joe",), "kokoro": tuple(VOICES)}
"""Engine -> its voices."""
CLIPS_PER_THREAD = 8
"""Clips of a batch; a killed run loses no more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One sentence to be said, and how."""

    id: str
    voice: str
    text: str
    phonemes: str
    seed: int
    temperature: float


class Engine(Protocol):
    """Says lines."""

    def say(self, lines: Sequence[Line]) -> list[Clip | None]:
        """A clip per line, in order; None where the engine cannot say it."""
        ...


class PiperEngine:
    """The project's own Piper voice; several lines are said side by side."""

    def __init__(self, threads: int) -> None:
        voice = weights.fetch(EMBEDDED) / "en_US-joe-medium.onnx"
        self._synthesizer = PiperSynthesizer(voice, threads=threads)

    def say(self, lines: Sequence[Line]) -> list[Clip | None]:
        """A clip per line, with the line's own noise."""
        jobs = [
            Job(
                request=Request(id=line.id, text=line.text),
                index=0,
                seed=line.seed,
                sampling=Sampling(temperature=line.temperature),
            )
            for line in lines
        ]
        return [candidate.clip for candidate in self._synthesizer.generate(jobs)]


class KokoroEngine:
    """Kokoro's English voices; seed and temperature mean nothing to it."""

    def __init__(self, voice_packs: Path, voices: Sequence[str], threads: int) -> None:
        self._model = Kokoro(voice_packs, voices, threads)

    def say(self, lines: Sequence[Line]) -> list[Clip | None]:
        """A clip per line."""
        return [self._say(line) for line in lines]

    def _say(self, line: Line) -> Clip | None:
        try:
            return self._model.say(line.phonemes, line.voice)
        except SynthesisError as error:
            logger.warning("%s: %s", line.id, error)
            return None


def words_of(text: str) -> str:
    """The words alone: two sentences with equal words are the same sentence, whatever their punctuation."""
    return " ".join(re.findall(r"[^\W_]+", text.lower().replace("'", "")))


def plan(
    texts: Iterable[str],
    voices: Sequence[str],
    *,
    seed: int,
    without: Collection[str],
    phonemes_of: Callable[[str], str],
) -> Iterator[Line]:
    """What to say, in order; phonemes are made when a line is asked for.

    Args:
        texts: Sentences; those of unsuitable length and those held out are passed over.
        voices: Voices to choose from.
        seed: All choices follow from it and from the words of a sentence.
        without: `words_of` of sentences that exist elsewhere.
        phonemes_of: Text to phonemes.
    """
    chosen: dict[str, str] = {}
    for text in texts:
        words = words_of(text)
        if words and words not in without and _has_good_length(text) and not is_held_out(text):
            chosen.setdefault(words, " ".join(text.split()))
    for words in sorted(chosen, key=lambda words: (_number(f"{seed}\x1forder\x1f{words}"), words)):
        name = hashlib.blake2b(words.encode(), digest_size=5).hexdigest()
        random = seeds.generator(seeds.candidate_seed(seed, name, 0))
        yield Line(
            id=name,
            voice=voices[int(random.integers(len(voices)))],
            text=chosen[words],
            phonemes=phonemes_of(chosen[words]),
            seed=seeds.candidate_seed(seed, name, 1),
            temperature=round(random.uniform(COLDEST, HOTTEST), 3),
        )


def make(engine: Engine, lines: Iterable[Line], folder: SpeechFolder, *, hours: float, batch: int) -> int:
    """Say lines that the folder lacks until it has that many hours; returns how many clips were made.

    A line without sound is left out; the next run tries it again.
    """
    started, before, made = time.perf_counter(), folder.seconds, 0
    left = (line for line in lines if line.id not in folder.ids)
    while folder.seconds < hours * 3600 and (group := list(islice(left, batch))):
        for line, clip in zip(group, engine.say(group), strict=True):
            samples = trim(clip) if clip is not None else None
            if samples is None:
                logger.warning("%s: no sound for %r", line.id, line.text)
                continue
            folder.add(samples, id=line.id, voice=line.voice, text=line.text, phonemes=line.phonemes)
            made += 1
            if made % 200 == 0:
                speed = (folder.seconds - before) / (time.perf_counter() - started)
                logger.info("%d clips, %.2f of %g h, %.1f x real time", made, folder.seconds / 3600, hours, speed)
    return made


def _has_good_length(text: str) -> bool:
    return SHORTEST_SECONDS <= len(text) / CHARACTERS_PER_SECOND <= LONGEST_SECONDS


def _number(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tts_eval.recipes.speech", description=__doc__.splitlines()[0] if __doc__ else None
    )
    parser.add_argument("--texts", nargs="+", type=Path, required=True, metavar="FILE", help="one sentence a line")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="corpus to make or to go on with")
    parser.add_argument("--engine", choices=ENGINES, required=True, help="who speaks")
    parser.add_argument("--hours", type=float, required=True, help="stop when the corpus is that long")
    parser.add_argument("--voices", nargs="+", help="default: all of the engine that are not held out")
    parser.add_argument("--voice-packs", type=Path, metavar="FOLDER", help="Kokoro's VOICE.bin files")
    parser.add_argument(
        "--skip", nargs="+", type=Path, default=[], metavar="METADATA", help="corpora whose sentences to pass over"
    )
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="processor threads")
    parser.add_argument("--seed", type=int, default=0, help="all choices follow from it")
    return parser.parse_args(arguments)


def _voices(options: argparse.Namespace) -> list[str]:
    known = [voice for voice in ENGINES[options.engine] if voice not in HELD_OUT_SPEAKERS]
    problems = [
        f"--voices: '{voice}' is {'held out of every training' if voice in HELD_OUT_SPEAKERS else 'unknown'}; "
        f"expected some of {', '.join(known)}."
        for voice in options.voices or []
        if voice not in known
    ]
    if options.engine == "kokoro" and options.voice_packs is None:
        problems.append(
            "--engine kokoro needs --voice-packs FOLDER: npm pack kokoro-js@1.2.1 has it as package/voices."
        )
    if options.threads < 1:
        problems.append(f"--threads is {options.threads}; expected 1 or more.")
    if problems:
        raise ConfigError(problems)
    return options.voices or known


def _load(options: argparse.Namespace, voices: Sequence[str]) -> Engine:
    if options.engine == "piper":
        return PiperEngine(options.threads)
    return KokoroEngine(options.voice_packs, voices, options.threads)


def _sentences(paths: Iterable[Path]) -> Iterator[str]:
    for path in paths:
        try:
            yield from path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{path} cannot be read as text ({error}); expected one sentence a line.") from error


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit status: 1 where the texts do not last for --hours, 2 for errors."""
    options = _parse(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    try:
        voices = _voices(options)
        spoken = {words_of(row.text) for path in options.skip for row in read_metadata(path)}
        lines = plan(_sentences(options.texts), voices, seed=options.seed, without=spoken, phonemes_of=phonemize)
        with SpeechFolder(options.out) as folder:
            engine = _load(options, voices)
            made = make(engine, lines, folder, hours=options.hours, batch=CLIPS_PER_THREAD * options.threads)
            logger.info("made %d clips; %s has %d, %.2f h", made, options.out, len(folder.ids), folder.seconds / 3600)
    except TTSEvalError as error:
        print(error, file=sys.stderr)
        return 2
    if folder.seconds < options.hours * 3600:
        print(f"The texts ended before {options.hours:g} h; give more --texts.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
