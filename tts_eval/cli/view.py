"""`tts-eval view`: a folder of runs in the browser."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Annotated, Any

import typer

from reports.server import ANY_DIGITS, LOCAL, make_app
from tts_eval.cli.folders import read_folder
from tts_eval.errors import ConfigError, MissingDependencyError

SECONDS_TO_END = 2
"""For downloads that are under way when the server is told to end."""


def view_command(
    folder: Annotated[Path, typer.Argument(parser=read_folder, help="Folder or URL of runs, or of one.")],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8642,
) -> None:
    """Show a folder of runs in the browser: leaderboard, reports, and what is still going. Reads only."""
    try:
        import starlette  # noqa: F401
        import uvicorn
    except ImportError as error:
        raise MissingDependencyError("starlette or uvicorn", "'tts-eval view'", "tts-eval-harness[view]") from error
    if not folder.is_dir():
        raise ConfigError([f"{folder} is no folder. Give the folder that your runs are in, e.g. runs."])
    listening = _listen(host, port)
    address, taken = listening.getsockname()[:2]
    is_local = address in LOCAL
    if not is_local:
        typer.echo(f"warning: {address} can be reached by other machines; anyone there can read {folder}", err=True)
    hosts = LOCAL if is_local else (*LOCAL, host.lower(), socket.gethostname().lower(), ANY_DIGITS)
    server: Any = None
    app = make_app(folder, hosts=hosts, is_closing=lambda: server is not None and server.should_exit)
    config = uvicorn.Config(
        app, log_level="critical", access_log=False, lifespan="off", server_header=False,
        timeout_graceful_shutdown=SECONDS_TO_END,
    )  # fmt: skip
    server = uvicorn.Server(config)
    typer.echo(f"http://{f'[{address}]' if ':' in address else address}:{taken}/")
    typer.echo("Ctrl-C ends it.", err=True)
    try:
        server.run(sockets=[listening])
    except KeyboardInterrupt:  # uvicorn passes it on once everything is closed
        return


def _listen(host: str, port: int) -> socket.socket:
    listening = None
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen()  # who reads the address may ask at once
    except OSError as error:
        if listening is not None:
            listening.close()
        raise ConfigError(
            [f"Cannot listen on {host}:{port} ({error.strerror}). --port 0 takes a free port."]
        ) from error
    return listening
