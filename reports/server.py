"""The web application behind `tts-eval view`: a folder of runs, read-only, for browsers of this machine.

Only GET and HEAD; only files inside the folder; only hosts that are this machine (a page elsewhere whose name is
made to point here, DNS rebinding, is refused by its Host header). Every answer has a content security policy. Files
are streamed in small pieces and may be asked for in ranges, as audio players do.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from functools import partial
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from reports.served_files import file_at, folder_at, media_type
from reports.viewer import REPORT, SCRIPTS, Viewer
from reports.web_page import OWN_SCRIPTS, policy_of, script_source
from tts_eval.errors import TTSEvalError

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

Message: TypeAlias = MutableMapping[str, Any]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
ANY_DIGITS = "*"
"""Stands for every address in digits: no name, so nobody can have made it point here."""
LOCAL = ("localhost", "127.0.0.1", "::1")
FRAMES = "; frame-ancestors 'none'"
ANY_FILE = "default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline'" + FRAMES
A_REPORT = (
    f"default-src 'none'; script-src {' '.join(map(script_source, OWN_SCRIPTS))}; style-src 'unsafe-inline'; "
    "img-src 'self' data:; media-src 'self' data: blob:; base-uri 'none'; form-action 'none'" + FRAMES
)
"""A page in the folder may be anybody's: only the scripts of our own pages run, whatever its own policy allows."""
HEADERS: Mapping[str, str] = {
    "cache-control": "no-cache",
    "content-security-policy": ANY_FILE,
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
SECONDS_BETWEEN = 1.0
"""Looks at the folder, for whoever listens to progress."""
LOOKS_TO_KEEP_ALIVE = 15


def make_app(
    root: Path, *, hosts: tuple[str, ...] = LOCAL, is_closing: Callable[[], bool] = lambda: False,
    seconds_between: float = SECONDS_BETWEEN,
) -> Guarded:  # fmt: skip
    """The application.

    Args:
        root: the folder that is served.
        hosts: names and addresses that a browser may know this machine by; see `ANY_DIGITS`.
        is_closing: whether the server wants to end; who listens to progress is let go then.
        seconds_between: looks at the folder.
    """
    from starlette.applications import Starlette
    from starlette.routing import Route

    viewer = Viewer(root)
    app = Starlette(
        routes=[
            Route("/", partial(_index, viewer)),
            Route("/favicon.ico", _no_icon),
            Route("/events", partial(_events, viewer, is_closing, seconds_between)),
            Route("/runs/{path:path}", partial(_file, viewer)),
        ]
    )
    app.router.redirect_slashes = False
    return Guarded(app, hosts)


class Guarded:
    """The application behind its checks: who asks, and what every answer says."""

    def __init__(self, app: Starlette, hosts: tuple[str, ...]) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Message, receive: Any, send: Send) -> None:
        """Answer one request."""
        from starlette.responses import PlainTextResponse

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                known = {name.lower() for name, _ in message["headers"]}
                own = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message["headers"] = [*message["headers"], *(pair for pair in own if pair[0] not in known)]
            await send(message)

        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        if len(hosts) != 1 or not is_own_host(hosts[0], self._hosts):
            refusal = PlainTextResponse("This server answers to this machine's own name only.\n", status_code=421)
            await refusal(scope, receive, answer)
            return
        await self._app(scope, receive, answer)


def is_own_host(header: str, hosts: tuple[str, ...]) -> bool:
    """Whether a Host header names this machine, with or without a port."""
    name = header.partition("]")[0].removeprefix("[") if header.startswith("[") else header.partition(":")[0]
    if name.lower() in hosts and name != ANY_DIGITS:
        return True
    if ANY_DIGITS not in hosts:
        return False
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _index(viewer: Viewer, request: Request) -> Response:
    from starlette.responses import HTMLResponse

    policy = policy_of(SCRIPTS, plays=False, connects=True) + FRAMES
    return HTMLResponse(viewer.index(), headers={"content-security-policy": policy})


def _no_icon(request: Request) -> Response:
    from starlette.responses import Response

    return Response(status_code=204)


def _file(viewer: Viewer, request: Request) -> Response:
    from starlette.responses import FileResponse, HTMLResponse, PlainTextResponse

    path: str = request.path_params["path"]
    inside = path.removesuffix(REPORT)
    run = folder_at(viewer.root, inside.removesuffix("/")) if f"/{path}".endswith(f"/{REPORT}") else None
    if run is not None and file_at(viewer.root, f"{inside}run.json"):
        try:
            report = viewer.report(run)
        except TTSEvalError as error:
            return HTMLResponse(_problem_page(run.name, str(error)), status_code=422)
        if isinstance(report, str):
            return HTMLResponse(report, headers={"content-security-policy": A_REPORT})
    found = file_at(viewer.root, path)
    if found is None:
        return PlainTextResponse("There is no such file.\n", status_code=404)
    headers = {"content-security-policy": A_REPORT} if found.suffix == ".html" else {}
    return FileResponse(found, media_type=media_type(found), headers=headers)


def _problem_page(name: str, problem: str) -> str:
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="color-scheme" content="light dark">'
        f"<title>{escape(name)}</title></head><body><h1>{escape(name)}</h1><p>This run cannot be shown: "
        f'{escape(problem)}</p><p><a href="/">All runs</a></p></body></html>'
    )


async def _events(viewer: Viewer, is_closing: Callable[[], bool], seconds_between: float, request: Request) -> Response:
    from starlette.responses import StreamingResponse

    return StreamingResponse(_changes(viewer, is_closing, seconds_between), media_type="text/event-stream")


async def _changes(viewer: Viewer, is_closing: Callable[[], bool], seconds_between: float) -> AsyncIterator[str]:
    """The state of all runs as it is, and again whenever it is another; a comment now and then keeps the line open."""
    from starlette.concurrency import run_in_threadpool

    said, quiet = "", 0
    while not is_closing():
        state = await run_in_threadpool(lambda: json.dumps([run.as_json() for run in viewer.progress()]))
        quiet = 0 if state != said else quiet + 1
        if state != said:
            said = state
            yield f"data: {state}\n\n"
        elif quiet % LOOKS_TO_KEEP_ALIVE == 0:
            yield ": still here\n\n"
        await asyncio.sleep(seconds_between)
