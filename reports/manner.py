"""How the clips of a run are said, measured on their audio: what `reports.diversity` compares.

A report must not take as long as its run, so of a large run evenly spaced requests are measured, with all
their candidates: some 10 s of work on one core. The numbers say on how many requests they rest.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from reports.results import RunResults
from tts_eval.audio import read_audio
from tts_eval.errors import AudioError
from tts_eval.prosody import RATE, pitch, prosody

logger = logging.getLogger(__name__)

MOST_SECONDS = 1500.0
"""Of audio that a report measures."""
CLEAR_VOICING = 0.7
"""Height of the autocorrelation's peak above which octave errors are rare; features make do with less."""
FEWEST_FRAMES = 20


@dataclass(frozen=True, slots=True, eq=False)
class Manner:
    """How one clip is said."""

    numbers: np.ndarray
    """`tts_eval.prosody.prosody`, float32 [28]."""
    pitch_range: float | None
    """Octaves between the 10th and 90th percentile of the pitch; None with less than 0.2 s of clear voice."""


def manner_of(results: RunResults, run_dir: Path, most_seconds: float = MOST_SECONDS) -> dict[str, Manner]:
    """The manner of a run's clips by the path of their audio.

    A clip that cannot be read, or is silent, is left out; so are requests beyond `most_seconds` of audio in all.
    """
    seconds = sum(candidate.seconds for request in results.requests for candidate in request.candidates)
    step = max(1, -int(-seconds // most_seconds))
    found: dict[str, Manner] = {}
    for request in results.requests[::step]:
        for candidate in request.candidates:
            if candidate.audio is None:
                continue
            try:
                clip = read_audio(run_dir / candidate.audio)
            except AudioError as error:
                logger.warning("the manner of '%s' is not measured: %s", request.id, error)
                continue
            if np.any(clip.samples) and np.isfinite(clip.samples).all():
                samples = clip.at(RATE)
                found[candidate.audio] = Manner(prosody(samples), pitch_range(samples))
    return found


def pitch_range(samples_16k: np.ndarray) -> float | None:
    """Octaves between the 10th and the 90th percentile of the clearly voiced frames' pitch; None with too few."""
    hertz, voicing = pitch(samples_16k)
    clear = np.log2(hertz[voicing > CLEAR_VOICING])
    if len(clear) < FEWEST_FRAMES:
        return None
    low, high = np.percentile(clear, (10.0, 90.0))
    return float(high - low)
