"""Run folders as commands take them: a path, or a URL whose copy on this machine is worked on.

A command that writes pushes every ten seconds and at its end, whatever ends it; one that reads pulls first.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType

import typer

from tts_eval.errors import ConfigError, StoreError
from tts_eval.remote_folder import RemoteFolder, is_url

PUSHED_EVERY = 10.0
"""Seconds; what a kill costs whoever goes on elsewhere."""


def read_folder(text: str) -> Path:
    """The folder that an argument names, to read it; typer calls it as its `parser`.

    Raises:
        StoreError: it is a URL that cannot be read, or holds no run.
    """
    if not is_url(text):
        return Path(text)
    remote = RemoteFolder(text)
    remote.read()
    return remote.folder


def local_path(text: str) -> Path:
    """The path that an option names, for what is written on this machine only; typer calls it as its `parser`.

    Raises:
        ConfigError: it is a URL, which would be taken for a folder `s3:`.
    """
    if is_url(text):
        raise ConfigError([f"{text} is a URL, and this is written on this machine only. Give a path."])
    return Path(text)


@contextlib.contextmanager
def worked_on(place: str | Path, *, is_new: bool = False) -> Iterator[Path]:
    """The folder to work in for a path or a URL; what was made there is pushed, also when the work ends in an error.

    Args:
        place: path or URL.
        is_new: whether it may be one where nothing is yet.

    Raises:
        RunLockedError: somebody else works at the URL.
        StoreError: the URL cannot be used, or in the end not everything could be pushed.
    """
    if not is_url(str(place)):
        yield Path(place)
        return
    if str(place).startswith("memory:"):
        raise ConfigError([f"{place} would be gone with this process. Give a path, or file:// or s3:// for one."])
    remote = RemoteFolder(str(place))
    try:
        with remote.writing(may_be_empty=is_new):
            typer.echo(f"{remote.url} is worked on in {remote.folder}", err=True)
            try:
                with _Pushing(remote):
                    yield remote.folder
            except BaseException:
                with contextlib.suppress(StoreError):  # it has been said; what ended the work is what matters
                    _push_the_rest(remote, is_said=True)
                raise
            _push_the_rest(remote)
            typer.echo(f"pushed to {remote.url}", err=True)
    except KeyboardInterrupt as error:
        typer.echo(f"interrupted; the same command goes on, and pushes what is only in {remote.folder}", err=True)
        raise typer.Exit(130) from error


@contextlib.contextmanager
def reported_on(places: Sequence[str]) -> Iterator[list[Path]]:
    """The folders of paths or URLs, to read them; the reports that were written there are pushed.

    Raises:
        StoreError: a URL cannot be read, or the reports cannot be pushed.
    """
    remotes = {place: RemoteFolder(place) for place in places if is_url(place)}
    for remote in remotes.values():
        remote.read()
    yield [remotes[place].folder if place in remotes else Path(place) for place in places]
    for remote in remotes.values():
        try:
            remote.push_reports()
        except StoreError as error:
            raise StoreError(f"{error} The report is in {remote.folder}.") from error


def _push_the_rest(remote: RemoteFolder, *, is_said: bool = False) -> None:
    try:
        remote.push()
    except StoreError as error:
        text = f"{error} What was made is in {remote.folder}; the same command pushes it and goes on."
        if is_said:
            typer.echo(f"error: {text}", err=True)
        raise StoreError(text) from error


class _Pushing:
    """Pushes now and then in a thread; the first failure is said, all are tried again."""

    def __init__(self, remote: RemoteFolder) -> None:
        self._remote = remote
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._push, name="pushing", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over.set()
        self._thread.join()

    def _push(self) -> None:
        is_said = False
        while not self._is_over.wait(PUSHED_EVERY):
            try:
                self._remote.push()
            except StoreError as error:
                if not is_said:
                    typer.echo(f"warning: {error} The run goes on; it is tried again.", err=True)
                is_said = True
