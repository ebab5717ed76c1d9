"""Who may write at a URL."""

import json
import time
from typing import Any

import pytest
from fsspec.implementations.memory import MemoryFileSystem
from stores import ALL, URL, at, claim, set_at, write

from tts_eval import lease
from tts_eval.errors import RunLockedError


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
