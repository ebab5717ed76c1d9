"""File systems to keep runs at, and what lies there."""

import json
import time
from typing import Any, ClassVar

import fsspec
from fsspec.implementations.memory import MemoryFileSystem

from tts_eval.remote_folder import RemoteFolder

URL = "memory://bucket/runs/x"
ALL = {"report": "r", "run": "{}", "requests": "q", "scores": "s", "candidates": "c", "audio": "a"}


class Unreliable(MemoryFileSystem):
    """Memory of its own that writes down what is put there, and can fail at the k-th file."""

    protocol = "unreliable"
    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]
    arrived: ClassVar[list[str]] = []
    fails_at: ClassVar[int] = -1

    def put_file(self, lpath: str, rpath: str, callback: Any = None, **kwargs: Any) -> None:
        if len(self.arrived) == type(self).fails_at:
            raise OSError("the line is dead")
        self.arrived.append(rpath)
        super().put_file(lpath, rpath, **kwargs)


def write(remote: RemoteFolder, **files: str) -> None:
    """Files by name, with _ for / and no ending."""
    names = {
        "audio": "candidates/audio/a.flac",
        "candidates": "candidates/part-000001.parquet",
        "scores": "scores/part-000001.parquet",
        "requests": "requests.jsonl",
        "run": "run.json",
        "report": "report/report.md",
    }
    for name, text in files.items():
        path = remote.folder / names.get(name, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def at(url: str, name: str) -> str:
    files, root = fsspec.url_to_fs(url)
    return files.cat_file(f"{root}/{name}").decode()


def set_at(url: str, name: str, text: str) -> None:
    files, root = fsspec.url_to_fs(url, **({"auto_mkdir": True} if url.startswith("file") else {}))
    files.pipe_file(f"{root}/{name}", text.encode())


def claim(**changes: Any) -> str:
    held = {"owner": "o", "host": "elsewhere", "pid": 7, "since": time.time(), "lapses": time.time() + 100} | changes
    return json.dumps(held)
