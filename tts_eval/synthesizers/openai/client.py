"""POST until there is an answer: bounded in time, size and attempts, and every attempt is counted.

Sent again are requests that the server refused for now (`BUSY`) and those whose connection broke or never came about;
it waits 0.5, 1, 2 ... seconds in between, a minute at most, or as long as Retry-After asks for. What took too long is
not sent again: the server may still be at work on it.
"""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from tts_eval.errors import ConfigError, SynthesisError
from tts_eval.synthesizers.openai.options import ENDPOINT, KEY_VARIABLE
from tts_eval.synthesizers.received import MOST_BYTES

if TYPE_CHECKING:
    import httpx2

    from tts_eval.synthesizers.openai.options import OpenAIOptions

BUSY = frozenset({408, 409, 429, 500, 502, 503, 504})
FIRST_WAIT, LONGEST_WAIT = 0.5, 60.0
"""Seconds."""
CONNECT_SECONDS = 10.0
EXCERPT = 300
"""Characters of a refusal that are quoted."""


class Answer(NamedTuple):
    """What the server sent, or why there is nothing."""

    content: bytes
    content_type: str
    error: str
    retries: int
    """Times that the request was sent again."""


class Refusal(NamedTuple):
    """One attempt that failed, and whether another may do better; `wait` is what the server asks for, in seconds."""

    error: str
    again: bool
    wait: float | None = None


class Client:
    """Connections to one server; threads may share it."""

    def __init__(self, options: OpenAIOptions, sleep: Callable[[float], None] = time.sleep) -> None:
        import httpx2

        self._options = options
        self._sleep = sleep
        limits = httpx2.Limits(max_connections=options.concurrency, max_keepalive_connections=options.concurrency)
        headers = {"Accept-Encoding": "identity"}  # audio is compressed already, and a bound on bytes is one then
        if options.key:
            headers["Authorization"] = f"Bearer {options.key}"
        # Redirects are not followed: the key is meant for this server alone.
        self._http = httpx2.Client(headers=headers, limits=limits, follow_redirects=False)
        weakref.finalize(self, self._http.close)  # synthesizers have no end that anybody announces

    def check(self) -> None:
        """Raise where nobody listens, so that a run does not find that out once per candidate.

        Raises:
            SynthesisError: no connection to the server.
            ConfigError: its address is impossible.
        """
        import httpx2

        try:
            address = self._options.endpoint.removesuffix(ENDPOINT) + "/models"
            with self._http.stream("GET", address, timeout=CONNECT_SECONDS):
                pass  # what it says may have no end; that it speaks is enough
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.ProxyError) as error:
            raise SynthesisError(
                f"No server answers at {self._options.endpoint}: {self._safe(str(error))}. Start it, or check the "
                "address."
            ) from error
        except httpx2.InvalidURL as error:
            raise ConfigError([f"{self._options.endpoint} is no possible address: {error}."]) from error
        except httpx2.HTTPError:
            pass  # somebody listens; what else is wrong shows in the candidates

    def post(self, body: Mapping[str, Any]) -> Answer:
        """The answer to `body`; whatever goes wrong is in it."""
        retries = 0
        while True:
            outcome = self._attempt(body)
            if isinstance(outcome, Answer):
                return outcome._replace(retries=retries)
            wait = _backoff(retries) if outcome.wait is None else outcome.wait
            if not outcome.again or wait > LONGEST_WAIT or retries == self._options.retries:
                return self._given_up(outcome, retries, wait)
            self._sleep(wait)
            retries += 1

    def _given_up(self, last: Refusal, retries: int, wait: float) -> Answer:
        sent = f" (sent {retries + 1} times)" if retries else ""
        asks = f"; it asks to wait {wait:.0f} s, which is too long" if last.again and wait > LONGEST_WAIT else ""
        return Answer(b"", "", self._safe(last.error) + sent + asks, retries)

    def excerpt(self, content: bytes) -> str:
        """The beginning of what the server said, without the key."""
        return " ".join(self._safe(content.decode("utf-8", "replace")).split())[:EXCERPT]

    def _attempt(self, body: Mapping[str, Any]) -> Answer | Refusal:
        import httpx2

        deadline = time.monotonic() + self._options.timeout
        connect = min(CONNECT_SECONDS, self._options.timeout)
        timeout = httpx2.Timeout(self._options.timeout, connect=connect)
        try:
            with self._http.stream("POST", self._options.endpoint, json=dict(body), timeout=timeout) as response:
                content = bytearray()
                for chunk in response.iter_bytes():
                    content += chunk
                    if time.monotonic() > deadline:
                        return Refusal(f"timeout: no complete answer within {self._options.timeout:g} s", False)
                    if len(content) > MOST_BYTES:
                        return Refusal(f"the answer is longer than {MOST_BYTES // 2**20} MiB; expected a clip", False)
                return self._judge(response, bytes(content))
        except httpx2.ConnectTimeout:
            return Refusal(f"no connection within {connect:g} s", True)
        except httpx2.TimeoutException:
            return Refusal(f"timeout: no complete answer within {self._options.timeout:g} s", False)
        except httpx2.HTTPError as error:
            return Refusal(f"{type(error).__name__}: {error}", True)

    def _judge(self, response: httpx2.Response, content: bytes) -> Answer | Refusal:
        if response.status_code == 200:
            return Answer(content, self._safe(response.headers.get("content-type", "")), "", 0)
        said = f"HTTP {response.status_code} {response.reason_phrase}: {self.excerpt(content)}"
        if response.status_code in (401, 403):
            has = "was sent" if self._options.key else "is not set"
            said += f" (the key in ${KEY_VARIABLE} {has})"
        return Refusal(said, response.status_code in BUSY, _seconds_asked_for(response.headers.get("retry-after")))

    def _safe(self, text: str) -> str:
        return text.replace(self._options.key, "***") if self._options.key else text


def _backoff(retries: int) -> float:
    # No power of two beyond the longest wait: `retries` may be any number.
    return min(FIRST_WAIT * 2.0 ** min(retries, 10), LONGEST_WAIT)


def _seconds_asked_for(header: str | None) -> float | None:
    """Retry-After as seconds from now (RFC 9110, 10.2.3: a number or a date); None where it says nothing."""
    if not header:
        return None
    if header.isascii() and header.isdigit():
        return float(header)
    try:
        return max((parsedate_to_datetime(header) - datetime.now(UTC)).total_seconds(), 0.0)
    except (TypeError, ValueError):
        return None
