"""GE2E speaker encoder: one L2-normed vector of 256 non-negative numbers per voice.

Follows Resemblyzer 0.1.4 (resemble-ai/Resemblyzer, Apache-2.0), whose weights it runs: raise the
volume to -30 dBFS, cut long silences with the WebRTC voice detector, 40-band mel power, 1.6 s
windows every 0.77 s through a 3-layer LSTM, mean over the windows. Unlike in the original, a clip
in which the detector hears no voice has no embedding (the original gives all such clips the same
one). Runs on the CPU.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tts_eval.errors import WeightsError
from tts_eval.mel import MelSettings, mel_spectrogram

if TYPE_CHECKING:
    import torch

RATE = 16_000
MEL = MelSettings(rate=RATE, fft_size=400, hop=160, bands=40)

TARGET_DBFS = -30.0
VOICE_WINDOW = 480
"""Samples of one decision of the voice detector: 30 ms."""
VOICE_AVERAGE = 8
"""Voice-detector windows that vote on each window."""
VOICE_DILATION = 6
"""Windows by which a stretch of voice grows, half on each side."""

PARTIAL_FRAMES = 160
PARTIAL_STEP = round(RATE / 1.3 / MEL.hop)
"""Frames between the starts of two partial windows: 1.3 of them a second."""
PARTIAL_COVERAGE = 0.75
"""A last window with less audio than this share is dropped."""

MAX_BATCH = 128
"""Windows per LSTM call; bounds memory at about 0.3 GB."""


class GE2EEncoder:
    """The pretrained encoder."""

    shortest_seconds = 0.0
    """In what is too short the voice detector hears no voice."""
    lowest_cosine = 0.0

    def __init__(self, weights: Path) -> None:
        """Load `weights` (`pretrained.pt`).

        Raises:
            WeightsError: the file is not the encoder's checkpoint.
        """
        import torch

        self._lstm = torch.nn.LSTM(MEL.bands, 256, num_layers=3, batch_first=True)
        self._linear = torch.nn.Linear(256, 256)
        try:
            state = torch.load(weights, map_location="cpu", weights_only=True)["model_state"]
            for name, module in (("lstm", self._lstm), ("linear", self._linear)):
                module.load_state_dict({key: state[f"{name}.{key}"] for key in module.state_dict()})
        except Exception as error:  # torch raises half a dozen kinds for a damaged or foreign file
            raise WeightsError(
                f"{weights} is not the GE2E checkpoint ({error}). "
                f"Delete {weights.parent} and run: tts-eval fetch ge2e-resemblyzer"
            ) from error
        self._lstm.eval()
        self._linear.eval()

    def embed(self, clips_16k: Sequence[np.ndarray]) -> list[np.ndarray | None]:
        """One embedding, float32 [256], per clip of finite samples at 16 kHz; None where no voice is heard."""
        windows = (partial_windows(keep_voice(samples)) for samples in clips_16k)
        # Clip by clip: together they take as long, and the last digits would depend on the company.
        return [_mean_direction(self._run(rows)) if len(rows) else None for rows in windows]

    def _run(self, windows: np.ndarray) -> np.ndarray:
        import torch

        with _one_thread(), torch.inference_mode():
            parts = [
                self._forward(torch.from_numpy(windows[start : start + MAX_BATCH]))
                for start in range(0, len(windows), MAX_BATCH)
            ]
            return torch.cat(parts).numpy()

    def _forward(self, windows: torch.Tensor) -> torch.Tensor:
        import torch

        _, (hidden, _) = self._lstm(windows)
        return torch.nn.functional.normalize(torch.relu(self._linear(hidden[-1])), dim=1)


@contextmanager
def _one_thread() -> Iterator[None]:
    # The LSTM's 480 small steps wait for each other: a second thread gains at most a third on an idle
    # machine, and on a busy one its waiting made a batch thirty times slower.
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def keep_voice(samples_16k: np.ndarray) -> np.ndarray:
    """The clip at no less than -30 dBFS, without its long silences; empty when no voice is heard."""
    loud = _raise_volume(samples_16k)
    whole = len(loud) // VOICE_WINDOW * VOICE_WINDOW
    mask = smooth_voice(_voice_flags(loud[:whole]))
    kept: np.ndarray = loud[:whole].reshape(-1, VOICE_WINDOW)[mask].reshape(-1)
    return kept


def smooth_voice(flags: np.ndarray) -> np.ndarray:
    """Which windows to keep, bool [windows]: the majority of 8 neighbours, grown by 3 on each side."""
    if not len(flags):
        return flags
    before, after = (VOICE_AVERAGE - 1) // 2, VOICE_AVERAGE // 2
    votes = _moving_sum(np.pad(flags.astype(np.int64), (before, after)), VOICE_AVERAGE)
    # A tie is no majority: the original rounds an average of one half to even, which is 0.
    majority = votes > VOICE_AVERAGE // 2
    reach = VOICE_DILATION // 2
    return _moving_sum(np.pad(majority.astype(np.int64), reach), VOICE_DILATION + 1) > 0


def partial_windows(voice: np.ndarray) -> np.ndarray:
    """Mel power of the overlapping windows of a clip, float32 [windows, 160, 40]; the last is padded with zeros."""
    if not len(voice):
        return np.zeros((0, PARTIAL_FRAMES, MEL.bands), np.float32)
    starts = partial_starts(len(voice))
    end = (starts[-1] + PARTIAL_FRAMES) * MEL.hop
    mel = mel_spectrogram(np.pad(voice, (0, max(0, end - len(voice)))), MEL)
    return np.stack([mel[start : start + PARTIAL_FRAMES] for start in starts])


def partial_starts(samples: int) -> list[int]:
    """First frame of each window of a clip of so many samples; always at least one."""
    frames = samples // MEL.hop + 1
    starts = list(range(0, max(1, frames - PARTIAL_FRAMES + PARTIAL_STEP + 1), PARTIAL_STEP))
    coverage = (samples - starts[-1] * MEL.hop) / (PARTIAL_FRAMES * MEL.hop)
    return starts[:-1] if coverage < PARTIAL_COVERAGE and len(starts) > 1 else starts


def _raise_volume(samples: np.ndarray) -> np.ndarray:
    rms = float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))) if len(samples) else 0.0
    if rms == 0.0:
        return samples
    gain = 10.0 ** (TARGET_DBFS / 20.0) / rms
    return samples * np.float32(gain) if gain > 1.0 else samples


def _voice_flags(samples: np.ndarray) -> np.ndarray:
    import webrtcvad

    # Clipped, where the original lets a peak above full scale wrap round; only the detector sees it.
    pcm = np.rint(np.clip(samples, -1.0, 1.0) * 32767.0).astype("<i2").reshape(-1, VOICE_WINDOW)
    detector = webrtcvad.Vad(3)
    return np.array([detector.is_speech(window.tobytes(), RATE) for window in pcm], dtype=bool)


def _moving_sum(counts: np.ndarray, width: int) -> np.ndarray:
    total = np.concatenate(([0], np.cumsum(counts)))
    summed: np.ndarray = total[width:] - total[:-width]
    return summed


def _mean_direction(partials: np.ndarray) -> np.ndarray | None:
    if not len(partials):
        return None
    mean = partials.mean(axis=0)
    length = float(np.linalg.norm(mean))
    return mean / np.float32(length) if length > 0 else None
