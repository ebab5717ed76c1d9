"""Clips of any length through a recogniser that hears 30 s.

A long clip is cut where it is quietest, between the 20th and the 30th second of each piece, and
the transcripts of its pieces are joined. The wanted text is divided among the pieces where the
joined transcript aligns with it, so the text's log-probability is a sum over pieces too.
Not handled: carrying the text of one piece into the next as context.
"""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tts_eval.audio import SILENCE_DBFS
from verifiers.recognition import MAX_SECONDS, RATE, Recogniser, Transcript, Utterance

_EARLIEST_CUT_SECONDS = 20.0
_FRAME = RATE // 50


def recognise(recogniser: Recogniser, utterances: Sequence[Utterance]) -> list[Transcript]:
    """One transcript per utterance of any length, in order.

    The pieces of long clips are heard twice: their share of the wanted text is known only when all have been heard.
    """
    cut = [_audible(pieces(utterance.audio_16k)) for utterance in utterances]
    flat = [
        replace(utterance, audio_16k=audio, text=utterance.text if len(audios) == 1 else "")
        for utterance, audios in zip(utterances, cut, strict=True)
        for audio in audios
    ]
    heard = _regroup(recogniser.recognise(flat), cut)
    long = [index for index, audios in enumerate(cut) if len(audios) > 1]
    wanted = [
        replace(utterances[index], audio_16k=audio, text=share)
        for index in long
        for audio, share in zip(
            cut[index], shares(utterances[index].text, [piece.text for piece in heard[index]]), strict=True
        )
    ]
    judged = _regroup(recogniser.recognise(wanted), [cut[index] for index in long]) if wanted else []
    results = [_join(transcripts, transcripts) for transcripts in heard]
    for index, transcripts in zip(long, judged, strict=True):
        results[index] = _join(heard[index], transcripts)
    return results


def pieces(audio_16k: np.ndarray) -> list[np.ndarray]:
    """The audio in runs of at most 30 s, cut in the middle of the quietest 0.2 s; joined they are the audio."""
    found = []
    while len(audio_16k) > MAX_SECONDS * RATE:
        first = int(_EARLIEST_CUT_SECONDS * RATE)
        stretch = audio_16k[first : int(MAX_SECONDS * RATE)]
        energy = np.square(stretch.astype(np.float64)).reshape(-1, _FRAME).sum(axis=1)
        quietest = int(np.argmin(np.convolve(energy, np.ones(10), mode="valid")))
        cut = first + (quietest + 5) * _FRAME
        found.append(audio_16k[:cut])
        audio_16k = audio_16k[cut:]
    return [*found, audio_16k]


def shares(text: str, transcripts: Sequence[str]) -> list[str]:
    """`text` divided among `transcripts`, in order, each getting what it aligns with; joined they are all of it.

    Words are aligned; a text without spaces (Chinese, Japanese) is aligned by characters.
    """
    joiner = " " if " " in text.strip() else ""
    wanted = text.split() if joiner else list(text.strip())
    spoken = [transcript.split() if joiner else list(transcript) for transcript in transcripts]
    matcher = difflib.SequenceMatcher(
        None, [_key(unit) for unit in wanted], [_key(unit) for part in spoken for unit in part], autojunk=False
    )
    blocks = matcher.get_matching_blocks()
    ends = np.cumsum([len(part) for part in spoken])[:-1]
    cuts = [0, *(_wanted_position(int(end), blocks) for end in ends), len(wanted)]
    return [joiner.join(wanted[start:stop]) for start, stop in itertools.pairwise(cuts)]


def _audible(audios: list[np.ndarray]) -> list[np.ndarray]:
    # Whisper makes up words for a piece of silence; one piece is kept so that every clip has a transcript.
    threshold = 10 ** (SILENCE_DBFS / 20)
    return [audio for audio in audios if np.max(np.abs(audio), initial=0.0) >= threshold] or audios[:1]


def _wanted_position(position: int, blocks: Sequence[difflib.Match]) -> int:
    after_wanted = after_spoken = 0
    for block in blocks:
        if position < block.b:
            return min(after_wanted + position - after_spoken, block.a)
        if position <= block.b + block.size:
            return block.a + position - block.b
        after_wanted, after_spoken = block.a + block.size, block.b + block.size
    return after_wanted


def _key(unit: str) -> str:
    return "".join(mark for mark in unit.lower() if mark.isalnum())


def _regroup(transcripts: Sequence[Transcript], groups: Sequence[Sequence[np.ndarray]]) -> list[list[Transcript]]:
    remaining = iter(transcripts)
    return [[next(remaining) for _ in group] for group in groups]


def _join(heard: Sequence[Transcript], judged: Sequence[Transcript]) -> Transcript:
    return Transcript(
        " ".join(piece.text for piece in heard if piece.text),
        sum(piece.log_prob for piece in judged),
        sum(piece.tokens for piece in judged),
    )
