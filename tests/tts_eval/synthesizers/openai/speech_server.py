"""A real server with `POST /v1/audio/speech` on 127.0.0.1, whose answers a test scripts."""

import json
import threading
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

from tts_eval.audio import Clip, encode_audio

RATE = 24_000


def tone(seconds: float = 0.5) -> Clip:
    time = np.arange(int(RATE * seconds)) / RATE
    return Clip((0.3 * np.sin(2 * np.pi * 220 * time)).astype(np.float32), RATE)


def tone_wav(seconds: float = 0.5) -> bytes:
    return encode_audio(tone(seconds), "WAV")


@dataclass
class Reply:
    content: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "audio/wav"
    announced: int | None = None
    """Content-Length, where it is not that of the content."""


class SpeechServer:
    """Answers with what `answer(body, number of the request)` says, and remembers what it was asked."""

    def __init__(self, answer: Callable[[dict[str, Any], int], Reply]) -> None:
        self.answer = answer
        self.bodies: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.paths: list[str] = []
        self.under_way = self.most_under_way = 0
        self.lock = threading.Lock()
        self.url = ""

    def handle(self, path: str, key: str | None, body: dict[str, Any]) -> Reply:
        with self.lock:
            self.bodies.append(body)
            self.keys.append(key)
            self.paths.append(path)
            number = len(self.bodies)
            self.under_way += 1
            self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            return self.answer(body, number)
        finally:
            with self.lock:
                self.under_way -= 1


@contextmanager
def serving(answer: Callable[[dict[str, Any], int], Reply]):
    server = SpeechServer(answer)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_response(404)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            reply = server.handle(self.path, self.headers["Authorization"], body)
            try:
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Type", reply.content_type)
                self.send_header(
                    "Content-Length", str(len(reply.content) if reply.announced is None else reply.announced)
                )
                self.end_headers()
                self.wfile.write(reply.content)
            except (BrokenPipeError, ConnectionResetError):  # the client went away, as some tests want it to
                pass
            self.close_connection = reply.announced is not None

        def log_message(self, *_: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    thread = threading.Thread(target=http.serve_forever, args=(0.01,))
    thread.start()
    server.url = f"http://127.0.0.1:{http.server_address[1]}/v1"
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()
