"""What no model needs to look at to know that a clip is bad."""

from __future__ import annotations

from tts_eval.audio import SILENCE_DBFS, Clip
from tts_eval.types import Failure, FailureKind


def audio_failure(clip: Clip) -> Failure | None:
    """Why a clip cannot be judged, or None."""
    if not len(clip.samples):
        return Failure(FailureKind.EMPTY, "The clip has 0 samples.")
    if not clip.is_finite:
        return Failure(FailureKind.NOT_FINITE, "The clip has NaN or infinite samples.")
    if clip.peak_dbfs < SILENCE_DBFS:
        return Failure(FailureKind.SILENT, f"Nothing in the clip is above {SILENCE_DBFS:.0f} dBFS.")
    return None
