"""Every command and every program in the README and in docs/ works, as it stands there."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tts_eval.audio import Clip, read_audio, write_audio

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


PAGES = {path.name: path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs").glob("*.md"))}


def blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def commands(text: str = README) -> list[str]:
    lines = [line for block in blocks("sh", text) for line in block.replace("\\\n", "").splitlines()]
    return [line for line in lines if line.startswith("tts-eval ")]


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder with what the README's commands speak of: DIR, generated/ and meta.lst."""
    folder = tmp_path_factory.mktemp("readme")
    chapter = folder / "DIR" / "test-clean" / "1089" / "134686"
    chapter.mkdir(parents=True)
    (folder / "generated").mkdir()
    time = np.arange(5 * 16000) / 16000
    hum = Clip((0.1 * np.sin(2 * np.pi * 150 * time) * np.sin(2 * np.pi * 3 * time)).astype(np.float32), 16000)
    write_audio(chapter / "1089-134686-0000.flac", hum)
    text = "HE HOPED THERE WOULD BE STEW FOR DINNER TURNIPS AND CARROTS AND BRUISED POTATOES AND FAT MUTTON PIECES"
    (chapter / "1089-134686.trans.txt").write_text(f"1089-134686-0000 {text}\n")
    prompt = ROOT / "benchmarks" / "data" / "mini-prompt.flac"
    for name in ("first.flac", "prompt.flac"):
        shutil.copy(prompt, folder / "generated" / name if name == "first.flac" else folder / name)
    write_audio(folder / "ref.wav", read_audio(prompt))
    (folder / "meta.lst").write_text(
        "first|The harbour|prompt.flac|The harbour lights came on one by one, and the evening boat was late again.\n"
    )
    return folder


@pytest.mark.real
def test_the_commands_run_in_order(place: Path):
    assert len(commands()) >= 9
    for line in commands():
        words = shlex.split(line.partition("  #")[0])
        result = subprocess.run(
            [sys.executable, "-m", "tts_eval.cli", *words[1:]], capture_output=True, text=True, check=False, cwd=place
        )
        assert result.returncode == 0, f"{line}\n{result.stdout}\n{result.stderr}"
    assert read_audio(place / "out.wav").seconds > 1.5
    assert (place / "runs/ls8/report/report.html").is_file()
    assert (place / "runs/theirs/report/results.parquet").is_file()


@pytest.mark.real
def test_the_first_program_runs(place: Path):
    program = blocks("python")[0]
    subprocess.run([sys.executable, "-c", program], check=True, cwd=place)
    assert read_audio(place / "best.wav").seconds > 1


def test_parts_of_ones_own(monkeypatch):
    """The programs are plugged in as an entry point would, and search together."""
    from search.strategy import load_strategy, strategies
    from tts_eval import (
        Budget,
        OutcomeVerifier,
        Request,
        Sampling,
        load_synthesizer,
        load_verifier,
        parse_rule,
    )
    from tts_eval.synthesizers import synthesizers
    from verifiers import verifiers

    programs = blocks("python", PAGES["extending.md"])
    spaces: list[dict] = [{}, {}, {}]
    for program, space in zip(programs, spaces, strict=True):
        exec(program, space)
    parts = (verifiers, "loudness", "create"), (synthesizers, "noise", "create"), (strategies, "cooling", "Cooling")
    for (registry, name, target), space in zip(parts, spaces, strict=True):
        monkeypatch.setattr(registry, "_entries", dict(registry._entries))
        monkeypatch.setattr(registry, "_objects", dict(registry._objects))
        registry.add(name, space[target])
    assert len(programs[0].split("class Loudness")[1].splitlines()) <= 20
    assert len(programs[2].splitlines()) < 60
    outcome = OutcomeVerifier(parse_rule("loudness"), {"loudness": load_verifier("loudness")})
    for strategy in ("best-of-n", "cooling:factor=0.5"):
        search = load_strategy(strategy, sampling=Sampling(), run_seed=0)
        request, budget = Request(id="r", text="hello"), Budget(candidates=4)
        (result,) = search.search([request], load_synthesizer("noise"), outcome, budget)
        levels = [float(np.sqrt(np.mean(candidate.clip.samples**2))) for candidate in result.candidates]
        assert result.chosen.index == int(np.argmax(levels))
        colder = [candidate.sampling.temperature for candidate in result.candidates]
        assert colder == ([1.0] * 4 if strategy == "best-of-n" else [1.0, 0.5, 1.0, 0.5])


def test_make_has_the_targets_that_the_readme_names():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = set(re.findall(r"(?:^|`)make ([a-z]+)", README, flags=re.MULTILINE))
    assert {"demo", "test", "check", "setup"} <= named
    for target in named:
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target


@pytest.mark.parametrize("line", [line for page in PAGES.values() for line in commands(page)] or ["tts-eval ls"])
def test_the_commands_of_the_pages_are_spelled_right(line):
    """They are parsed, not run: pages speak of corpora and models that are not here."""
    from typer.main import get_command

    from tts_eval.cli.app import app

    _, name, *arguments = shlex.split(line.partition("  #")[0])
    command = get_command(app).commands[name]
    command.make_context(name, arguments)


def test_links_lead_somewhere():
    for folder, text in ((ROOT, README), *((ROOT / "docs", page) for page in PAGES.values())):
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", text):
            assert (folder / target).exists(), target
