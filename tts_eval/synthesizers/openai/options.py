"""What stands after `openai:`: URL,KEY=VALUE,...

    openai:https://api.openai.com/v1,model=gpt-4o-mini-tts,voice=alloy
    openai:http://127.0.0.1:8091/v1,model=Qwen/Qwen3-TTS-12Hz-1.7B-Base,send=seed+prompt,concurrency=16

URL is the server, with or without `/v1` or `/v1/audio/speech`. Keys: `model`; `voice`; `format` (wav, flac,
mp3, opus, pcm; default wav); `rate` (hertz of pcm, which does not say; default 24000); `send` (what of a job
goes along beside the text, joined by +, see `FIELDS`); `concurrency` (requests under way at a time; default 4);
`timeout` (seconds until an answer must be complete; default 120); `retries` (default 3); `revision` (what you call the
weights behind the server, which nobody else can see: another one is another synthesizer).

The key stands in none of them: it is read from $OPENAI_API_KEY when the synthesizer is loaded.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

from tts_eval.errors import ConfigError
from tts_eval.key_values import parse_key_values

EXAMPLE = "openai:http://127.0.0.1:8000/v1,model=NAME,voice=NAME"
KEY_VARIABLE = "OPENAI_API_KEY"
ENDPOINT = "/audio/speech"
FORMATS = ("wav", "flac", "mp3", "opus", "pcm")
FIELDS = ("seed", "temperature", "top_p", "top_k", "repetition_penalty", "language", "style", "prompt")
"""What can go along: fields of these names, as vLLM-Omni and others read them. `style` becomes OpenAI's
`instructions`; `prompt` becomes `ref_audio` (WAV as a data URL) and `ref_text`."""
SECRETS = {"key", "api_key", "api-key", "apikey", "token", "authorization", KEY_VARIABLE.lower()}


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAIOptions:
    """A parsed spec and the key."""

    endpoint: str
    model: str
    voice: str = ""
    format: str = "wav"
    rate: int = 24_000
    send: tuple[str, ...] = ()
    concurrency: int = 4
    timeout: float = 120.0
    retries: int = 3
    revision: str = ""
    key: str = field(default="", repr=False)

    @property
    def identity(self) -> str:
        """What was asked for, and a digest of all of it that decides the audio.

        Weights behind a server cannot be seen. With a declared revision they are known wherever they are served, so
        the address is part of the identity only without one.
        """
        decisive = [self.model, self.voice, self.format, self.rate, sorted(self.send), self.revision]
        if not self.revision:
            decisive.append(self.endpoint)
        digest = hashlib.sha256(json.dumps(decisive).encode()).hexdigest()[:12]
        where = self.revision or urlsplit(self.endpoint).netloc
        return f"{self.model}{f'/{self.voice}' if self.voice else ''}@{where}+{digest}"


def _is_number(value: str, least: float) -> bool:
    return bool(re.fullmatch(r"\d+(\.\d+)?", value)) and float(value) >= least


def _is_sendable(value: str) -> bool:
    return bool(value) and set(value.split("+")) <= set(FIELDS)


_KEYS: dict[str, tuple[Callable[[str], bool], str]] = {
    "model": (bool, "the name of a model that the server has"),
    "voice": (bool, "the name of a voice that the server has"),
    "format": (lambda value: value in FORMATS, f"expected one of {', '.join(FORMATS)}"),
    "rate": (lambda value: value.isdigit() and int(value) > 0, "expected hertz, e.g. 24000"),
    "send": (_is_sendable, f"expected some of {', '.join(FIELDS)}, joined by +"),
    "concurrency": (lambda value: value.isdigit() and int(value) > 0, "expected 1 or more"),
    "timeout": (lambda value: _is_number(value, 0.001), "expected seconds, e.g. 120"),
    "retries": (str.isdigit, "expected 0 or more"),
    "revision": (bool, "expected what you call the weights, e.g. 2026-11"),
}


def parse_options(argument: str) -> OpenAIOptions:
    """The options that `openai:ARGUMENT` gives, with the key of the environment.

    Raises:
        ConfigError: no URL or model, or unknown, repeated or impossible options; all of them are listed.
    """
    address, *settings = [part.strip() for part in argument.split(",")]
    secrets = [name for setting in settings if (name := setting.partition("=")[0].strip().lower()) in SECRETS]
    if secrets or re.search("[@?#]", address):  # nothing is echoed here: the spec holds, or may hold, a secret
        raise ConfigError(
            [
                "'openai:...' must hold no key, as runs keep it: neither as a setting nor as a user or query in the "
                f"address. Put it into the environment variable {KEY_VARIABLE}."
            ]
        )
    key = os.environ.get(KEY_VARIABLE, "").strip()
    problems = _address_problems(address)
    if not (key.isascii() and key.isprintable()):
        problems.append(f"The key in ${KEY_VARIABLE} has characters that no key has; set it again.")
    values: dict[str, str] = {}

    def problem_of(key: str, value: str) -> str:
        is_right, expected = _KEYS[key]
        return "" if is_right(value) else expected

    try:
        values = parse_key_values(settings, tuple(_KEYS), f"openai:{argument}", problem_of)
        if "model" not in values:
            problems.append(f"'openai:{argument}' names no model; expected e.g. {EXAMPLE}.")
        if "rate" in values and values.get("format") != "pcm":
            problems.append("rate= is for format=pcm alone; other formats say their rate.")
    except ConfigError as error:
        problems += error.problems
    if problems:
        raise ConfigError(problems)
    return OpenAIOptions(
        endpoint=_endpoint(address),
        model=values["model"],
        voice=values.get("voice", ""),
        format=values.get("format", "wav"),
        rate=int(values.get("rate", 24_000)),
        send=tuple(values["send"].split("+")) if "send" in values else (),
        concurrency=int(values.get("concurrency", 4)),
        timeout=float(values.get("timeout", 120.0)),
        retries=int(values.get("retries", 3)),
        revision=values.get("revision", ""),
        key=key,
    )


def _address_problems(address: str) -> list[str]:
    try:
        parts = urlsplit(address)
        is_right = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_right = False
    if is_right:
        return []
    return [f"Synthesizer 'openai' needs the address of a server first, e.g. {EXAMPLE}; got '{address}'."]


def _endpoint(address: str) -> str:
    parts = urlsplit(address)
    path = parts.path.rstrip("/") or "/v1"
    return urlunsplit(parts._replace(path=path if path.endswith(ENDPOINT) else path + ENDPOINT))
