"""Piper voices (VITS through ONNX): fast, stochastic, one core per candidate.

`piper` is the embedded voice en_US-joe-medium, `piper:VOICE.onnx` any other Piper voice,
`piper:VOICE.onnx@SPEAKER` one speaker of a voice that has several.

Temperature scales both noises of the voice file: `noise_scale` (timbre and prosody detail) and
`noise_w` (durations). At 1 the voice sounds as its author set it; at 0 it is deterministic.
top_p, top_k and repetition_penalty mean nothing to a VITS. All noise comes from the candidate's
own seed (see `noise_stages`), so a candidate is the same bit for bit in any order and batch.
Prompts are ignored: a Piper voice does not clone.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tts_eval import seeds, weights
from tts_eval.audio import Clip
from tts_eval.errors import ConfigError, MissingDependencyError, SynthesisError, TTSEvalError
from tts_eval.execution import available_cores
from tts_eval.synthesizers.failed import failed_candidate
from tts_eval.synthesizers.noise_stages import load_stages
from tts_eval.synthesizers.side_by_side import side_by_side
from tts_eval.types import Candidate, Cost, FailureKind, FinishReason, Job, Limit

HOP_SAMPLES = 256
"""Samples per frame of a Piper voice."""
EMBEDDED = "piper-en_US-joe-medium"


class Utterance(NamedTuple):
    """Mono float32 samples, and whether they were cut at the longest allowed duration."""

    samples: np.ndarray
    truncated: bool


def create(argument: str) -> PiperSynthesizer:
    """The voice that `piper:ARGUMENT` names; no argument is the embedded voice.

    Raises:
        ConfigError: the voice file does not exist, or the voice lacks that speaker.
        WeightsError: the embedded voice has not been fetched.
    """
    if not argument:
        return PiperSynthesizer(weights.locate(EMBEDDED) / "en_US-joe-medium.onnx")
    path, _, speaker = argument.partition("@")
    return PiperSynthesizer(Path(path).expanduser(), speaker=speaker)


class PiperSynthesizer:
    """One Piper voice."""

    name = "piper"
    limits = frozenset({Limit.NO_CLONING})

    def __init__(self, voice: Path, *, speaker: str = "", threads: int | None = None) -> None:
        config_path = voice.with_name(f"{voice.name}.json")
        if not voice.is_file() or not config_path.is_file():
            raise ConfigError(
                [f"No Piper voice at {voice}: expected that file and {config_path.name} beside it (piper:VOICE.onnx)."]
            )
        try:
            self._config = json.loads(config_path.read_text(encoding="utf-8"))
            self.rate = int(self._config["audio"]["sample_rate"])
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError([f"{config_path} is not a Piper voice config: {error!r}."]) from error
        self._phonemizer = _phonemizer(self._config)
        self._speaker = _speaker_number(self._config, speaker, voice)
        self._stages = load_stages(voice)
        self._threads = threads or available_cores()
        self._encode = lru_cache(maxsize=256)(self._encode_uncached)
        digest = hashlib.sha256(voice.read_bytes() + config_path.read_bytes()).hexdigest()[:12]
        # Phonemes decide the audio as much as weights do, and change with the package.
        phonemes = version("piper-tts")
        self.revision = f"{voice.stem}@{digest}+phonemes{phonemes}" + (
            f"#{self._speaker}" if self._speaker is not None else ""
        )

    def generate(self, jobs: Sequence[Job]) -> list[Candidate]:
        """One candidate per job; several are made side by side, one thread each."""
        phonemes = {text: self._phoneme_ids(text) for text in dict.fromkeys(job.request.text for job in jobs)}
        return side_by_side(lambda job: self._candidate(job, phonemes[job.request.text]), jobs, self._threads)

    def _candidate(self, job: Job, sentences: Sequence[tuple[int, ...]]) -> Candidate:
        started = time.perf_counter()
        try:
            utterance = self._say(job, sentences)
        except TTSEvalError as error:
            return failed_candidate(job, FailureKind.SYNTHESIS, str(error), time.perf_counter() - started)
        clip = Clip(utterance.samples, self.rate)
        return Candidate(
            index=job.index,
            seed=job.seed,
            sampling=job.sampling,
            finish=FinishReason.LENGTH if utterance.truncated else FinishReason.EOS,
            clip=clip,
            cost=Cost(audio_seconds=clip.seconds, generator_seconds=time.perf_counter() - started),
        )

    def _say(self, job: Job, sentences: Sequence[tuple[int, ...]]) -> Utterance:
        if not sentences:
            raise SynthesisError(
                f"Request '{job.request.id}': nothing to say in {job.request.text!r}; expected words that the voice's "
                f"phonemizer ({self._config.get('espeak', {}).get('voice', 'unknown')}) can read."
            )
        random = seeds.generator(job.seed)
        limit = int(job.sampling.max_seconds * self.rate)
        # A phoneme lasts a frame at least: more of them cannot fit, and attention over them could fill the memory.
        most_phonemes = limit // HOP_SAMPLES + 1
        pieces: list[np.ndarray] = []
        for sentence in sentences:
            pieces.append(self._decode(sentence[:most_phonemes], job.sampling.temperature, random))
            if sum(map(len, pieces)) > limit:
                return Utterance(np.concatenate(pieces)[:limit], True)
        return Utterance(np.concatenate(pieces), False)

    def _decode(self, ids: tuple[int, ...], temperature: float, random: np.random.Generator) -> np.ndarray:
        tensors = dict(self._encode(ids, temperature))
        for noise in self._stages[0].noise:
            tensors[noise.output] = noise.draw(tensors, random)
        for stage in self._stages[1:]:
            tensors |= stage.run(tensors)
            for noise in stage.noise:
                tensors[noise.output] = noise.draw(tensors, random)
        samples: np.ndarray = tensors[self._stages[-1].outputs[0]].reshape(-1)
        return samples.clip(-1.0, 1.0).astype(np.float32)

    def _encode_uncached(self, ids: tuple[int, ...], temperature: float) -> dict[str, np.ndarray]:
        """Everything that no noise reaches; the same for all candidates of a text."""
        inference = self._config.get("inference", {})
        tensors: dict[str, np.ndarray] = {
            "input": np.array([ids], dtype=np.int64),
            "input_lengths": np.array([len(ids)], dtype=np.int64),
            "scales": np.array(
                [
                    inference.get("noise_scale", 0.667) * temperature,
                    inference.get("length_scale", 1.0),
                    inference.get("noise_w", 0.8) * temperature,
                ],
                dtype=np.float32,
            ),
        }
        if self._speaker is not None:
            tensors["sid"] = np.array([self._speaker], dtype=np.int64)
        return tensors | self._stages[0].run(tensors)

    def _phoneme_ids(self, text: str) -> list[tuple[int, ...]]:
        """Ids per sentence. espeak-ng has global state, so this runs outside the thread pool."""
        sentences = self._phonemizer.phonemize(text)
        return [tuple(self._phonemizer.phonemes_to_ids(sentence)) for sentence in sentences if _is_spoken(sentence)]


def _is_spoken(phonemes: Sequence[str]) -> bool:
    return any(phoneme.isalpha() for phoneme in phonemes)


def _phonemizer(config: dict[str, Any]) -> Any:
    try:
        from piper.config import PiperConfig
        from piper.voice import PiperVoice
    except ImportError as error:
        raise MissingDependencyError("piper-tts", "The synthesizer 'piper'", "tts-eval-harness[piper]") from error
    return PiperVoice(session=None, config=PiperConfig.from_dict(config))


def _speaker_number(config: dict[str, Any], speaker: str, voice: Path) -> int | None:
    count = int(config.get("num_speakers", 1))
    names: dict[str, int] = config.get("speaker_id_map") or {}
    if count <= 1:
        if speaker:
            raise ConfigError([f"{voice.name} has one speaker; drop '@{speaker}'."])
        return None
    if speaker in names:
        return names[speaker]
    if (speaker or "0").isdigit() and int(speaker or "0") < count:
        return int(speaker or "0")
    known = ", ".join(list(names)[:10]) or f"0 to {count - 1}"
    raise ConfigError([f"{voice.name} has no speaker '{speaker}'. It has {count}: {known}."])
