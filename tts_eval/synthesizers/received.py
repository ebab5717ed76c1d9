"""Audio that another system made: heard as it is, cut where it is too long, refused where it is broken.

A file that ends before its own header says so was cut on the way, which a decoder would not tell. Headers
that were written before the length was known (streamed WAV or FLAC) name an impossible one or none, and are believed
by nobody.
"""

from __future__ import annotations

import io
from typing import NamedTuple

import numpy as np

from tts_eval.audio import NO_LENGTH, Clip, read_samples
from tts_eval.errors import AudioError
from tts_eval.types import Candidate, Cost, FinishReason, Job

MOST_BYTES = 64 * 2**20
"""More than any clip that is worth judging: eleven minutes of 16-bit audio at 48 kHz."""
CHUNK_HEADER = 8
"""Name and length of a part of a WAV; a part of odd length has a byte behind it."""


class Received(NamedTuple):
    """A clip, and whether it was cut at the longest allowed duration."""

    clip: Clip
    is_cut: bool

    def candidate(self, job: Job) -> Candidate:
        """The clip as what was made for a job; its cost has no time in it yet."""
        return Candidate(
            index=job.index,
            seed=job.seed,
            sampling=job.sampling,
            finish=FinishReason.LENGTH if self.is_cut else FinishReason.EOS,
            clip=self.clip,
            cost=Cost(audio_seconds=self.clip.seconds),
        )


def decode_received(content: bytes, longest_seconds: float) -> Received:
    """The clip in an audio file; no more of it than allowed is decoded.

    Raises:
        AudioError: it is no audio, was cut on the way, or holds no samples.
    """
    import soundfile

    content = _with_length(content)
    try:
        with soundfile.SoundFile(io.BytesIO(content)) as file:
            rate, limit = file.samplerate, int(longest_seconds * file.samplerate)
            samples = read_samples(file, limit + 1)
            if file.frames < NO_LENGTH and len(samples) < min(file.frames, limit + 1):
                raise AudioError(f"the audio ends after {len(samples)} of {file.frames} samples: it was cut on the way")
    except (soundfile.LibsndfileError, RuntimeError, TypeError) as error:
        raise AudioError(f"expected audio, got {len(content)} bytes that are none") from error
    return _cut(samples, rate, limit)


def decode_pcm(content: bytes, rate: int, longest_seconds: float) -> Received:
    """The clip in mono 16-bit little-endian samples without a header.

    Raises:
        AudioError: half a sample is left over, or there are none.
    """
    if len(content) % 2:
        raise AudioError(f"expected 16-bit samples, got an odd number of bytes ({len(content)}): some are missing")
    return _cut(np.frombuffer(content, dtype="<i2"), rate, int(longest_seconds * rate))


def _cut(samples: np.ndarray, rate: int, limit: int) -> Received:
    if not len(samples):
        raise AudioError("the audio holds 0 samples; expected speech")
    return Received(Clip(samples[:limit], rate), len(samples) > limit)


def _with_length(content: bytes) -> bytes:
    """The file; of a streamed WAV that names 0 as its length, one that names no possible length.

    Decoders read such a file to its end. They believe the 0, which Python's `wave` writes into pipes.
    """
    if not content.startswith(b"RIFF"):
        return content
    start = len(b"RIFF....WAVE")
    while content[start : start + 4] not in (b"data", b""):
        size = _number(content[start + 4 : start + CHUNK_HEADER])
        start += CHUNK_HEADER + size + size % 2
    # The part with the samples says what must be there; the file's own length is wrong in many a file that is whole.
    size = _number(content[start + 4 : start + CHUNK_HEADER])
    end = start + CHUNK_HEADER + size
    if len(content) < end <= MOST_BYTES and size:
        raise AudioError(f"the WAV ends after {len(content)} of {end} bytes: it was cut on the way")
    if size or len(content) <= end:
        return content
    return content[: start + 4] + b"\xff\xff\xff\xff" + content[start + CHUNK_HEADER :]


def _number(field: bytes) -> int:
    return int.from_bytes(field, "little")
