"""Clips of any length through a recogniser that hears 30 s.

A long clip is cut where it is quietest, between the 20th and the 30th second of each piece, and
the transcripts of its pieces are joined. The wanted text is divided among the pieces where the
joined transcript aligns with it, so the text's log-probability is a sum over pieces too.
Not handled: carrying the text of one piece into the next as context.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tts_eval.audio import SILENCE_DBFS
from verifiers.recognition import MAX_SECONDS, RATE, Recogniser, Transcript, Utterance
from verifiers.shares import shares, spoken_prefix

_EARLIEST_CUT_SECONDS = 20.0
_FRAME = RATE // 50


def recognise(recogniser: Recogniser, utterances: Sequence[Utterance]) -> list[Transcript]:
    """One transcript per utterance of any length, in order.

    The pieces of long clips are looked at twice: their share of the wanted text is known only when all have been heard.
    """
    cut = [_audible(pieces(utterance.audio_16k)) for utterance in utterances]
    flat = [
        replace(utterance, audio_16k=audio)
        if len(audios) == 1
        else replace(utterance, audio_16k=audio, text="", transcribe=True)
        for utterance, audios in zip(utterances, cut, strict=True)
        for audio in audios
    ]
    heard = _regroup(recogniser.recognise(flat), cut)
    long = [index for index, audios in enumerate(cut) if len(audios) > 1]
    wanted = [
        replace(utterances[index], audio_16k=audio, text=share, transcribe=False, partial=False)
        for index in long
        for audio, share in zip(cut[index], _shares(utterances[index], heard[index]), strict=True)
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


def _shares(utterance: Utterance, heard: Sequence[Transcript]) -> list[str]:
    transcripts = [piece.text for piece in heard]
    text = spoken_prefix(utterance.text, " ".join(transcripts)) if utterance.partial else utterance.text
    return shares(text, transcripts)


def _audible(audios: list[np.ndarray]) -> list[np.ndarray]:
    # Whisper makes up words for a piece of silence; one piece is kept so that every clip has a transcript.
    threshold = 10 ** (SILENCE_DBFS / 20)
    return [audio for audio in audios if np.max(np.abs(audio), initial=0.0) >= threshold] or audios[:1]


def _regroup(transcripts: Sequence[Transcript], groups: Sequence[Sequence[np.ndarray]]) -> list[list[Transcript]]:
    remaining = iter(transcripts)
    return [[next(remaining) for _ in group] for group in groups]


def _join(heard: Sequence[Transcript], judged: Sequence[Transcript]) -> Transcript:
    return Transcript(
        " ".join(piece.text for piece in heard if piece.text),
        sum(piece.log_prob for piece in judged),
        sum(piece.tokens for piece in judged),
    )
