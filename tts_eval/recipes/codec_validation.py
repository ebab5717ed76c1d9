"""How the averaged codec does on clips that no training heard: spectra, phonemes, voices, tokens used."""

from __future__ import annotations

from typing import NamedTuple

import jiwer
import numpy as np
import torch
from torch import Tensor

from tts_eval.phonemes import LETTERS
from tts_eval.recipes import clips
from tts_eval.recipes.codec_training import Student

NATS_PER_MEL = 2.5
"""The encoder's mel frames are logarithms divided by this."""


class Validation(NamedTuple):
    """Means over the clips."""

    mel_distance: float
    """Mean absolute difference of log-mel magnitudes, in nats."""
    phoneme_error_rate: float
    """Of the phoneme head, which hears the tokens alone."""
    speaker_cosine: float
    """GE2E, reconstruction against original."""
    codes_used: int
    """Different tokens in all clips together."""


@torch.inference_mode()
def validate(student: Student, store: clips.ClipStore, device: torch.device) -> Validation:
    """Encode, read and decode every clip of the store, each in its own voice."""
    codec = student.codec
    distances, errors, sounds, used, made = [], 0, 0, set[int](), []
    for index, clip in enumerate(store.clips):
        audio = torch.from_numpy(store.audio(index))[None].to(device)
        whole = audio[:, : audio.shape[1] // codec.config.hop * codec.config.hop]
        codes = codec.encode(whole)
        decoded = codec.decode(codes, torch.from_numpy(store.voices[index])[None].to(device))
        mel = codec.encoder.mel
        distances.append(float((mel(decoded) - mel(whole)).abs().mean()) * NATS_PER_MEL)
        read = _read(student.head(codec.quantiser.points(codes))[0])
        alignment = jiwer.process_characters(clip.sounds, read)
        errors += alignment.substitutions + alignment.deletions + alignment.insertions
        sounds += len(clip.sounds)
        used |= set(codes.flatten().tolist())
        made.append(decoded[0].cpu().numpy())
    cosines = [
        0.0 if ours is None else float(ours @ theirs)
        for ours, theirs in zip(clips.speaker_encoder().embed(made), store.voices, strict=True)
    ]
    return Validation(float(np.mean(distances)), errors / max(sounds, 1), float(np.mean(cosines)), len(used))


def _read(log_probs: Tensor) -> str:
    """The likeliest phonemes of [frames, phonemes + 1]: repeats merged, blanks dropped."""
    best = torch.unique_consecutive(log_probs.argmax(-1)).tolist()
    return "".join(LETTERS[number - 1] for number in best if number)
