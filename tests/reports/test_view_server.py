"""The server of `tts-eval view`, asked over the wire: what it gives, what it refuses, what it follows."""

from __future__ import annotations

import errno
import http.client
import json
import os
import shutil
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner
from view_factory import Served, make_run, serving

from reports.live import Watch, runs_below
from reports.served_files import file_at, folder_at, media_type
from reports.server import LOCAL, is_own_host
from reports.viewer import Viewer
from reports.web_page import REPORT_SCRIPTS, script_source
from tts_eval.cli.app import app
from tts_eval.errors import ConfigError
from tts_eval.store import RunStore

pytest.importorskip("starlette", reason="starlette is not installed: pip install tts-eval-harness[view]")
pytest.importorskip("uvicorn", reason="uvicorn is not installed: pip install tts-eval-harness[view]")

SECRET = b"a secret outside the folder"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder `runs` with two runs, a damaged one, links, hidden and large files; a secret beside it."""
    top = tmp_path_factory.mktemp("view")
    (top / "secret.txt").write_bytes(SECRET)
    runs = top / "runs"
    first = make_run(runs / "first")
    make_run(runs / "deep/second", n=1)
    (runs / "damaged").mkdir()
    (runs / "damaged/run.json").write_text('{"suite": "<script>alert(1)</script>')
    (runs / "link-out").symlink_to(top / "secret.txt")
    (runs / "folder-out").symlink_to(top)
    (runs / "link-in").symlink_to(first / "requests.jsonl")
    (runs / "circle").symlink_to(runs / "circle")
    (runs / ".hidden").write_bytes(SECRET)
    (runs / "to-hidden").symlink_to(runs / ".hidden")
    (runs / "ten.txt").write_bytes(b"0123456789")
    with (runs / "large.wav").open("wb") as file:
        file.truncate(2 * 2**30)
    return runs


@pytest.fixture(scope="module")
def served(place: Path) -> Iterator[Served]:
    with serving(place) as one:
        yield one


def snapshot(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(p): (p.lstat().st_mtime_ns, p.lstat().st_size) for p in folder.rglob("*")}


@pytest.mark.parametrize(
    "path",
    [
        "/runs/../secret.txt", "/runs/../../secret.txt", "/runs/%2e%2e/secret.txt", "/runs/%2e%2e%2fsecret.txt",
        "/runs/..%2fsecret.txt", "/runs/%252e%252e/secret.txt", "/runs/first/../../secret.txt", "/runs/..\\secret.txt",
        "/runs/..%5csecret.txt", "/runs", "/runs//etc/passwd", "/runs/%2fetc%2fpasswd",
        "//etc/passwd", "/runs/ten.txt%00.html",
        "/runs/%00", "/runs/.hidden", "/runs/%2ehidden", "/runs/first/.lock", "/runs/./ten.txt", "/runs/link-out",
        "/runs/folder-out/secret.txt", "/runs/circle", "/runs/to-hidden", "/runs/", "/runs/first", "/secret.txt",
        "/runs/nothing", "/runs/nothing/report/report.html", "/runs/folder-out/report/report.html",
        "/runs/../report/report.html", "/runs/" + "a" * 5000, "/runs/%ff%fe", "/..", "/%2e%2e/secret.txt",
    ],
)  # fmt: skip
def test_nothing_but_files_of_the_folder_can_be_had(served: Served, path: str) -> None:
    status, _, body = served.ask(path)
    assert status == 404
    assert SECRET not in body and b"root:" not in body


def test_files_of_the_folder_can_be_had(served: Served, place: Path) -> None:
    assert served.ask("/runs/ten.txt")[2] == b"0123456789"
    assert served.ask("/runs/link-in")[2] == (place / "first/requests.jsonl").read_bytes()
    audio = next((place / "first/candidates/audio").iterdir())
    status, headers, body = served.ask(f"/runs/first/candidates/audio/{audio.name}")
    assert (status, headers["content-type"], body) == (200, "audio/flac", audio.read_bytes())
    status, headers, body = served.ask("/runs/ten.txt", "HEAD")
    assert (status, headers["content-length"], body) == (200, "10", b"")


@pytest.mark.parametrize(
    ("wanted", "status", "part"),
    [
        ("bytes=2-4", 206, b"234"), ("bytes=7-", 206, b"789"), ("bytes=-3", 206, b"789"), ("bytes=5-99", 206, b"56789"),
        ("bytes=10-", 416, b""), ("bytes=20-30", 416, b""),
    ],
)  # fmt: skip
def test_parts_of_files(served: Served, wanted: str, status: int, part: bytes) -> None:
    found, headers, body = served.ask("/runs/ten.txt", headers={"Range": wanted})
    assert (found, body) == (status, part)
    start = 10 - len(part) if wanted != "bytes=2-4" else 2
    assert headers["content-range"] == (f"bytes {start}-{start + len(part) - 1}/10" if part else "bytes */10")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
@pytest.mark.parametrize("path", ["/", "/events", "/runs/ten.txt"])
def test_only_reading_is_allowed(served: Served, method: str, path: str) -> None:
    assert served.ask(path, method)[0] == 405


@pytest.mark.parametrize(
    ("host", "status"),
    [("localhost", 200), ("127.0.0.1:99", 200), ("[::1]:8642", 200), ("LOCALHOST", 200), ("evil.example", 421),
     ("127.0.0.1.evil.example", 421), ("localhost.evil.example:80", 421), ("", 421), ("192.168.0.7", 421)],
)  # fmt: skip
def test_other_names_of_this_machine_are_refused(served: Served, host: str, status: int) -> None:
    found, _, body = served.ask("/runs/ten.txt", headers={"Host": host})
    assert found == status
    assert (body == b"0123456789") == (status == 200)


def test_digits_are_no_name_that_can_be_made_to_point_here() -> None:
    hosts = (*LOCAL, "studio", "*")
    assert is_own_host("192.168.0.7:80", hosts) and is_own_host("[fe80::1]:80", hosts) and is_own_host("Studio", hosts)
    assert not is_own_host("evil.example", hosts) and not is_own_host("*", hosts)


@pytest.mark.parametrize("path", ["/", "/runs/ten.txt", "/runs/nothing", "/runs/first/report/report.html"])
def test_every_answer_has_a_policy(served: Served, path: str) -> None:
    headers = served.ask(path)[1]
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'") and "frame-ancestors 'none'" in policy
    assert "http" not in policy and "*" not in policy
    assert "script-src 'unsafe" not in policy and not (path == "/runs/ten.txt" and "script-src" in policy)
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cross-origin-resource-policy"] == "same-origin"


def test_index_has_the_leaderboard_and_every_run(served: Served) -> None:
    status, headers, body = served.ask("/")
    page = body.decode()
    assert status == 200 and headers["content-type"].startswith("text/html")
    for words in ('href="runs/first/report/report.html"', 'href="runs/deep/second/report/report.html"', "Ranked by",
                  "6 of 6", "damaged"):  # fmt: skip
        assert words in page
    assert "<script>alert" not in page and "folder-out" not in page


def test_a_report_is_made_in_memory_and_links_to_audio(served: Served, place: Path) -> None:
    before = snapshot(place)
    status, _, body = served.ask("/runs/first/report/report.html")
    assert status == 200
    audio = next((place / "first/candidates/audio").iterdir())
    assert f"../candidates/audio/{audio.name}".encode() in body
    assert served.ask("/runs/deep/second/report/report.html")[0] == 200
    assert snapshot(place) == before


def test_a_run_that_is_damaged_is_a_page_that_says_so(served: Served) -> None:
    status, headers, body = served.ask("/runs/damaged/report/report.html")
    assert status == 422 and b"cannot be read" in body and b"<script>alert" not in body
    assert headers["content-security-policy"].startswith("default-src 'none'")


def test_a_report_that_is_there_is_shown_until_the_run_goes_on(tmp_path: Path) -> None:

    folder = make_run(tmp_path / "a")
    (folder / "report").mkdir()
    own = folder / "report/report.html"
    own.write_text(f'<meta content="script-src {script_source(REPORT_SCRIPTS)}">its own')
    viewer = Viewer(tmp_path)
    assert viewer.report(folder.resolve()) == own.resolve()
    own.write_text("somebody else's <script>alert(1)</script>")
    assert "alert(1)" not in str(viewer.report(folder.resolve()))
    own.write_text(f'<meta content="script-src {script_source(REPORT_SCRIPTS)}">its own')
    os.utime(own, (1, 1))
    made = viewer.report(folder.resolve())
    assert isinstance(made, str) and made is viewer.report(folder.resolve())
    os.utime(folder / "run.json")
    assert viewer.report(folder.resolve()) is not made


def test_rows_of_another_version_are_named_not_raised(tmp_path: Path) -> None:
    import pyarrow.parquet

    from reports.leaderboard import read_leaderboard

    folder = make_run(tmp_path / "runs/other")
    make_run(tmp_path / "runs/fine")
    for part in (folder / "candidates").glob("part-*"):
        pyarrow.parquet.write_table(pyarrow.parquet.read_table(part).drop_columns(["audio_sha256"]), part)
    board = read_leaderboard([folder, tmp_path / "runs/fine"])
    assert [name for name, _ in board.unreadable] == ["other"] and len(board.groups) == 1
    assert "another version" in board.unreadable[0][1]
    with serving(tmp_path / "runs") as served:
        status, _, body = served.ask("/")
        assert status == 200 and b"another version" in body and b"Ranked by" in body and b"refresh" not in body
        assert served.ask("/runs/other/report/report.html")[0] == 422
        assert next(events(served))[0]["problem"] == ""


def test_runs_that_take_long_to_read_come_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    from reports import viewer as module

    make_run(tmp_path / "a")
    go_on, read = threading.Event(), module.read_line
    monkeypatch.setattr(module, "PATIENCE", 0.05)
    monkeypatch.setattr(module, "read_line", lambda folder: read(folder) if go_on.wait(20) else None)
    viewer = module.Viewer(tmp_path)
    page = viewer.index()
    assert 'http-equiv="refresh"' in page and "not in the tables yet: a" in page and "Ranked by" not in page
    go_on.set()
    monkeypatch.setattr(module, "PATIENCE", 20.0)
    page = viewer.index()
    assert "refresh" not in page and "Ranked by" in page


def test_two_gigabytes_are_streamed(served: Served) -> None:
    """Neither the file nor what a slow reader has not taken yet is held in memory."""
    served.ask("/runs/ten.txt")
    before = served.megabytes()
    connection = http.client.HTTPConnection(served.host, served.port, timeout=60)
    connection.request("GET", "/runs/large.wav")
    answer = connection.getresponse()
    assert answer.getheader("content-length") == str(2 * 2**30)
    taken = sum(len(answer.read(2**20)) for _ in range(64))
    time.sleep(1.0)  # nobody reads
    assert taken == 64 * 2**20
    assert served.megabytes() - before < 64
    connection.close()
    status, headers, body = served.ask("/runs/large.wav", headers={"Range": "bytes=2147483640-"})
    assert (status, body, headers["content-range"]) == (206, bytes(8), "bytes 2147483640-2147483647/2147483648")


def events(served: Served) -> Iterator[list[dict[str, object]]]:
    connection = http.client.HTTPConnection(served.host, served.port, timeout=60)
    connection.request("GET", "/events")
    answer = connection.getresponse()
    assert answer.getheader("content-type").startswith("text/event-stream")
    try:
        while line := answer.readline():
            if line.startswith(b"data: "):
                yield json.loads(line[6:])
    finally:
        connection.close()


def test_progress_of_a_growing_run_is_followed(tmp_path: Path) -> None:
    """Parts appear one by one, as a writer makes them; the run is going as long as somebody holds its lock."""
    whole = make_run(tmp_path / "whole", n=6, limit=6)
    parts = sorted((whole / "candidates").glob("part-*")) + sorted((whole / "scores").glob("part-*"))
    assert len(parts) >= 4
    runs = tmp_path / "runs"
    growing = runs / "growing"
    (growing / "candidates").mkdir(parents=True)
    for name in ("run.json", "requests.jsonl"):
        shutil.copy(whole / name, growing / name)
    with serving(runs) as served:
        heard = events(served)
        (state,) = next(heard)
        assert (state["candidates"], state["candidates_expected"], state["is_going"]) == (0, 36, False)
        counts = [0]
        with RunStore.create(growing):
            (state,) = next(heard)
            assert state["is_going"] is True
            for part in parts:
                target = growing / part.relative_to(whole)
                target.parent.mkdir(exist_ok=True)
                shutil.copy(part, target.with_name(".writing-x"))
                target.with_name(".writing-x").rename(target)
                (state,) = next(heard)
                counts.append(state["candidates"] + state["scores"])
        (state,) = next(heard)
        assert state["is_going"] is False
        assert counts == sorted(set(counts)) and counts[-1] == 36 + state["scores_expected"] == 36 * 3
        shutil.copytree(whole, runs / "another")
        assert [run["name"] for run in next(heard)] == ["another", "growing"]
        heard.close()


def test_watching_writes_nothing_and_lets_writers_write(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "a")
    watch = Watch(tmp_path)
    before = snapshot(tmp_path)
    assert [run.is_going for run in watch.look()] == [False]
    assert snapshot(tmp_path) == before
    with RunStore.create(folder):
        assert [run.is_going for run in watch.look()] == [True]


@pytest.mark.parametrize(
    ("kind", "pid", "device", "is_going"),
    [("FLOCK", 4321, "00:2a", True), ("POSIX", 4321, "00:2a", True), ("FLOCK", 4322, "00:2a", False),
     ("FLOCK", 0, "own", True), ("LEASE", 4321, "own", False)],
)  # fmt: skip
def test_a_lock_is_known_by_its_device_or_by_who_holds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, pid: int, device: str, is_going: bool
) -> None:
    """The kernel names another device than the file where that is btrfs's, and no process of another container."""
    folder = make_run(tmp_path / "a")
    (folder / ".lock").write_text("4321\n")
    entry = (folder / ".lock").stat()
    own = f"{os.major(entry.st_dev):02x}:{os.minor(entry.st_dev):02x}"
    locks = tmp_path / "locks"
    locks.write_text(f"1: {kind}  ADVISORY  WRITE {pid} {own if device == 'own' else device}:{entry.st_ino} 0 EOF\n")
    monkeypatch.setattr("reports.live.KERNEL_LOCKS", locks)
    assert [run.is_going for run in Watch(tmp_path).look()] == [is_going]


def test_without_the_kernels_list_the_process_that_locked_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reports.live.KERNEL_LOCKS", tmp_path / "nothing")
    folder = make_run(tmp_path / "a")
    (folder / ".lock").write_text(f"{os.getpid()}\n")
    assert [run.is_going for run in Watch(tmp_path).look()] == [True]
    (folder / ".lock").write_text("99999999\n")
    assert [run.is_going for run in Watch(tmp_path).look()] == [False]

    def refuse(process: int, signal: int) -> None:
        raise PermissionError(errno.EPERM, "another user's")

    monkeypatch.setattr(os, "kill", refuse)
    assert [run.is_going for run in Watch(tmp_path).look()] == [True]


def test_a_damaged_part_is_passed_over_and_forgotten(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "a")
    watch = Watch(tmp_path)
    (before,) = watch.look()
    (folder / "scores/part-000009.parquet").write_bytes(b"PAR1 broken")
    assert watch.look() == [before]
    (folder / "candidates/part-000001.parquet").rename(folder / "candidates/part-000001.parquet.damaged")
    assert watch.look()[0].candidates == 0


@pytest.mark.parametrize(
    "text", ["[]", "null", '{"config": []}', '{"config": {}, "verifiers": 3}', '{"config": {"n": "x"}}']
)
def test_one_folder_that_is_no_run_does_not_hide_the_others(tmp_path: Path, text: str) -> None:
    make_run(tmp_path / "a")
    (tmp_path / "b").mkdir()
    (tmp_path / "b/run.json").write_text(text)
    (tmp_path / "b/requests.jsonl").write_text("{}\n")
    assert [bool(run.problem) for run in Watch(tmp_path).look()] == [False, True]


def test_a_search_is_as_far_as_it_has_chosen(tmp_path: Path) -> None:
    """The candidates that it asks about are stored too: up to eight, with their scores, for each that it chooses."""
    search = {"strategy": "rejection:threshold=0", "n": 8}
    whole, few = (make_run(tmp_path / name, limit=limit, **search) for name, limit in (("whole", 6), ("few", 2)))
    (state,) = Watch(whole).look()
    assert (state.candidates, state.candidates_expected, state.scores, state.scores_expected) == (6, 6, 12, 12)
    watch = Watch(few)
    assert watch.look()[0].candidates == 2
    for name in ("run.json", "requests.jsonl"):  # as if the other four were yet to be searched
        shutil.copy(whole / name, few)
    (state,) = watch.look()
    assert (state.candidates, state.candidates_expected, state.scores, state.scores_expected) == (2, 6, 4, 12)


def test_candidates_of_earlier_settings_are_not_counted(tmp_path: Path) -> None:
    """They lie in the same folder: at another temperature the run begins anew."""
    cold, warm = (make_run(tmp_path / name, n=2, limit=3, temperature=t) for name, t in (("cold", 0.5), ("warm", 0.9)))
    watch = Watch(cold)
    assert watch.look()[0].candidates == 6
    shutil.copy(warm / "run.json", cold)
    (state,) = watch.look()
    assert (state.candidates, state.candidates_expected, state.scores) == (0, 6, 0)


def test_runs_are_found_by_their_run_json(place: Path) -> None:
    found = [path.relative_to(place).as_posix() for path in runs_below(place)]
    assert found == ["damaged", "deep/second", "first"]
    assert runs_below(place / "first") == [place / "first"]


def test_one_run_can_be_served_by_itself(place: Path) -> None:
    with serving(place / "first") as served:
        assert 'href="runs/report/report.html"' in served.ask("/")[2].decode()
        status, _, body = served.ask("/runs/report/report.html")
        assert status == 200 and b"../candidates/audio/" in body


def test_interrupt_ends_it_with_0_even_while_somebody_listens(tmp_path: Path) -> None:
    with serving(tmp_path) as served:
        heard = events(served)
        assert next(heard) == []
        served.process.send_signal(signal.SIGINT)
        _, messages = served.process.communicate(timeout=20)
        assert served.process.returncode == 0
        assert messages == "Ctrl-C ends it.\n"
        heard.close()


def test_it_listens_on_this_machine_only_unless_told_and_then_warns(tmp_path: Path) -> None:
    with serving(tmp_path) as served:
        assert served.host == "127.0.0.1"
    with serving(tmp_path, "--host", "0.0.0.0") as served:
        assert served.host == "0.0.0.0"
        assert served.ask("/", headers={"Host": "evil.example"})[0] == 421
        served.process.terminate()
        assert "warning: 0.0.0.0 can be reached by other machines" in served.process.communicate(timeout=20)[1]


def test_wrong_use_says_what_to_do(tmp_path: Path) -> None:
    cli = CliRunner()
    missing = cli.invoke(app, ["view", str(tmp_path / "nothing")])
    assert isinstance(missing.exception, ConfigError) and "is no folder" in str(missing.exception)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        busy = cli.invoke(app, ["view", str(tmp_path), "--port", str(taken.getsockname()[1])])
    assert isinstance(busy.exception, ConfigError) and "--port 0" in str(busy.exception)


def test_paths_by_themselves(place: Path) -> None:
    assert file_at(place, "ten.txt") == (place / "ten.txt").resolve()
    assert file_at(place, "first") is None and folder_at(place, "first") == (place / "first").resolve()
    assert folder_at(place, "") == place.resolve() and folder_at(place, "folder-out") is None
    assert media_type(Path("a.FLAC")) == "audio/flac" and media_type(Path("a.exe")) == "application/octet-stream"
