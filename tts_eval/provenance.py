"""Where numbers come from: versions, source revision, weights and machine, for run.json."""

from __future__ import annotations

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from tts_eval import weights
from tts_eval.execution import available_cores
from tts_eval.version import __version__

PACKAGES = (
    "numpy", "pandas", "soxr", "soundfile", "jiwer", "whisper-normalizer", "zhon", "zhconv", "ctranslate2",
    "faster-whisper", "funasr", "tokenizers", "openai-whisper", "onnxruntime", "onnx", "piper-tts",
    "torch", "torchaudio", "transformers", "webrtcvad-wheels",
)  # fmt: skip


def describe() -> dict[str, Any]:
    """Versions of what takes part, the git revision, the weights on this machine, and the machine."""
    return {
        "tts_eval": __version__,
        "git": _git_revision(),
        "packages": {name: _version(name) for name in PACKAGES},
        "weights": {
            asset.name: {"sha256": dict(asset.sha256), "licence": asset.licence, "source": asset.source}
            for asset in weights.ASSETS
            if weights.is_present(asset)
        },
        "host": {
            "platform": platform.platform(),
            "python": platform.python_version(),
            "processor": _processor(),
            "cores": available_cores(),
        },
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git_revision() -> str | None:
    """Revision of the checkout this package runs from; None for an installed one."""
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return None
    try:
        revision = _git(root, "rev-parse", "HEAD")
        return f"{revision}-modified" if _git(root, "status", "--porcelain", "--untracked-files=no") else revision
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(root: Path, *arguments: str) -> str:
    result = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True)
    return result.stdout.strip()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
