"""The built wheel works outside the checkout: modules, data files and templates are all in it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder / "dist"), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = (folder / "dist").glob("*.whl")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder / "site")]
    subprocess.run([*install, str(wheel)], check=True, capture_output=True)
    return folder / "site"


def run(site: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(site)}
    return subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, check=False, cwd=site.parent, env=environment
    )


def test_every_package_is_imported_from_the_wheel(site: Path):
    names = ("tts_eval", "verifiers", "search", "benchmarks", "reports")
    result = run(site, "-c", f"import {', '.join(names)}; print([p.__file__ for p in ({', '.join(names)})])")
    assert result.stdout.count(str(site)) == len(names), result.stderr
    assert (site / "tts_eval" / "py.typed").is_file()


def test_a_run_and_its_report_work_from_the_wheel(site: Path):
    flags = [
        "run",
        "--synth",
        "fake",
        "--verifier",
        "fake",
        "--judge",
        "fake:2",
        "--limit",
        "3",
        "--n",
        "2",
        "--out",
        "run",
    ]
    result = run(site, "-m", "tts_eval.cli", *flags)
    assert result.returncode == 0, result.stderr
    assert (site.parent / "run/report/report.html").is_file()


def test_doctor_says_when_another_package_shadows_ours(site: Path):
    shadow = site.parent / "shadow"
    (shadow / "reports").mkdir(parents=True)
    (shadow / "reports" / "__init__.py").write_text("")
    environment = {**os.environ, "PYTHONPATH": f"{shadow}:{site}"}
    code = "from tts_eval.cli.inspect import _shadowing; print([c.finding for c in _shadowing() if not c.is_right])"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=site.parent, env=environment
    )
    assert f"shadowed: 'import reports' finds {shadow / 'reports'}" in result.stdout, result.stderr
