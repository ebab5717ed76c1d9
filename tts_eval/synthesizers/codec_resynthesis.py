"""The ceiling of every model that speaks through a codec: the true recording, encoded and decoded.

`codec-resynthesis` is X-Codec-2 from the hub, `codec-resynthesis:llasa-nano` the codec of the bundled model, and
`codec-resynthesis:FOLDER_OR_HUB_ID[@REVISION][,device=cuda]` any codec that `llasa` can use. Every candidate of a
request is the same, whatever its seed.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tts_eval import weights
from tts_eval.audio import Clip, load_clip
from tts_eval.devices import choose_device
from tts_eval.errors import AudioError
from tts_eval.synthesizers.failed import failed_candidate
from tts_eval.synthesizers.llasa.checkpoint import CheckpointNotes
from tts_eval.synthesizers.llasa.options import parse_options
from tts_eval.types import Candidate, Cost, FailureKind, FinishReason, Job, Limit

if TYPE_CHECKING:
    from tts_eval.synthesizers.codec import Codec

BUNDLED = "llasa-nano"
"""The codec that comes along, by the name of its model."""


def create(argument: str) -> CodecResynthesis:
    """The codec that `codec-resynthesis:ARGUMENT` names.

    Raises:
        ConfigError: the options are wrong.
        WeightsError: the codec cannot be used.
    """
    name, comma, settings = argument.partition(",")
    if name.strip() == BUNDLED:
        folder = weights.bundled(BUNDLED).folder / "codec"
        options = parse_options(settings, CodecResynthesis.name, ["device"], folder=folder)
    else:
        argument = f"{name.strip() or CheckpointNotes().codec}{comma}{settings}"
        options = parse_options(argument, CodecResynthesis.name, ["device"])
    from tts_eval.synthesizers.llasa import loading

    device = choose_device(options.device)
    loaded = loading.load_codec(options.source, device)
    return CodecResynthesis(loaded.codec, f"{loaded.revision}+{device.type}")


class Resynthesis(NamedTuple):
    """A clip as a codec gives it back."""

    clip: Clip
    """At the codec's rate, as long as the original."""
    frames: np.ndarray
    """What was in between: codes [T] or latents [T, D]."""


def resynthesise(codec: Codec, clip: Clip) -> Resynthesis:
    """The clip, encoded and decoded with itself as the reference of its voice."""
    import torch

    with torch.inference_mode():
        reference = codec.encode(clip)
        audio = codec.decode(reference.frames[None], [reference])[0].float().cpu().numpy()
    samples = audio[: len(clip.at(codec.rate))].clip(-1.0, 1.0).astype(np.float32)
    return Resynthesis(Clip(samples, codec.rate), reference.frames.cpu().numpy())


class CodecResynthesis:
    """Encodes and decodes the ground truth."""

    name = "codec-resynthesis"
    limits = frozenset({Limit.DETERMINISTIC})

    def __init__(self, codec: Codec, revision: str) -> None:
        self._codec = codec
        self.revision = revision

    def generate(self, jobs: Sequence[Job]) -> list[Candidate]:
        """One candidate per job; a request without a recording gives a failed one."""
        return [self._candidate(job) for job in jobs]

    def _candidate(self, job: Job) -> Candidate:
        started = time.perf_counter()
        if job.request.ground_truth is None:
            message = f"Request '{job.request.id}' has no ground-truth recording to encode."
            return failed_candidate(job, FailureKind.MISSING, message)
        try:
            truth = load_clip(job.request.ground_truth)
        except AudioError as error:
            return failed_candidate(job, FailureKind.UNREADABLE, str(error))
        clip, frames = resynthesise(self._codec, truth)
        return Candidate(
            index=job.index,
            seed=job.seed,
            sampling=job.sampling,
            finish=FinishReason.EOS,
            clip=clip,
            tokens=frames,
            cost=Cost(audio_seconds=clip.seconds, generator_seconds=time.perf_counter() - started),
        )
