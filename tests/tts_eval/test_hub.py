"""Names of checkpoints, and the digest that tells one from another."""

from pathlib import Path

import pytest

from tts_eval.hub import Source, fingerprint


@pytest.mark.parametrize(
    ("text", "name", "revision", "on_hub"),
    [
        ("openai/whisper-tiny", "openai/whisper-tiny", "", True),
        ("openai/whisper-tiny@v2", "openai/whisper-tiny", "v2", True),
        ("whisper-tiny", "whisper-tiny", "", False),
        ("a/b/c", "a/b/c", "", False),
        ("/models/x", "/models/x", "", False),
        ("./x", "./x", "", False),
        ("~/x", "~/x", "", False),
    ],
)
def test_a_hub_name_has_an_owner_and_is_no_path(text, name, revision, on_hub):
    source = Source.parse(text)
    assert source == Source(name, revision)
    assert source.is_hub_name is on_hub


def test_a_folder_may_have_an_at_sign_in_its_name(tmp_path: Path):
    folder = tmp_path / "model@best"
    folder.mkdir()
    assert Source.parse(str(folder)) == Source(str(folder), "")


def test_a_fingerprint_depends_on_names_and_bytes_and_not_on_order(tmp_path: Path):
    first, second, third = (tmp_path / name for name in "abc")
    first.write_bytes(b"1")
    second.write_bytes(b"2")
    third.write_bytes(b"2")
    before = fingerprint([first, second])
    assert len(before) == 12
    assert fingerprint([second, first, second]) == before
    assert fingerprint([first, third]) != before
    assert fingerprint([first]) != before
    second.write_bytes(b"3")
    assert fingerprint([first, second]) != before
