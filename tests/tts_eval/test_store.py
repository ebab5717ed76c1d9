import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tts_eval.errors import RunLockedError, StoreError
from tts_eval.files import TEMPORARY_PREFIX, write_atomically, write_text_atomically
from tts_eval.store import RunStore


def row(key: str, value: float = 0.0) -> dict:
    return {"key": key, "value": value}


def test_rows_come_back_and_later_ones_win(tmp_path: Path):
    with RunStore.create(tmp_path / "run") as store:
        store.add_scores([row("a", 1.0), row("b", 2.0)])
        store.add_scores([row("a", 3.0)])
        assert store.scores["a"]["value"] == 3.0
    again = RunStore(tmp_path / "run", writable=False)
    assert {key: r["value"] for key, r in again.scores.items()} == {"a": 3.0, "b": 2.0}


def test_a_column_that_only_later_rows_have_is_kept(tmp_path: Path):
    with RunStore.create(tmp_path) as store:
        store.add_scores([row("a"), row("b") | {"trace": "beam"}])
    scores = RunStore(tmp_path, writable=False).scores
    assert (scores["a"]["trace"], scores["b"]["trace"]) == (None, "beam")


def test_parts_are_only_ever_added(tmp_path: Path):
    with RunStore.create(tmp_path) as store:
        store.add_candidates([row("a")])
        first = next((tmp_path / "candidates").glob("*.parquet")).read_bytes()
        store.add_candidates([row("b")])
    parts = sorted((tmp_path / "candidates").glob("*.parquet"))
    assert len(parts) == 2
    assert parts[0].read_bytes() == first


def test_nothing_to_add_writes_nothing(tmp_path: Path):
    with RunStore.create(tmp_path) as store:
        store.add_scores([])
    assert not list(tmp_path.rglob("*.parquet"))


def test_a_half_written_part_costs_its_rows_and_no_others(tmp_path: Path, caplog):
    with RunStore.create(tmp_path) as store:
        store.add_scores([row("a")])
        store.add_scores([row("b")])
    broken = tmp_path / "scores" / "part-000001.parquet"
    broken.write_bytes(broken.read_bytes()[:40])
    with RunStore.create(tmp_path) as store:
        assert set(store.scores) == {"b"}
        assert "part-000001.parquet is damaged" in caplog.text
        store.add_scores([row("c")])
    assert (tmp_path / "scores" / "part-000001.parquet.damaged").exists()
    assert set(RunStore(tmp_path, writable=False).scores) == {"b", "c"}


def test_a_reader_leaves_a_damaged_part_where_it_is(tmp_path: Path):
    with RunStore.create(tmp_path) as store:
        store.add_scores([row("a")])
    part = tmp_path / "scores" / "part-000001.parquet"
    part.write_bytes(b"PAR1")
    assert RunStore(tmp_path, writable=False).scores == {}
    assert part.exists()


def test_leftovers_of_a_killed_writer_are_removed(tmp_path: Path):
    (tmp_path / "candidates" / "audio").mkdir(parents=True)
    leftover = tmp_path / "candidates" / "audio" / f"{TEMPORARY_PREFIX}x.flac"
    leftover.write_bytes(b"half")
    with RunStore.create(tmp_path):
        assert not leftover.exists()


def test_a_second_writer_is_refused_with_the_pid_of_the_first(tmp_path: Path):
    with RunStore.create(tmp_path):
        code = "import sys, pathlib; from tts_eval.store import RunStore; RunStore.create(pathlib.Path(sys.argv[1]))"
        result = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False
        )
    assert "RunLockedError" in result.stderr
    assert f"pid {os.getpid()}" in result.stderr
    with RunStore.create(tmp_path):  # and the lock is let go
        pass


def test_a_lock_is_let_go_when_opening_fails(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(RunStore, "__init__", lambda *a, **k: (_ for _ in ()).throw(StoreError("broken")))
    with pytest.raises(StoreError, match="broken"):
        RunStore.create(tmp_path)
    monkeypatch.undo()
    with RunStore.create(tmp_path):
        pass


def test_a_lock_that_was_removed_while_it_was_taken_is_taken_anew(tmp_path: Path, monkeypatch):
    import fcntl

    original, removed = fcntl.flock, []

    def flock(descriptor: int, how: int) -> None:
        original(descriptor, how)
        if not removed:
            (tmp_path / ".lock").unlink()
            removed.append(True)

    monkeypatch.setattr(fcntl, "flock", flock)
    with RunStore.create(tmp_path):
        assert (tmp_path / ".lock").read_text() == f"{os.getpid()}\n"
        with pytest.raises(RunLockedError):
            RunStore.create(tmp_path)


def test_a_store_that_nothing_was_written_to_is_no_folder(tmp_path: Path):
    (tmp_path / "mine").mkdir()
    for name in ("new", "mine"):
        with RunStore.create(tmp_path / name):
            pass
    assert [path.name for path in tmp_path.rglob("*")] == ["mine"]
    with RunStore.create(tmp_path / "kept") as store:
        store.write_json("run.json", {})
    assert (tmp_path / "kept" / "run.json").exists()


def test_locked_error_is_a_store_error():
    assert issubclass(RunLockedError, StoreError)


def test_a_folder_without_a_run_says_so(tmp_path: Path):
    with pytest.raises(StoreError, match=r"not a run.*no run\.json"):
        RunStore.read(tmp_path)


def test_a_folder_full_of_something_else_is_left_alone(tmp_path: Path):
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(StoreError, match="not empty, and not a run"):
        RunStore.create(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_run_folder_under_a_file_is_refused(tmp_path: Path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match="cannot be written"):
        RunStore.create(tmp_path / "file" / "run")


@pytest.mark.parametrize(
    ("number", "message"),
    [(errno.ENOSPC, "No space left.*run the same command again"), (errno.EROFS, "writable folder with --out")],
)
def test_a_full_or_read_only_disk_keeps_what_was_there(tmp_path: Path, number, message):
    path = tmp_path / "file.json"
    write_text_atomically(path, "before")

    def fail(temporary: Path) -> None:
        temporary.write_text("half of what")
        raise OSError(number, os.strerror(number))

    with pytest.raises(StoreError, match=message):
        write_atomically(path, fail)
    assert path.read_text() == "before"
    assert [p.name for p in tmp_path.iterdir()] == ["file.json"]


def test_damaged_json_is_named(tmp_path: Path):
    with RunStore.create(tmp_path) as store:
        store.write_json("run.json", {"a": "ä"})
        assert store.read_json("run.json") == {"a": "ä"}
        (tmp_path / "run.json").write_text("{")
        with pytest.raises(StoreError, match=r"run\.json cannot be read"):
            store.read_json("run.json")
