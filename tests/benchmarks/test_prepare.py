from __future__ import annotations

import errno
import hashlib
import io
import re
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from benchmarks import sources
from benchmarks.download import Download, fetch, unpack
from benchmarks.prepare import check, fetch_missing
from benchmarks.sources import source_of
from reports.replication import load_published
from tts_eval.errors import ConfigError, DataError
from tts_eval.registry import parse_spec
from verifiers import asr, recognisers


class Server:
    """Serves one file on 127.0.0.1; may break off, and may know no ranges."""

    def __init__(self) -> None:
        self.content = b""
        self.breaks_after: int | None = None
        self.knows_ranges = True
        self.ranges: list[str | None] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                wanted = self.headers.get("Range")
                server.ranges.append(wanted)
                start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and server.knows_ranges else 0
                rest = server.content[start:]
                self.send_response(206 if start else 200)
                self.send_header("Content-Length", str(len(rest)))
                self.end_headers()
                self.wfile.write(rest[: server.breaks_after])

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/data.tar.gz"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def offer(self, content: bytes, member: str = "Corpus/part") -> Download:
        self.content = content
        digest = hashlib.sha256(content).hexdigest()
        return Download(url=self.url, size=len(content), sha256=digest, target="part", member=member)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


def archive(*members: tuple[str, bytes], links: tuple[tuple[str, str, bytes], ...] = ()) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as opened:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            opened.addfile(info, io.BytesIO(content))
        for name, target, kind in links:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            opened.addfile(info)
    return buffer.getvalue()


GOOD = archive(("Corpus/part/a.txt", bytes(range(256)) * 500), ("Corpus/README", b"x"))


def test_a_folder_of_an_archive_comes_into_its_place(server: Server, tmp_path: Path):
    heard: list[int] = []
    fetch(server.offer(GOOD), tmp_path / "new", heard.append)
    assert (tmp_path / "new/part/a.txt").read_bytes() == bytes(range(256)) * 500
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["part"]
    assert sum(heard) == len(GOOD)


def test_a_broken_connection_is_taken_up_again(server: Server, tmp_path: Path):
    download = server.offer(GOOD)
    server.breaks_after = 300
    with pytest.raises(DataError, match="Run the same command again to go on"):
        fetch(download, tmp_path, lambda _: None)
    assert not (tmp_path / "part").exists()
    server.breaks_after = None
    fetch(download, tmp_path, lambda _: None)
    assert server.ranges == [None, "bytes=300-"]
    assert (tmp_path / "part/a.txt").is_file()


def test_a_server_without_ranges_begins_anew(server: Server, tmp_path: Path):
    server.knows_ranges = False
    (tmp_path / "data.tar.gz.part").write_bytes(b"the beginning of something else")
    heard: list[int] = []
    fetch(server.offer(GOOD), tmp_path, heard.append)
    assert (tmp_path / "part/a.txt").is_file()
    assert sum(heard) == len(GOOD)


def test_what_is_all_there_is_not_fetched_again(server: Server, tmp_path: Path):
    (tmp_path / "data.tar.gz.part").write_bytes(GOOD)
    fetch(server.offer(GOOD), tmp_path, lambda _: None)
    assert server.ranges == []


def test_other_content_is_not_put_in_place(server: Server, tmp_path: Path):
    download = replace(server.offer(GOOD), sha256="0" * 64)
    with pytest.raises(DataError, match=r"is not what was published.*data\.tar\.gz\.damaged"):
        fetch(download, tmp_path, lambda _: None)
    assert [path.name for path in tmp_path.iterdir()] == ["data.tar.gz.damaged"]


def test_a_plain_file(server: Server, tmp_path: Path):
    fetch(server.offer(b"a list", member=""), tmp_path, lambda _: None)
    assert (tmp_path / "part").read_bytes() == b"a list"


def test_nobody_answers(server: Server, tmp_path: Path):
    download = replace(server.offer(GOOD), url="http://127.0.0.1:9/data.tar.gz")
    with pytest.raises(DataError, match=r"cannot be fetched .*or download it yourself to"):
        fetch(download, tmp_path, lambda _: None)


def test_an_archive_without_the_folder_is_refused(server: Server, tmp_path: Path):
    with pytest.raises(DataError, match="its layout has changed"):
        fetch(server.offer(GOOD, member="Corpus/other"), tmp_path, lambda _: None)
    assert not (tmp_path / "part").exists()


@pytest.mark.parametrize(
    "content",
    [
        archive(("Corpus/part/a", b"x"), ("../escaped", b"x")),
        archive(("Corpus/part/../../../escaped", b"x")),
        archive(("Corpus/part/a", b"x"), links=(("Corpus/part/out", "/etc", tarfile.SYMTYPE),)),
        archive(
            links=(("Corpus/part/out", "../../../", tarfile.SYMTYPE), ("Corpus/part/out/escaped", "", tarfile.REGTYPE))
        ),
        archive(links=(("Corpus/part/hard", "../../escaped", tarfile.LNKTYPE),)),
        archive(links=(("Corpus/part/pipe", "", tarfile.FIFOTYPE),)),
    ],
    ids=["parent", "through parents", "link out", "through a link", "hard link out", "a pipe"],
)
def test_a_hostile_archive_is_refused(server: Server, tmp_path: Path, content):
    folder = tmp_path / "inner"
    with pytest.raises(DataError, match="is not safe to unpack"):
        fetch(server.offer(content), folder, lambda _: None)
    assert not (folder / "part").exists()
    assert not list(tmp_path.rglob("escaped"))
    assert [path.name for path in folder.iterdir()] == ["data.tar.gz.part"]


def test_an_absolute_path_lands_inside(tmp_path: Path):
    """Python's filter drops the slash at the front, so nothing is written where the archive says."""
    outside = tmp_path / "outside"
    path = tmp_path / "a.tar.gz"
    path.write_bytes(archive((str(outside), b"x")))
    (tmp_path / "in").mkdir()
    unpack(path, tmp_path / "in")
    assert not outside.exists()
    assert (tmp_path / "in" / str(outside).lstrip("/")).is_file()


def test_what_is_no_archive_is_said(tmp_path: Path):
    (tmp_path / "a.tar.gz").write_bytes(GOOD[:-200])
    (tmp_path / "b.tar.gz").write_bytes(b"text")
    for name in ("a.tar.gz", "b.tar.gz"):
        with pytest.raises(DataError, match="cannot be unpacked"):
            unpack(tmp_path / name, tmp_path / "in")


def test_a_damaged_archive_is_to_be_deleted(tmp_path: Path):
    damaged = bytearray(GOOD)
    damaged[len(GOOD) // 2] ^= 0xFF
    (tmp_path / "a.tar.gz").write_bytes(damaged)
    with pytest.raises(DataError, match=r"cannot be unpacked: .*Delete it"):
        unpack(tmp_path / "a.tar.gz", tmp_path / "in")


def test_an_archive_is_kept_where_the_disk_is_full(server: Server, tmp_path: Path, monkeypatch):
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    download = server.offer(GOOD)
    with monkeypatch.context() as patched:
        patched.setattr(tarfile.TarFile, "extractall", full)
        with pytest.raises(DataError, match=r"No space left on device\. The archive is kept") as caught:
            fetch(download, tmp_path, lambda _: None)
    assert "Delete" not in str(caught.value)
    fetch(download, tmp_path, lambda _: None)
    assert len(server.ranges) == 1 and (tmp_path / "part/a.txt").is_file()


def test_prepare_fetches_only_what_is_missing_and_checks_it(server: Server, tmp_path: Path):
    download = server.offer(GOOD)
    source = replace(sources.SOURCES["librispeech"], downloads=(download,))
    fetch_missing(source, tmp_path)
    fetch_missing(source, tmp_path)
    assert len(server.ranges) == 1
    (finding,) = check("librispeech", source, tmp_path)
    assert not finding.is_right
    assert "does not hold LibriSpeech's test-clean" in finding.found or "has no SPEAKER" in finding.found


def test_what_was_unpacked_by_hand_is_not_fetched_again(server: Server, tmp_path: Path):
    (tmp_path / "Corpus/part").mkdir(parents=True)
    fetch_missing(replace(sources.SOURCES["librispeech"], downloads=(server.offer(GOOD),)), tmp_path)
    assert server.ranges == []


def test_a_folder_that_cannot_be_made_is_said(server: Server, tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"file/below cannot be made: .*Give another folder as --data-dir"):
        fetch(server.offer(GOOD), tmp_path / "file/below", lambda _: None)
    assert server.ranges == []


def test_check_counts_what_is_there_and_compares_lists(data: Path, tmp_path: Path):
    source = source_of("seed-tts-eval:en")
    layout, suite = check("seed-tts-eval:en", source, data / "seedtts_testset")
    assert layout.is_right
    assert not suite.is_right
    assert suite.found == "a part: its numbers are not the suite's; 10 requests, 5 speakers, 5 prompts, 0 recordings"
    assert check("ravdess", source_of("ravdess"), data / "RAVDESS")[-1].is_right
    published, *_ = check("librispeech-pc", source_of("librispeech-pc"), data)
    assert (published.is_right, published.found) == (True, "as published")
    (tmp_path / published.what).write_text("another list")
    changed, *_ = check("librispeech-pc", source_of("librispeech-pc"), tmp_path)
    assert not changed.is_right
    assert "another SHA-256" in changed.found and "Delete it and run 'tts-eval prepare' again" in changed.found


def test_the_card_names_the_recogniser_that_published_rows_are_compared_by():
    recogniser, _ = source_of("librispeech-pc").official_judges
    argument, protocol = asr._split_protocol(parse_spec(recogniser).argument)
    backend, _, is_exact = recognisers._parse(argument, "asr")
    assert (backend, is_exact, protocol) == ("faster-whisper", True, "f5@1")
    (table,) = (table for table in load_published() if table.suite == "librispeech-pc@1")
    judge = re.compile(table.metrics[0].judge)
    assert judge.search(f"ctranslate2:large-v3@0123456789ab:int8:exact:{protocol}")
    assert not judge.search(f"ctranslate2:large-v3@0123456789ab:int8:fast:{protocol}")


def test_every_suite_with_data_has_a_card():
    assert source_of("librispeech:continuation,dev-other").downloads[0].url.endswith("/dev-other.tar.gz")
    assert source_of("librispeech:continuation, dev-clean").downloads[0].target == "dev-clean"
    assert source_of("librispeech").downloads[0].target == "test-clean"
    other = source_of("librispeech:cross-sentence,train-clean-100")
    assert not other.downloads and "DIR gets train-clean-100/" in other.how
    assert not source_of("esd:en").downloads
    for source in sources.SOURCES.values():
        assert source.licence and source.home.startswith("https://")
        assert all(len(download.sha256) == 64 and download.size for download in source.downloads)
    with pytest.raises(ConfigError, match="nothing to prepare for suite 'mini'"):
        source_of("mini")
