"""Audio in, audio out: any file becomes a mono float32 `Clip`, resampled once per rate.

Loudness is never touched: no peak or level normalisation, no trimming, no dithering.
Channels are averaged. Reading uses libsndfile (WAV, FLAC, Ogg Vorbis/Opus, MP3), resampling soxr.
Not handled: video containers, raw PCM.
"""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from tts_eval.errors import AudioError

AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".opus", ".mp3")
SILENCE_DBFS = -60.0
MOST_CHANNELS = 64
"""More columns than this are not channels."""
NO_LENGTH = 2**63 - 1
"""Frames that libsndfile gives a FLAC that was streamed, whose header does not say how many it has."""
_BLOCK = 1 << 20


class Clip:
    """Immutable mono float32 samples with their rate; other rates are computed once and kept."""

    def __init__(self, samples: np.ndarray, rate: int) -> None:
        if rate <= 0:
            raise AudioError(f"Sample rate is {rate}; expected a positive number of hertz.")
        mono = to_mono(samples)
        mono.setflags(write=False)
        self.samples = mono
        self.rate = rate
        self._resampled: dict[int, np.ndarray] = {}

    def __repr__(self) -> str:
        return f"Clip({self.seconds:.2f} s at {self.rate} Hz)"

    @property
    def seconds(self) -> float:
        """Duration in seconds."""
        return len(self.samples) / self.rate

    @cached_property
    def sha256(self) -> str:
        """Digest of the 16-bit samples and the rate: what the audio *is*, wherever it is stored."""
        digest = hashlib.sha256(f"{self.rate}:".encode())
        # NaN has no 16-bit form: a broken clip must not pass for a silent one.
        digest.update(self.pcm16.tobytes() if self.is_finite else self.samples.tobytes())
        return digest.hexdigest()

    def at(self, rate: int) -> np.ndarray:
        """Samples at `rate` Hz, float32 [T]."""
        if rate == self.rate:
            return self.samples
        if rate not in self._resampled:
            import soxr

            resampled = soxr.resample(self.samples, self.rate, rate).astype(np.float32)
            resampled.setflags(write=False)
            self._resampled[rate] = resampled
        return self._resampled[rate]

    @cached_property
    def pcm16(self) -> np.ndarray:
        """The samples as 16-bit integers; see `to_pcm16`."""
        return to_pcm16(self.samples)

    def quantised(self) -> Clip:
        """The clip as a 16-bit file would give it back, so that stored and fresh audio score alike."""
        clip = Clip(self.pcm16.astype(np.float32) / 32768.0, self.rate)
        clip.pcm16 = self.pcm16  # rounding what is rounded gives the same
        return clip

    @property
    def peak_dbfs(self) -> float:
        """Largest absolute sample in dB of full scale; -inf for digital silence or no samples."""
        peak = float(np.max(np.abs(self.samples), initial=0.0))
        return 20.0 * float(np.log10(peak)) if peak > 0 else float("-inf")

    @property
    def is_finite(self) -> bool:
        """Whether every sample is a number."""
        return bool(np.isfinite(self.samples).all())


@dataclass(frozen=True, slots=True)
class Excerpt:
    """The beginning of a file, read when it is needed."""

    path: Path
    seconds: float

    def load(self) -> Clip:
        """Its first `seconds`; all of a file that is shorter."""
        whole = read_audio(self.path)
        return Clip(whole.samples[: round(self.seconds * whole.rate)], whole.rate)


AudioSource: TypeAlias = Clip | Path | Excerpt
"""Audio in memory, or a file (or its beginning) that is read when it is needed."""


def load_clip(source: AudioSource) -> Clip:
    """The clip itself; a path is read.

    Raises:
        AudioError: the file is missing or not audio.
    """
    if isinstance(source, Excerpt):
        return source.load()
    return read_audio(source) if isinstance(source, Path) else source


def to_mono(samples: np.ndarray) -> np.ndarray:
    """Float32 [T] from int or float samples of shape [T] or [T, channels]; integers become [-1, 1).

    Raises:
        AudioError: the array has another shape.
    """
    array = np.asarray(samples)
    if array.ndim not in (1, 2) or (array.ndim == 2 and array.shape[1] > MOST_CHANNELS):
        raise AudioError(
            f"Audio has shape {array.shape}; expected [samples] or [samples, channels] with at most {MOST_CHANNELS} "
            "channels. Transpose [channels, samples] first."
        )
    if np.issubdtype(array.dtype, np.integer):
        limits = np.iinfo(array.dtype)
        middle = 0.0 if limits.min else (limits.max + 1) / 2  # unsigned audio is centred on its middle
        array = (array - middle) / (middle or -float(limits.min))
    if array.ndim == 2:
        array = array[:, 0] if array.shape[1] == 1 else array.mean(axis=1)
    return np.array(array, dtype=np.float32)


def to_pcm16(samples: np.ndarray) -> np.ndarray:
    """Int16 samples, rounded to nearest and clipped at full scale; NaN becomes 0."""
    scaled = np.clip(samples, -1.0, 1.0)
    scaled[np.isnan(scaled)] = 0.0
    scaled *= 32768.0  # a power of two: exact in any precision
    whole: np.ndarray = np.minimum(np.rint(scaled), 32767).astype(np.int16)
    return whole


def read_audio(path: Path) -> Clip:
    """The clip in `path`, at its own rate.

    Raises:
        AudioError: the file is missing, is not audio, or holds no samples.
    """
    import soundfile

    if not path.is_file():
        raise AudioError(f"No audio file at {path}.")
    try:
        with soundfile.SoundFile(path) as file:
            samples, rate = read_samples(file), file.samplerate
    except (soundfile.LibsndfileError, RuntimeError, TypeError) as error:  # TypeError: headerless .raw
        raise AudioError(
            f"{path} cannot be read as audio ({error}). "
            f"Expected one of {', '.join(AUDIO_SUFFIXES)}; check the file with 'file {path.name}'."
        ) from error
    if not len(samples):
        raise AudioError(f"{path} holds 0 samples; expected speech. Make the file again.")
    return Clip(samples, rate)


def read_samples(file: Any, most: float = math.inf) -> np.ndarray:
    """The samples of an open `soundfile.SoundFile`, at most `most` of each channel: float32 [T, channels].

    soundfile seeks to where it is behind every read, which libsndfile cannot do at the end of a streamed FLAC.
    """
    if file.frames < NO_LENGTH:
        samples: np.ndarray = file.read(int(min(most, file.frames)), dtype="float32", always_2d=True)
        return samples
    file.seekable = lambda: False
    blocks = [np.zeros((0, file.channels), dtype=np.float32)]
    while most > 0 and len(block := file.read(int(min(most, _BLOCK)), dtype="float32", always_2d=True)):
        blocks.append(block)
        most -= len(block)
    return np.concatenate(blocks)


def encode_audio(clip: Clip, container: str) -> bytes:
    """A 16-bit audio file in memory; `container` is libsndfile's name for it: WAV, FLAC, OGG ...

    Raises:
        AudioError: libsndfile cannot write that container.
    """
    import soundfile

    buffer = io.BytesIO()
    try:
        soundfile.write(buffer, clip.pcm16, clip.rate, format=container)
    except (soundfile.LibsndfileError, RuntimeError, TypeError, ValueError) as error:
        raise AudioError(f"Cannot encode {clip!r} as {container}: {error}. Use .wav or .flac.") from error
    return buffer.getvalue()


def write_audio(path: Path, clip: Clip) -> None:
    """Write 16-bit audio; the container follows the suffix (.wav, .flac, .ogg, .mp3)."""
    # Through memory, so that a full disk is an OSError with its number, not libsndfile's "system error".
    path.write_bytes(encode_audio(clip, path.suffix.lstrip(".").upper()))


def find_audio(folder: Path, stem: str) -> Path | None:
    """The file `stem` + any known suffix in `folder`, or None."""
    return next((path for path in _named(folder, stem) if path.is_file()), None)


def _named(folder: Path, stem: str) -> Iterable[Path]:
    return (folder / f"{stem}{suffix}" for suffix in AUDIO_SUFFIXES)
