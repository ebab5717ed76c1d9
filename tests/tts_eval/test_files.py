import errno
import os

import pytest

from tts_eval.errors import StoreError
from tts_eval.files import next_number, write_together


def test_a_number_is_never_given_twice(tmp_path):
    assert next_number(tmp_path, "part-*") == 0
    for name in ("part-0000.npz", "part-0002.npz", "part-x.npz", "other-0009.npz"):
        (tmp_path / name).touch()
    assert next_number(tmp_path, "part-*") == 3


def test_files_that_are_written_together_are_all_there_with_nothing_beside_them(tmp_path):
    contents = {tmp_path / "new" / f"{number}.bin": bytes([number]) * number for number in range(40)}
    write_together(contents)
    assert {path: path.read_bytes() for path in (tmp_path / "new").iterdir()} == contents
    assert {path.stat().st_mode & 0o777 for path in contents} == {0o644}
    write_together({})


@pytest.mark.parametrize(
    ("number", "message"),
    [(errno.ENOSPC, "No space left.*run the same command again"), (errno.EROFS, "writable folder")],
)
def test_of_files_that_cannot_be_written_nothing_half_done_is_left(tmp_path, monkeypatch, number, message):
    def fail(handle: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StoreError, match=message):
        write_together({tmp_path / "a": b"a", tmp_path / "b": b"b"})
    assert list(tmp_path.iterdir()) == []
