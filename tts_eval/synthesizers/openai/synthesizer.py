"""Any server with `POST /v1/audio/speech` as a synthesizer: OpenAI's own, vLLM-Omni, SGLang, Kokoro-FastAPI ...

The protocol knows a text, a model and a voice. Whatever else a job holds goes along only where `send=` names it,
since servers refuse or ignore fields that they do not know; temperature, top_p, top_k and repetition_penalty
then mean what they mean to the server. Without `send=seed` candidates differ by the server's own chance and cannot
be made again, so a run keeps what it was given and reports say so. With it, whether the server
obeys is the server's business.

Text that is too long, a wrong voice, a busy server, silence on the line: each is one failed candidate that names
the request and the HTTP status. Audio longer than max_seconds is cut.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tts_eval.audio import AudioSource, Clip, encode_audio, load_clip
from tts_eval.errors import AudioError
from tts_eval.seeds import short_seed
from tts_eval.synthesizers.failed import failed_candidate
from tts_eval.synthesizers.openai.client import Answer, Client
from tts_eval.synthesizers.openai.options import OpenAIOptions, parse_options
from tts_eval.synthesizers.received import Received, decode_pcm, decode_received
from tts_eval.synthesizers.side_by_side import side_by_side
from tts_eval.types import Candidate, Cost, FailureKind, Job, Limit


def create(argument: str) -> OpenAISynthesizer:
    """The server that `openai:URL,model=...` names; see `options`.

    Raises:
        ConfigError: the options are wrong.
        SynthesisError: nobody listens at that address.
    """
    options = parse_options(argument)
    client = Client(options)
    client.check()
    return OpenAISynthesizer(options, client)


class OpenAISynthesizer:
    """One model and voice of one server."""

    name = "openai"

    def __init__(self, options: OpenAIOptions, client: Client) -> None:
        self._options = options
        self._client = client
        self.revision = options.identity
        self.at_once = options.concurrency
        self.limits = frozenset(
            limit
            for field, limit in (("prompt", Limit.NO_CLONING), ("seed", Limit.NOT_REPRODUCIBLE))
            if field not in options.send
        )

    def generate(self, jobs: Sequence[Job]) -> list[Candidate]:
        """One candidate per job; what the server refuses is a failed one."""
        return side_by_side(self._candidate, jobs, self._options.concurrency)

    def _candidate(self, job: Job) -> Candidate:
        started = time.perf_counter()
        try:
            body = self._body(job)
        except AudioError as error:
            return failed_candidate(job, FailureKind.SYNTHESIS, f"Request '{job.request.id}': its prompt: {error}")
        answer = self._client.post(body)
        made = self._heard(job, answer)
        spent = Cost(generator_seconds=time.perf_counter() - started, retries=answer.retries)
        return replace(made, cost=made.cost + spent)

    def _heard(self, job: Job, answer: Answer) -> Candidate:
        where = f"Request '{job.request.id}': {self._options.endpoint}"
        if answer.error:
            return failed_candidate(job, FailureKind.SYNTHESIS, f"{where}: {answer.error}")
        if not answer.content:
            return failed_candidate(job, FailureKind.EMPTY, f"{where} sent 0 bytes; expected audio.")
        try:
            return self._decode(answer, job.sampling.max_seconds).candidate(job)
        except AudioError as error:
            return failed_candidate(
                job, FailureKind.UNREADABLE, f"{where} sent '{answer.content_type}' that cannot be heard: {error}."
            )

    def _decode(self, answer: Answer, longest_seconds: float) -> Received:
        # Any bytes pass for PCM, an error message too.
        if answer.content_type.startswith(("application/json", "text/")):
            raise AudioError(f"it says {self._client.excerpt(answer.content)}")
        if self._options.format == "pcm":
            return decode_pcm(answer.content, self._options.rate, longest_seconds)
        return decode_received(answer.content, longest_seconds)

    def _body(self, job: Job) -> dict[str, Any]:
        request, sampling, send = job.request, job.sampling, self._options.send
        body: dict[str, Any] = {
            "model": self._options.model,
            "input": request.text,
            "response_format": self._options.format,
        }
        if self._options.voice:
            body["voice"] = self._options.voice
        offered = {
            "seed": short_seed(job.seed),
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "top_k": sampling.top_k,
            "repetition_penalty": sampling.repetition_penalty,
            "language": request.language,
        }
        body |= {name: value for name, value in offered.items() if name in send}
        prompt = request.prompt
        if "style" in send and prompt and prompt.style:
            body["instructions"] = prompt.style
        if "prompt" in send and prompt and prompt.audio is not None:
            body["ref_audio"] = _data_url(prompt.audio)
            if prompt.transcript:
                body["ref_text"] = prompt.transcript
        return body


def _data_url(source: AudioSource) -> str:
    clip: Clip = load_clip(source)
    return f"data:audio/wav;base64,{base64.b64encode(encode_audio(clip, 'WAV')).decode('ascii')}"
