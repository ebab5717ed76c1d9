"""Run folders at URLs: what travels, in which order, and what is refused."""

import pytest
from fsspec.implementations.memory import MemoryFileSystem
from stores import ALL, URL, Unreliable, at, set_at, write

from tts_eval import remote_files
from tts_eval.errors import ConfigError, MissingDependencyError, StoreError
from tts_eval.remote_folder import is_url


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
