"""A clip in the form that a page plays and shows: Opus in Ogg, and two thumbnails made of letters.

The run keeps FLAC; a page gets Opus at about 24 kbit/s, a twentieth of that. Every browser since Safari 18.4
(2025) plays it, and the encoder is told to leave no random numbers in the stream, so that the same
clip gives the same bytes. Scores were never computed on this audio.

Thumbnails are text, one letter of base64's alphabet per level (A is nothing, / is full): small,
inert wherever they stand, and drawn by the page when somebody looks.
"""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import numpy as np

from tts_eval.audio import Clip
from tts_eval.mel import MelSettings, decibels_below_peak, power, power_to_mel

MIME = "audio/ogg"
BITS_PER_SECOND = 24_000
EFFORT = 3
"""Of the encoder's 0 to 10: from here on it takes longer without sounding better at this rate."""
OPUS_RATES = (8_000, 12_000, 16_000, 24_000, 48_000)
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
WAVE_POINTS = 160
SPECTRUM_FRAMES = 72
SPECTRUM = MelSettings(rate=16_000, fft_size=512, hop=0, bands=20)
"""Without a hop: however long the clip is, its thumbnail has so many frames."""
SPECTRUM_DECIBELS = 60.0
"""Range between the darkest and the brightest cell."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """A clip as browsers play it."""

    data: bytes
    """An Ogg file."""

    def write(self, path: Path) -> None:
        """Write the file."""
        path.write_bytes(self.data)

    @property
    def base64(self) -> str:
        """The file as text."""
        return base64.b64encode(self.data).decode("ascii")

    @property
    def uri(self) -> str:
        """The file as a `data:` URI."""
        return f"data:{MIME};base64,{self.base64}"


def encode(clip: Clip) -> Encoded:
    """The clip, compressed for listening; at the lowest of Opus' rates that loses nothing (48 kHz at most)."""
    import av

    rate = next((known for known in OPUS_RATES if known >= clip.rate), OPUS_RATES[-1])
    samples = (np.clip(np.nan_to_num(clip.at(rate)), -1.0, 1.0) * 32767.0).astype(np.int16)
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="ogg", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream(
            "libopus", rate=rate, layout="mono", bit_rate=BITS_PER_SECOND,
            options={"compression_level": str(EFFORT), "flags": "+bitexact"},
        )  # fmt: skip
        frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
        frame.rate, frame.pts = rate, 0
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)
    return Encoded(buffer.getvalue())


def waveform(clip: Clip) -> str:
    """Peaks of the clip over time, `WAVE_POINTS` letters; the square root of the amplitude, as ears have it."""
    samples = np.abs(np.nan_to_num(clip.samples))
    edges = np.linspace(0, max(len(samples), 1), WAVE_POINTS + 1).astype(int)[:-1]
    peaks = np.maximum.reduceat(np.append(samples, 0.0), edges)
    return _letters(np.sqrt(np.minimum(peaks, 1.0)))


def spectrogram(clip: Clip) -> str:
    """Loudness by mel band and time: `SPECTRUM_FRAMES` letters per band, `SPECTRUM_BANDS` bands from low to high.

    Relative to the clip's loudest cell, over a range of `SPECTRUM_DECIBELS`.
    """
    samples = np.nan_to_num(clip.at(SPECTRUM.rate))
    starts = np.linspace(0, len(samples), SPECTRUM_FRAMES).astype(int)
    frames = np.pad(samples, SPECTRUM.fft_size // 2)[starts[:, None] + np.arange(SPECTRUM.fft_size)]
    below = decibels_below_peak(power_to_mel(power(frames), SPECTRUM), SPECTRUM_DECIBELS)
    return _letters(1.0 + below.T.ravel() / SPECTRUM_DECIBELS)


def link(audio: str, up: int) -> str:
    """Relative URL of a file of the run directory, seen from a folder `up` levels below it."""
    return "../" * up + quote(Path(audio).as_posix())


def _letters(levels: np.ndarray) -> str:
    codes = np.rint(levels * (len(LETTERS) - 1)).astype(int)
    return "".join(np.array(list(LETTERS))[codes])
