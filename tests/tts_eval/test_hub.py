"""Names of checkpoints, and the digest that tells one from another."""

from pathlib import Path

import pytest

from tts_eval.hub import Source, checkpoint_fingerprint, download_checkpoint, fingerprint


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


@pytest.mark.parametrize(
    ("files", "calls"),
    [(["model.safetensors"], 1), (["model-00001-of-00002.safetensors"], 1), (["special.ckpt"], 1), (["notes.txt"], 2)],
)
def test_pickles_are_asked_for_only_where_there_is_nothing_else(tmp_path: Path, monkeypatch, files, calls):
    hub = pytest.importorskip("huggingface_hub")
    asked: list[list[str]] = []

    def snapshot_download(name, *, revision, allow_patterns):
        assert (name, revision) == ("me/model", "v2")
        asked.append(allow_patterns)
        return str(tmp_path)

    monkeypatch.setattr(hub, "snapshot_download", snapshot_download)
    for file in files:
        (tmp_path / file).write_bytes(b"x")
    assert download_checkpoint(Source("me/model", "v2"), "model", ["special.ckpt"]) == tmp_path
    assert ["pytorch_model.bin" in patterns for patterns in asked] == [False, True][:calls]
    assert "special.ckpt" in asked[0]


def test_a_checkpoint_is_known_by_its_settings_and_the_weights_that_count(tmp_path: Path):
    seen = set()
    for file in ("pytorch_model.bin", "model.safetensors", "config.json", "vocab.txt"):
        (tmp_path / file).write_bytes(b"1")
        seen.add(checkpoint_fingerprint(tmp_path))
    assert len(seen) == 4
    (tmp_path / "pytorch_model.bin").write_bytes(b"2")
    (tmp_path / "README.md").write_bytes(b"2")
    assert checkpoint_fingerprint(tmp_path) in seen
