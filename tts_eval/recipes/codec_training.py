"""One step of training the codec, and everything that must survive between two.

The codec learns to rebuild spectra. Beside it, a small head must read the phonemes off the quantised
points (CTC), which makes tokens phonetic: easier to predict from text, and what gets lost is not the
words. For the same end what is rebuilt must sound to a speech recogniser as the original does. From
some step on a critic of complex spectra takes the buzz away. What is kept is a moving average of the
weights of the codec and the head; recogniser and critic are thrown away.
"""

from __future__ import annotations

import copy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from tts_eval.recipes.checkpoints import LearningRate, load_checkpoint, save_checkpoint
from tts_eval.recipes.codec_batches import Batch
from tts_eval.recipes.recogniser_distance import RecogniserDistance
from tts_eval.recipes.spectral_losses import (
    Opinion,
    SpectralCritic,
    SpectralDistance,
    critic_loss,
    deception_loss,
    feature_distance,
)
from tts_eval.synthesizers.nano_codec import CodecConfig, NanoCodec
from tts_eval.synthesizers.phoneme_alignment import FILE as PHONEME_HEAD
from tts_eval.synthesizers.phoneme_alignment import PhonemeHead

RATE = LearningRate(rate=8e-4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """How fast to learn, and when what starts."""

    rate: LearningRate = RATE
    adversarial_from: int | None = None
    phoneme_weight: float = 0.15
    recogniser_weight: float = 0.7
    """Without a recogniser it has no effect."""
    recogniser_windows: int = 4
    deception_weight: float = 0.1
    feature_weight: float = 0.3
    critic_windows: int = 6
    freeze_encoder: bool = False
    """Tokens stay what they are from here on: a language model may learn them while the decoder gets better."""
    average: float = 0.999
    """Share of the old average that a step keeps."""


class Student(nn.Module):
    """What is averaged: the codec and its phoneme head."""

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        self.codec = NanoCodec(config)
        self.head = PhonemeHead(len(config.levels))


class CodecTraining:
    """The state of a training run."""

    def __init__(
        self,
        config: CodecConfig,
        schedule: Schedule,
        *,
        device: torch.device,
        recogniser: RecogniserDistance | None = None,
        bf16: bool = False,
        seed: int = 0,
    ) -> None:
        torch.manual_seed(seed)
        self.config, self.schedule, self.device, self.bf16 = config, schedule, device, bf16
        self.step = 0
        self.student = Student(config).to(device)
        self.average = copy.deepcopy(self.student).requires_grad_(False)
        self.critic = SpectralCritic().to(device)
        self.distance = SpectralDistance().to(device)
        self.recogniser = recogniser.to(device) if recogniser and schedule.recogniser_weight else None
        self.optimiser = _optimiser(self.student, schedule)
        self.critic_optimiser = _optimiser(self.critic, schedule)

    def learn(self, batch: Batch) -> dict[str, Tensor]:
        """Take one step; returns its losses and the tokens it made."""
        for optimiser in (self.optimiser, self.critic_optimiser):
            for group in optimiser.param_groups:
                group["lr"] = self.schedule.rate.at(self.step)
        batch = batch.to(self.device)
        codec = self.student.codec
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            with torch.set_grad_enabled(not self.schedule.freeze_encoder):
                quantised = codec.quantiser(self._encoder(batch.audio))
            real, points = cut_windows(batch, quantised, codec.config.hop)
            made = codec.decoder(points, batch.voices)
        losses = {"spectral": self.distance(made, real)}
        total = losses["spectral"]
        if not self.schedule.freeze_encoder:
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
                log_probs = self.student.head(quantised)
            losses["phonemes"] = phoneme_loss(log_probs, batch)
            total = total + self.schedule.phoneme_weight * losses["phonemes"]
        if self.recogniser is not None:
            heard = self.schedule.recogniser_windows
            losses["words"] = self.recogniser(made[:heard], real[:heard])
            total = total + self.schedule.recogniser_weight * losses["words"]
        if self._adversarial:
            losses |= self._criticise(real, made)
            total = total + self.schedule.deception_weight * losses["deception"]
            total = total + self.schedule.feature_weight * losses["features"]
        self.optimiser.zero_grad(set_to_none=True)
        total.backward()
        losses["gradient"] = nn.utils.clip_grad_norm_(self.student.parameters(), 2.0)
        self.optimiser.step()
        self._update_average()
        self.step += 1
        return {**losses, "codes": _heard(codec.quantiser.codes(quantised), batch.frames)}

    @property
    def _encoder(self) -> nn.Module:
        """A frozen encoder is the average, which is what is kept."""
        return (self.average if self.schedule.freeze_encoder else self.student).codec.encoder

    @property
    def _adversarial(self) -> bool:
        return self.schedule.adversarial_from is not None and self.step >= self.schedule.adversarial_from

    def _criticise(self, real: Tensor, made: Tensor) -> dict[str, Tensor]:
        real, made = real[: self.schedule.critic_windows], made[: self.schedule.critic_windows]
        loss = critic_loss(self._opinion(real), self._opinion(made.detach()))
        self.critic_optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.critic.parameters(), 2.0)
        self.critic_optimiser.step()
        self.critic.requires_grad_(False)
        opinion = self._opinion(made)
        with torch.no_grad():
            truth = self._opinion(real)
        self.critic.requires_grad_(True)
        return {"critic": loss, "deception": deception_loss(opinion), "features": feature_distance(truth, opinion)}

    def _opinion(self, audio: Tensor) -> Opinion:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            return cast(Opinion, self.critic(audio))

    @torch.no_grad()
    def _update_average(self) -> None:
        keep = min(self.schedule.average, (1 + self.step) / (10 + self.step))
        average, student = (
            part.codec.decoder if self.schedule.freeze_encoder else part for part in (self.average, self.student)
        )
        ours: list[Tensor] = list(average.parameters())
        theirs: list[Tensor] = list(student.parameters())
        torch._foreach_lerp_(ours, theirs, 1 - keep)

    def save(self, folder: Path) -> None:
        """Write a checkpoint, complete or not at all, and the averaged codec and head; older checkpoints go."""
        save_checkpoint(folder, self.step, asdict(self.config), self._modules, self._optimisers)
        self.average.codec.save(folder / "codec")
        self.average.head.save(folder / "codec" / PHONEME_HEAD)

    def resume(self, folder: Path) -> bool:
        """Load the latest checkpoint under `folder`, if there is one.

        Raises:
            ConfigError: the checkpoint is of a codec of another shape.
        """
        self.step = load_checkpoint(folder, asdict(self.config), self._modules, self._optimisers)
        return self.step > 0

    @property
    def _modules(self) -> dict[str, nn.Module]:
        return {"student": self.student, "average": self.average, "critic": self.critic}

    @property
    def _optimisers(self) -> dict[str, torch.optim.Optimizer]:
        return {"student": self.optimiser, "critic": self.critic_optimiser}


def cut_windows(batch: Batch, points: Tensor, hop: int) -> tuple[Tensor, Tensor]:
    """Audio [W, codes * hop] and points [W, codes, dimensions] of the batch's windows."""
    audio = batch.audio.reshape(len(batch.audio), -1, hop)
    rows = batch.rows[:, None]
    return audio[rows, batch.places].flatten(1), points[rows, batch.places]


def phoneme_loss(log_probs: Tensor, batch: Batch) -> Tensor:
    """CTC loss per phoneme; rows with more phonemes than tokens count as 0."""
    return functional.ctc_loss(
        log_probs.transpose(0, 1), batch.sounds, batch.frames, batch.sound_counts, zero_infinity=True
    )


def _heard(codes: Tensor, frames: Tensor) -> Tensor:
    return codes[torch.arange(codes.shape[1], device=codes.device) < frames[:, None]]


def _optimiser(module: nn.Module, schedule: Schedule) -> torch.optim.AdamW:
    return torch.optim.AdamW(module.parameters(), lr=schedule.rate.rate, betas=(0.9, 0.98), weight_decay=0.01)
