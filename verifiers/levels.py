"""How loud a clip is from frame to frame, and what that says: where nobody speaks, and whether anybody does.

Syllables and pauses move the level of any voice, a whisper too. Measures of pace and models of emotion have an answer
to whatever they are given, so hiss, hum or a tone of the right length could win a search: they count as silent.
Not handled: noise whose level wanders (babble, wind, music); recognisers and opinion scores hear those.
"""

from __future__ import annotations

import numpy as np

from tts_eval.audio import Clip
from tts_eval.types import Failure, FailureKind

FRAME_SECONDS = 0.02
SILENCE_BELOW_PEAK_DB = 40.0
STEADY_DB = 3.0
"""Least decibels between quiet and loud frames of speech. 455 clips (LibriSpeech, Kokoro, RAVDESS, Common Voice) have
12.9 and more, their first seconds 7.6, the clips behind white noise of their own power 3.4; white noise has 0.5-1.3."""


def frame_samples(rate: int) -> int:
    """Samples of a frame of 20 ms; at least one."""
    return max(1, round(FRAME_SECONDS * rate))


def active_frames(clip: Clip) -> np.ndarray:
    """Which frames of 20 ms are not silent [frames]; the last may be shorter."""
    return _active(_powers(clip))


def steady(clip: Clip) -> str:
    """Why a clip with a sample above zero cannot be speech, or "".

    Quiet and loud are the 10th and the 90th percentile of the frames that are not silent.
    """
    powers = _powers(clip)
    quiet, loud = np.percentile(powers[_active(powers)], [10, 90])
    moves = 10.0 * np.log10(loud / quiet)
    return f"the level moves by {moves:.1f} dB, that of speech by more than {STEADY_DB:g}" if moves < STEADY_DB else ""


def no_voice(clip: Clip) -> Failure | None:
    """The failure of a clip that cannot be speech, or None."""
    found = steady(clip)
    return Failure(FailureKind.SILENT, f"Nobody speaks: {found}.") if found else None


def _powers(clip: Clip) -> np.ndarray:
    starts = np.arange(0, len(clip.samples), frame_samples(clip.rate))
    energy = np.add.reduceat(np.square(clip.samples, dtype=np.float64), starts)
    # The last frame may be shorter: its power is that of the samples it has.
    powers: np.ndarray = energy / np.diff(starts, append=len(clip.samples))
    return powers


def _active(powers: np.ndarray) -> np.ndarray:
    loud: np.ndarray = powers >= powers.max() * 10.0 ** (-SILENCE_BELOW_PEAK_DB / 10.0)
    return loud
