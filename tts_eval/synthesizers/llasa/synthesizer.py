"""Any checkpoint in Llasa's format as a synthesizer: best-of-N with one prefill per request, or step by step.

Temperature divides the logits of the next token (0 takes the most probable one); top_k, top_p and
repetition_penalty mean what they mean in transformers. A candidate ends with the model's own end
token (`eos`), or at the shortest of max_seconds, three times a slow reading of the text, and the context
(`length`); what was said until then is kept.
Of a long text in chunks each has max_seconds of its own. Its `tokens` are the codec's codes. A request that goes on
with its prompt (`Request.is_continuation`) gives the whole utterance: the prompt through the codec, then the rest.
The codes depend on the job alone up to the rounding of matrix products, which may differ between
batch sizes: on a CPU too little to matter, in bfloat16 on a GPU now and then enough to flip a token.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from tts_eval.audio import Clip, load_clip
from tts_eval.errors import ConfigError, SynthesisError, TTSEvalError
from tts_eval.seeds import candidate_seed
from tts_eval.synthesizers.failed import failed_candidate
from tts_eval.synthesizers.llasa import length
from tts_eval.synthesizers.llasa.options import parse_options
from tts_eval.types import Candidate, FailureKind, FinishReason, Generation, Job, Prompt, Request

if TYPE_CHECKING:
    from tts_eval.synthesizers.codec import Reference
    from tts_eval.synthesizers.engine.head import Opening, Start
    from tts_eval.synthesizers.llasa.loading import Loaded

LEAST_SECONDS = 0.5
"""A prompt that leaves less than this of the context is too long."""
REMEMBERED_PROMPTS = 256


def create(argument: str) -> LlasaSynthesizer:
    """The checkpoint that `llasa:SOURCE[@REVISION][,KEY=VALUE ...]` names; see `options`.

    Raises:
        ConfigError: the options are wrong.
        WeightsError: the checkpoint or its codec cannot be used.
        MissingDependencyError: transformers is not installed.
    """
    options = parse_options(argument)
    from tts_eval.synthesizers.llasa import loading

    return LlasaSynthesizer(loading.load(options), chunk=options.chunk)


class LlasaSynthesizer:
    """A `StepSynthesizer` for Llasa's format."""

    def __init__(self, loaded: Loaded, *, chunk: bool = False, name: str = "llasa") -> None:
        self.name = name
        self._loaded = loaded
        self._engine = loaded.engine
        self._format = loaded.format
        self._context = loaded.context
        self._chunk = chunk
        self._references: dict[str, Reference] = {}
        self.revision = loaded.revision + ("+chunk" if chunk else "")
        self._frame_seconds = loaded.engine.codec.hop / loaded.engine.codec.rate
        self.step_seconds = 1.0 / (1.0 / self._frame_seconds + loaded.format.heard_per_second)

    @property
    def most_rows(self) -> int:
        """Rows of one batch: the option, or what the memory turned out to hold."""
        return self._engine.most_rows

    def generate(self, jobs: Sequence[Job]) -> list[Candidate]:
        """One candidate per job; a request that cannot be said gives failed candidates."""
        parts: list[list[Start] | TTSEvalError] = []
        openings: dict[int, list[Opening] | TTSEvalError] = {}
        for job in jobs:
            if id(job.request) not in openings:
                openings[id(job.request)] = self._openings_or_error(job.request)
            found = openings[id(job.request)]
            parts.append(found if isinstance(found, TTSEvalError) else self._starts(job, found))
        starts = [start for part in parts if not isinstance(part, TTSEvalError) for start in part]
        made = iter(self._engine.generate(starts) if starts else [])
        return [
            failed_candidate(job, FailureKind.SYNTHESIS, str(part))
            if isinstance(part, TTSEvalError)
            else _joined(job, [next(made) for _ in part])
            for job, part in zip(jobs, parts, strict=True)
        ]

    def begin(self, jobs: Sequence[Job]) -> Generation:
        """Rows that a search steers.

        Raises:
            SynthesisError: a request cannot be said; nothing has been generated.
            ConfigError: long texts are to be cut into chunks, which rows cannot be.
        """
        if self._chunk:
            raise ConfigError(["chunk=on makes one clip of several; a search step by step needs chunk=off."])
        openings: dict[int, list[Opening]] = {}
        for job in jobs:
            if id(job.request) not in openings:
                openings[id(job.request)] = self._openings(job.request)
        return self._engine.begin([start for job in jobs for start in self._starts(job, openings[id(job.request)])])

    def _openings_or_error(self, request: Request) -> list[Opening] | TTSEvalError:
        try:
            return self._openings(request)
        except TTSEvalError as error:
            return error

    def _openings(self, request: Request) -> list[Opening]:
        """What the model hears before it speaks: one opening, or one per chunk of a long text."""
        if not any(mark.isalnum() for mark in request.text):
            raise SynthesisError(f"Request '{request.id}': nothing to say in {request.text!r}; expected words.")
        reference = self._reference(request)
        transcript = request.prompt.transcript if request.prompt else None
        if reference is not None and request.is_continuation:
            return [self._opening(request, request.text, reference)]
        if reference is not None and not (transcript or "").strip():
            raise SynthesisError(
                f"Request '{request.id}': its prompt has audio but no transcript, and Llasa clones a voice by going on "
                "with a text that it has. Give what the audio says (--prompt-text, or the suite's transcript)."
            )
        return [self._opening(request, text, reference) for text in self._texts(request.text)]

    def _opening(self, request: Request, text: str, reference: Reference | None) -> Opening:
        from tts_eval.synthesizers.engine.head import Opening

        codes = [] if reference is None else reference.frames.tolist()
        goes_on = reference is not None and request.is_continuation
        try:
            written = self._format.prompt(
                text,
                language=request.language,
                transcript=(request.prompt.transcript or "") if request.prompt and codes and not goes_on else "",
                codes=codes,
                style=self._style(request),
            )
        except SynthesisError as error:
            raise SynthesisError(f"Request '{request.id}': {error}") from error
        begun = reference.frames if reference is not None and goes_on else None
        if reference is not None and begun is not None:
            reference = replace(reference, frames=begun[:0])  # they are no context of the row but its own
        opening = Opening(self._engine.embed(written.ids), reference, text, written.script, begun)
        taken = len(written.ids) + opening.heard_steps
        if taken + LEAST_SECONDS / self._frame_seconds > self._context:
            heard = len(codes) * self._frame_seconds
            ways = ["Use a shorter prompt"] if codes else []
            if not self._chunk and len(length.split_text(text)) > 1:
                ways.append(f"Let the text be cut into chunks (--synth {self.name}:...,chunk=on)")
            raise SynthesisError(
                f"Request '{request.id}': the text ({len(text)} characters)"
                f"{f' and the prompt ({heard:.1f} s)' if codes else ''} need {taken} tokens before any speech; the "
                f"model has room for {self._context}. {'. '.join(ways) or 'Shorten the text'}."
            )
        return opening

    def _style(self, request: Request) -> str:
        style = request.prompt.style if request.prompt else None
        return self._loaded.style.replace("{style}", style) if style else ""

    def _texts(self, text: str) -> list[str]:
        return length.split_text(text) if self._chunk else [text]

    def _starts(self, job: Job, openings: Sequence[Opening]) -> list[Start]:
        from tts_eval.synthesizers.engine.head import Start

        starts = []
        for number, opening in enumerate(openings):
            seconds = min(length.longest_seconds(opening.text), job.sampling.max_seconds)
            if opening.begun is not None:
                seconds -= len(opening.begun) * self._frame_seconds
            room = self._context - len(opening.inputs)
            seed = job.seed if len(openings) == 1 else candidate_seed(job.seed, "chunk", number)
            limit = max(1, min(room, opening.heard_steps + int(seconds / self._frame_seconds)))
            starts.append(Start(replace(job, seed=seed), opening, limit))
        return starts

    def _reference(self, request: Request) -> Reference | None:
        """The prompt's codes; encoded once per clip."""
        prompt = request.prompt or Prompt()
        if prompt.audio is None:
            return None
        clip = load_clip(prompt.audio)
        if not clip.is_finite:
            raise SynthesisError(
                f"Request '{request.id}': its prompt has samples that are no numbers (NaN or infinite); "
                "expected audio. Write the file again."
            )
        if clip.sha256 not in self._references:
            if len(self._references) >= REMEMBERED_PROMPTS:
                self._references.pop(next(iter(self._references)))
            self._references[clip.sha256] = self._engine.codec.encode(clip)
        return self._references[clip.sha256]


def _joined(job: Job, parts: Sequence[Candidate]) -> Candidate:
    """The chunks of a long text as one candidate."""
    if len(parts) == 1:
        return parts[0]
    clips = [part.clip for part in parts if part.clip is not None]
    cost = parts[0].cost
    for part in parts[1:]:
        cost += part.cost
    is_cut = any(part.finish is FinishReason.LENGTH for part in parts)
    return replace(
        parts[0],
        seed=job.seed,
        finish=FinishReason.LENGTH if is_cut else FinishReason.EOS,
        clip=Clip(np.concatenate([clip.samples for clip in clips]), clips[0].rate),
        tokens=np.concatenate([part.tokens for part in parts if part.tokens is not None]),
        cost=cost,
    )
