"""Audio for a page: a clip of the run as a `data:` URI, small enough to carry along.

The run keeps FLAC; a page gets Ogg Opus at about 32 kbit/s (Ogg Vorbis where this libsndfile has no
Opus), made in memory. Scores were never computed on this audio.
"""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import numpy as np

from tts_eval.audio import Clip, read_audio

OPUS_RATES = (8000, 12000, 16000, 24000, 48000)
# libsndfile maps 0..1 onto 256..6 kbit/s per channel.
OPUS_COMPRESSION = 0.9
VORBIS_COMPRESSION = 0.7


@dataclass(frozen=True, slots=True)
class Encoded:
    """A clip in a form that browsers play."""

    mime: str
    base64: str

    @property
    def uri(self) -> str:
        """The clip as a `data:` URI."""
        return f"data:{self.mime};base64,{self.base64}"


def encode(path: Path) -> Encoded:
    """The audio file, compressed for listening.

    Raises:
        AudioError: the file is missing or not audio.
    """
    import soundfile

    clip = read_audio(path)
    try:
        data = _write(clip, _opus_rate(clip.rate), "OPUS", OPUS_COMPRESSION)
    except soundfile.LibsndfileError:
        data = _write(clip, clip.rate, "VORBIS", VORBIS_COMPRESSION)
    return Encoded("audio/ogg", base64.b64encode(data).decode("ascii"))


def link(audio: str, up: int) -> str:
    """Relative URL of a file of the run directory, seen from a folder `up` levels below it."""
    return "../" * up + quote(Path(audio).as_posix())


def _opus_rate(rate: int) -> int:
    """The lowest rate of Opus that loses nothing, else its highest."""
    return next((known for known in OPUS_RATES if known >= rate), OPUS_RATES[-1])


def _write(clip: Clip, rate: int, subtype: str, compression: float) -> bytes:
    import soundfile

    buffer = io.BytesIO()
    samples = np.clip(np.nan_to_num(clip.at(rate)), -1.0, 1.0)
    soundfile.write(buffer, samples, rate, format="OGG", subtype=subtype, compression_level=compression)
    return buffer.getvalue()
