"""Run folders at URLs, on fsspec's memory:// and file://: two machines are two cache homes."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from tts_eval import lease, remote_files
from tts_eval.errors import ConfigError, MissingDependencyError, RunLockedError, StoreError
from tts_eval.remote_folder import RemoteFolder, is_url

URL = "memory://bucket/runs/x"


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


ALL = {"report": "r", "run": "{}", "requests": "q", "scores": "s", "candidates": "c", "audio": "a"}


def at(url: str, name: str) -> str:
    files, root = fsspec.url_to_fs(url)
    return files.cat_file(f"{root}/{name}").decode()


def set_at(url: str, name: str, text: str) -> None:
    files, root = fsspec.url_to_fs(url, **({"auto_mkdir": True} if url.startswith("file") else {}))
    files.pipe_file(f"{root}/{name}", text.encode())


def claim(**changes: Any) -> str:
    held = {"owner": "o", "host": "elsewhere", "pid": 7, "since": time.time(), "lapses": time.time() + 100} | changes
    return json.dumps(held)


def test_a_url_is_told_from_a_path():
    assert is_url("s3://b/x") and is_url("memory://x")
    assert not is_url("runs/x") and not is_url("C:/x") and not is_url("/a:b/c")


@pytest.mark.parametrize("scheme", ["memory", "file"])
def test_what_one_machine_pushes_another_one_has(on, tmp_path, scheme):
    url = URL if scheme == "memory" else f"file://{tmp_path}/remote/x"
    a = on("a", url)
    with a.writing():
        write(a, **ALL)
        a.push()
        write(a, run='{"n": 2}')
        a.push()
    b = on("b", url)
    assert b.folder != a.folder and b.folder.name == a.folder.name == "x"
    b.read()
    for path in a.folder.rglob("*"):
        if path.is_file():
            assert (b.folder / path.relative_to(a.folder)).read_bytes() == path.read_bytes()
    assert (b.folder / "run.json").read_text() == '{"n": 2}'


def test_what_is_referred_to_arrives_first(on):
    a = on("a", "unreliable://bucket/x")
    with a.writing():
        write(a, **ALL)
        a.push()
    order = ["a.flac", "part-000001.parquet", "part-000001.parquet", "requests.jsonl", "run.json", "report.md"]
    assert [path.rpartition("/")[2] for path in Unreliable.arrived] == order
    assert "candidates" in Unreliable.arrived[1] and "scores" in Unreliable.arrived[2]


def test_what_refers_to_others_is_listed_before_them(on):
    """A candidate that is made while the folder is listed must not arrive without its audio."""
    a = on("a")
    write(a, **ALL)
    names = list(a._names_here())
    assert names.index("scores/part-000001.parquet") < names.index("candidates/part-000001.parquet")
    assert names.index("candidates/part-000001.parquet") < names.index("candidates/audio/a.flac")


@pytest.mark.parametrize("k", range(6))
def test_a_push_that_fails_at_any_file_is_finished_by_the_next(on, monkeypatch, k):
    monkeypatch.setattr("tts_eval.remote_folder.TOGETHER", 1)
    url = "unreliable://bucket/x"
    a = on("a", url)
    with a.writing():
        write(a, **ALL)
        Unreliable.fails_at = k
        with pytest.raises(StoreError, match="the line is dead"):
            a.push()
        assert len(Unreliable.arrived) == k
        Unreliable.fails_at = -1
        a.push()
    assert len(Unreliable.arrived) == len(set(Unreliable.arrived)) == 6, "nothing twice"
    b = on("b", url)
    b.read()
    assert {path.read_text() for path in b.folder.rglob("*") if path.is_file()} == set(ALL.values())


def test_nothing_that_is_there_already_travels_again(on):
    url = "unreliable://bucket/x"
    a = on("a", url)
    with a.writing():
        write(a, **ALL)
        a.push()
        a.push()
    assert len(Unreliable.arrived) == 6
    again = on("a", url)
    with again.writing():
        write(again, run='{"n": 2}')
        again.push()
    assert [path.rpartition("/")[2] for path in Unreliable.arrived[6:]] == ["run.json"]


def test_locks_temporaries_and_damaged_parts_stay(on):
    a = on("a")
    with a.writing():
        write(a, **ALL)
        write(a, **{".lock": "1", "candidates/.writing-abc.parquet": "x", "scores/part-000002.parquet.damaged": "x"})
        a.push()
    left = {path for path in MemoryFileSystem.store if not path.startswith("/bucket/runs/x/report")}
    assert {path.removeprefix("/bucket/runs/x/") for path in left} == {
        "run.json", "requests.jsonl", "scores/part-000001.parquet", "candidates/part-000001.parquet",
        "candidates/audio/a.flac",
    }  # fmt: skip


def test_what_is_newer_here_is_kept_and_pushed(on):
    a = on("a")
    with a.writing():
        write(a, **ALL)
        a.push()
        write(a, run='{"killed before": "the push"}', **{"scores/part-000002.parquet": "s2"})
    a = on("a")
    with a.writing():
        assert (a.folder / "run.json").read_text() == '{"killed before": "the push"}'
        a.push()
    assert at(URL, "run.json") == '{"killed before": "the push"}'
    assert at(URL, "scores/part-000002.parquet") == "s2"


def test_what_is_newer_there_is_taken(on):
    for machine, text in (("a", "{}"), ("b", '{"n": 8}')):
        one = on(machine)
        with one.writing():
            write(one, **ALL | {"run": text})
            one.push()
    a = on("a")
    a.read()
    assert (a.folder / "run.json").read_text() == '{"n": 8}'


@pytest.mark.parametrize("name", ["run.json", "candidates/part-000002.parquet", "candidates/audio/b.flac"])
def test_a_file_that_both_sides_changed_is_refused(on, name):
    a, b = on("a"), None
    with a.writing():
        write(a, **ALL)
        a.push()
        write(a, **{name: "what a made before it was killed"})
    b = on("b")
    with b.writing():
        write(b, **{name: "what b made of it meanwhile, longer"})
        b.push()
    a = on("a")
    said = f"{name}: not the same at {URL} and in .*/a/runs/.*move that folder away"
    with pytest.raises(StoreError, match=said), a.writing():
        pass
    assert (a.folder / name).read_text() == "what a made before it was killed"
    assert at(URL, name) == "what b made of it meanwhile, longer"


def test_a_report_that_both_sides_wrote_is_no_conflict(on):
    a = on("a")
    with a.writing():
        write(a, **ALL)
        a.push()
        write(a, report="mine")
    set_at(URL, "report/report.md", "theirs")
    a = on("a")
    a.read()
    assert (a.folder / "report/report.md").read_text() == "theirs"


def test_a_part_that_changed_after_it_was_pushed_is_never_overwritten(on):
    a = on("a")
    with a.writing():
        write(a, **ALL)
        a.push()
        write(a, candidates="another one", **{"scores/part-000002.parquet": "s2"})
        with pytest.raises(StoreError, match=r"candidates/part-000001\.parquet: not the same"):
            a.push()
    assert at(URL, "candidates/part-000001.parquet") == "c"
    assert at(URL, "scores/part-000002.parquet") == "s2", "the others are pushed all the same"


def test_an_upload_that_a_kill_cut_is_made_whole(on):
    """Where files do not appear at once, as under file://."""
    a = on("a")
    write(a, **ALL | {"audio": "all of it"})
    set_at(URL, "candidates/audio/a.flac", "all o")
    with a.writing():
        a.push()
    assert at(URL, "candidates/audio/a.flac") == "all of it"


def test_notes_that_a_kill_cut_only_cost_a_comparison(on):
    a = on("a")
    with a.writing():
        write(a, **ALL)
        a.push()
    notes = a.folder.parent / "same.jsonl"
    notes.write_text(notes.read_text()[:-40])
    with on("a").writing():
        pass
    assert (a.folder / "report/report.md").read_text() == "r"


@pytest.mark.parametrize("name", ["../../evil", "candidates/../../evil", "a//b", "./x", "a\x1b[31mb", "x\0y"])
def test_names_that_lead_elsewhere_are_refused(on, tmp_path, monkeypatch, name):
    set_at(URL, "run.json", "{}")
    listed = {f"/bucket/runs/x/{each}": {"type": "file", "size": 2} for each in ("run.json", name)}
    monkeypatch.setattr(MemoryFileSystem, "find", lambda *_, **__: listed)
    a = on("a")
    with pytest.raises(StoreError, match="does not lie in it"):
        a.read()
    assert not a.folder.exists() and not list(tmp_path.rglob("evil"))


def test_a_listing_of_something_else_is_refused(on, monkeypatch):
    monkeypatch.setattr(MemoryFileSystem, "find", lambda *_, **__: {"/etc/passwd": {"type": "file", "size": 2}})
    with pytest.raises(StoreError, match="does not lie in it"):
        on("a").read()


def test_a_folder_of_something_else_is_not_fetched(on):
    set_at(URL, "holiday.jpg", "x")
    a = on("a")
    with pytest.raises(StoreError, match="holds no run"), a.writing():
        pass
    assert not a.folder.exists()


def test_nothing_there_is_nothing_to_read_but_may_be_begun(on):
    with pytest.raises(StoreError, match="no run at memory://bucket/runs/x"):
        on("a").read()
    with on("a").writing():
        pass
    assert not MemoryFileSystem.store, "a run that was refused leaves nothing"


def test_a_second_writer_is_told_who_holds_it(on):
    a = on("a")
    with a.writing():
        b = on("b")
        with (
            pytest.raises(RunLockedError, match=r"written by process \d+ on .*lapses at \d\d:\d\d:\d\d UTC"),
            b.writing(),
        ):
            pass
        with pytest.raises(RunLockedError, match="on this machine"), on("a").writing():
            pass
        on("a").push_reports()
    with b.writing():
        pass


def test_a_claim_that_lapsed_is_taken_over_and_the_first_is_told(on, monkeypatch):
    a = on("a")
    with a.writing():
        set_at(URL, ".writer.json", claim(lapses=time.time() - 1))
        with on("b").writing():
            write(a, **ALL)
            monkeypatch.setattr(lease, "RENEWED_AFTER", -1.0)
            with pytest.raises(RunLockedError, match="taken over"):
                a.push()
            assert "/bucket/runs/x/run.json" not in MemoryFileSystem.store
            assert "/bucket/runs/x/.writer.json" in MemoryFileSystem.store
    assert "/bucket/runs/x/.writer.json" not in MemoryFileSystem.store


def test_a_machine_takes_its_own_claim_again_at_once(on):
    """After a kill: this machine's lock is free, so whoever claimed the URL from here is dead."""
    a = on("a")
    with a.writing():
        held = at(URL, ".writer.json")
    set_at(URL, ".writer.json", held)
    with on("a").writing():
        pass
    set_at(URL, ".writer.json", held)
    with pytest.raises(RunLockedError), on("b").writing():
        pass


def test_a_push_renews_the_claim(on, monkeypatch):
    a = on("a")
    with a.writing():
        before = json.loads(at(URL, ".writer.json"))["lapses"]
        a.push()
        assert json.loads(at(URL, ".writer.json"))["lapses"] == before, "not every time"
        monkeypatch.setattr(lease, "RENEWED_AFTER", 0.0)
        a.push()
        assert json.loads(at(URL, ".writer.json"))["lapses"] > before


@pytest.mark.parametrize("wrong", ["", "[]", "{", {"lapses": "soon"}, {"lapses": 1e300}, '{"owner": "o"}'])
def test_a_claim_that_cannot_be_read_does_not_last_for_ever(on, wrong):
    set_at(URL, ".writer.json", wrong if isinstance(wrong, str) else claim(**wrong))
    with on("a").writing():
        assert json.loads(at(URL, ".writer.json"))["pid"]


def test_two_that_come_first_at_once_cannot_both_win(on, monkeypatch):
    """The other one's claim appears after we looked."""
    create = MemoryFileSystem.pipe_file

    def late(self: Any, path: str, value: bytes, mode: str = "overwrite", **kwargs: Any) -> None:
        if mode == "create":
            create(self, path, claim().encode())
            raise OSError("precondition failed")
        create(self, path, value, mode=mode, **kwargs)

    monkeypatch.setattr(MemoryFileSystem, "pipe_file", late)
    with pytest.raises(RunLockedError, match="process 7 on elsewhere"), on("a").writing():
        pass


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (FileNotFoundError("The specified bucket does not exist"), "is there: it is not made"),
        (NotADirectoryError("Not a directory"), "A file lies"),
        (PermissionError("Forbidden"), "AWS_ACCESS_KEY_ID"),
        (RuntimeError("Unable to locate credentials"), "AWS_ACCESS_KEY_ID"),
        (TimeoutError("timed out"), "can be reached"),
    ],
)
def test_what_a_store_raises_says_what_to_do(on, monkeypatch, error, advice):
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(MemoryFileSystem, "pipe_file", fail)
    with pytest.raises(StoreError, match=f"{error}.*{advice}"), on("a").writing():
        pass


def test_urls_that_cannot_be_used_say_why(on, monkeypatch):
    with pytest.raises(ConfigError, match=r"Protocol not known.*Did you mean file://"):
        on("a", "fiel:///x")
    with pytest.raises(ConfigError, match=r"Protocol not known.*a URL that fsspec knows"):
        on("a", "qqqqqq://bucket/x")
    with pytest.raises(ConfigError, match="names no folder"):
        on("a", "memory://")

    def missing(*_: object, **__: object) -> None:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr("fsspec.core.url_to_fs", missing)
    with pytest.raises(MissingDependencyError, match=r"tts-eval-harness\[s3\]"):
        on("a", "s3://bucket/x")
    with pytest.raises(ConfigError, match="Install s3fs"):
        on("a", "gs://bucket/x")


def test_only_reports_are_pushed_without_a_claim(on):
    a = on("a")
    with a.writing():
        write(a, **ALL)
        a.push()
    b = on("b")
    b.read()
    write(b, report="again", run='{"not": "mine to change"}')
    b.push_reports()
    assert (at(URL, "report/report.md"), at(URL, "run.json")) == ("again", "{}")


@pytest.mark.parametrize(
    ("name", "rank", "stays"),
    [
        ("candidates/audio/a.flac", 0, True),
        ("seed-0/candidates/part-000001.parquet", 1, True),
        ("scores/part-000001.parquet", 2, True),
        ("requests.jsonl", 3, False),
        ("seed-1/run.json", 4, False),
        ("seed-1/cells/a.json", 5, False),
        ("report/results.parquet", 5, False),
        ("report/audio/a.ogg", 0, False),
        ("sweep.json", 6, False),
    ],
)
def test_when_files_travel_and_which_stay_as_they_are(name, rank, stays):
    assert (remote_files.rank(name), remote_files.never_changes(name)) == (rank, stays)
