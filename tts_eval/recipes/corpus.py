"""Speech with its text, from the folder layouts that people have, and what no training may see.

`read_corpus` knows a folder by what lies in it: `metadata.tsv` (id, voice, seconds, text, phonemes
and VOICE/ID.opus), `metadata.csv` with `|` and `wavs/` (LJSpeech), `*.trans.txt` (LibriSpeech), or
`*.normalized.txt` beside each clip (LibriTTS). Only names, texts and durations are read here.

Held out of every training: the voices in `HELD_OUT_SPEAKERS` and about one sentence in twenty,
chosen by a hash of its words, so that the choice is the same in every corpus and as corpora grow.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tts_eval.audio import find_audio
from tts_eval.errors import DataError
from tts_eval.phonemes import phonemize

HELD_OUT_SPEAKERS = frozenset(
    # Four of Kokoro's 28 voices; of LibriSpeech's train-clean-5 the two women and the man whose names
    # have the lowest `stable_fraction`.
    {"af_nova", "am_liam", "bf_lily", "bm_fable", "librispeech-669", "librispeech-6272", "librispeech-460"}
)
HELD_OUT_TEXTS = 0.05
"""Share of all sentences: about 200 of the 4,267 in kokoro-speech."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Utterance:
    """One recorded sentence."""

    id: str
    """Unique among all corpora: starts with the name of its folder."""
    speaker: str
    text: str
    phonemes: str
    path: Path
    seconds: float


def read_corpus(folder: Path) -> list[Utterance]:
    """All utterances of a folder, in the order of their ids.

    Raises:
        DataError: the folder is in none of the known layouts, or a listing is broken.
        MissingDependencyError: the corpus comes without phonemes and piper-tts is not installed.
    """
    for marker, read in (
        ("metadata.tsv", _read_voices),
        ("metadata.csv", _read_ljspeech),
        ("**/*.trans.txt", _read_librispeech),
        ("**/*.normalized.txt", _read_libritts),
    ):
        if next(folder.glob(marker), None) is not None:
            return sorted(read(folder), key=lambda utterance: utterance.id)
    raise DataError(
        f"{folder} is no speech corpus: expected metadata.tsv, metadata.csv with wavs/ (LJSpeech), "
        "*.trans.txt (LibriSpeech) or *.normalized.txt (LibriTTS) in it."
    )


def split_held_out(utterances: Sequence[Utterance]) -> tuple[list[Utterance], list[Utterance]]:
    """What may be trained on, and what may not."""
    held_out = [each for each in utterances if each.speaker in HELD_OUT_SPEAKERS or is_held_out(each.text)]
    names = {each.id for each in held_out}
    return [each for each in utterances if each.id not in names], held_out


def is_held_out(text: str) -> bool:
    """Whether no training may hear this sentence; case and punctuation do not matter."""
    return stable_fraction(" ".join(re.findall(r"[a-z0-9']+", text.casefold()))) < HELD_OUT_TEXTS


def stable_fraction(text: str) -> float:
    """A number in [0, 1) that depends on the text alone."""
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2.0**64


def _read_voices(folder: Path) -> Iterator[Utterance]:
    for columns in _rows(folder / "metadata.tsv", "\t", 5):
        name, voice, seconds, text, phonemes = columns[:5]
        path = find_audio(folder / voice, name)
        if name != "id" and path is not None:
            yield Utterance(
                id=f"{folder.name}/{voice}/{name}",
                speaker=voice,
                text=text,
                phonemes=phonemes,
                path=path,
                seconds=float(seconds),
            )


def _read_ljspeech(folder: Path) -> Iterator[Utterance]:
    for columns in _rows(folder / "metadata.csv", "|", 2):
        path = find_audio(folder / "wavs", columns[0])
        if path is not None:
            yield _utterance(f"{folder.name}/{columns[0]}", folder.name, columns[-1], path)


def _read_librispeech(folder: Path) -> Iterator[Utterance]:
    for listing in folder.rglob("*.trans.txt"):
        for line in listing.read_text(encoding="utf-8").splitlines():
            name, _, text = line.partition(" ")
            path = find_audio(listing.parent, name)
            if path is not None:
                yield _utterance(f"librispeech/{name}", f"librispeech-{name.partition('-')[0]}", _spelled(text), path)


def _read_libritts(folder: Path) -> Iterator[Utterance]:
    for transcript in folder.rglob("*.normalized.txt"):
        name = transcript.name.removesuffix(".normalized.txt")
        path = find_audio(transcript.parent, name)
        if path is not None:
            text = transcript.read_text(encoding="utf-8").strip()
            yield _utterance(f"libritts/{name}", f"librispeech-{name.partition('_')[0]}", text, path)


def _rows(listing: Path, separator: str, columns: int) -> Iterator[list[str]]:
    for number, line in enumerate(listing.read_text(encoding="utf-8").splitlines(), start=1):
        row = line.split(separator)
        if len(row) < columns:
            raise DataError(
                f"{listing}, line {number}: {len(row)} columns, expected at least {columns} separated by {separator!r}."
            )
        yield row


def _spelled(capitals: str) -> str:
    return re.sub(r"\bi\b", "I", capitals.lower())


def _utterance(name: str, speaker: str, text: str, path: Path) -> Utterance:
    import soundfile

    try:
        seconds = soundfile.info(path).duration
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise DataError(f"{path} cannot be read as audio ({error}). Remove it, or make it again.") from error
    return Utterance(id=name, speaker=speaker, text=text, phonemes=phonemize(text), path=path, seconds=float(seconds))
