"""Audio for a page: a clip of the run as a `data:` URI, small enough to carry along.

The run keeps FLAC; a page gets MP3 at about 40 kbit/s, made in memory. MP3 because it is what every
browser plays (Safari knew no Ogg until 2025) and because the same clip gives the same bytes. Rates
that MP3 has not become Ogg Vorbis. Scores were never computed on this audio.
"""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import numpy as np

from tts_eval.audio import Clip, read_audio

MP3_COMPRESSION = 0.6
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
        mime, data = "audio/mpeg", _write(clip, "MP3", None, MP3_COMPRESSION)
    except soundfile.LibsndfileError:
        mime, data = "audio/ogg", _write(clip, "OGG", "VORBIS", VORBIS_COMPRESSION)
    return Encoded(mime, base64.b64encode(data).decode("ascii"))


def link(audio: str, up: int) -> str:
    """Relative URL of a file of the run directory, seen from a folder `up` levels below it."""
    return "../" * up + quote(Path(audio).as_posix())


def _write(clip: Clip, container: str, subtype: str | None, compression: float) -> bytes:
    import soundfile

    buffer = io.BytesIO()
    samples = np.clip(np.nan_to_num(clip.samples), -1.0, 1.0)
    soundfile.write(buffer, samples, clip.rate, format=container, subtype=subtype, compression_level=compression)
    return buffer.getvalue()
