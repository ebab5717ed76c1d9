"""Two machines are two cache homes, at one URL."""

from collections.abc import Callable, Iterator
from pathlib import Path

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from stores import URL, Unreliable

from tts_eval import lease
from tts_eval.remote_folder import RemoteFolder


@pytest.fixture(autouse=True)
def empty(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    fsspec.register_implementation("unreliable", Unreliable, clobber=True)
    monkeypatch.setattr(lease, "SETTLING_SECONDS", 0.0)
    for kind in (MemoryFileSystem, Unreliable):
        kind.store.clear()
        kind.pseudo_dirs[:] = [""]
    Unreliable.arrived.clear()
    Unreliable.fails_at = -1
    yield
    MemoryFileSystem.store.clear()


@pytest.fixture
def on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., RemoteFolder]:
    """The URL as a machine sees it."""

    def see(machine: str, url: str = URL) -> RemoteFolder:
        monkeypatch.setenv("TTS_EVAL_HOME", str(tmp_path / machine))
        return RemoteFolder(url)

    return see
