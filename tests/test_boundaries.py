"""The core stays light, arrows run one way, and the public surface is what it says."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
HEAVY = (
    "torch",
    "ctranslate2",
    "onnxruntime",
    "pandas",
    "matplotlib",
    "whisper",
    "transformers",
    "ray",
    "pyarrow",
    "scipy",
    "starlette",
    "uvicorn",
)
LAYERS = ("tts_eval", "verifiers", "search", "benchmarks", "reports")
# Networks are written in torch; that nobody imports them before they are needed shows in all the others.
NETWORKS = (
    "tts_eval.synthesizers.engine.",
    "tts_eval.synthesizers.llasa.loading",
    "tts_eval.synthesizers.llasa.xcodec2",
    "tts_eval.synthesizers.nano_codec",
    "tts_eval.synthesizers.nano_speech",
    "tts_eval.synthesizers.phoneme_alignment",
    "tts_eval.whisper_encoder",
    "verifiers.campplus_network",
    "verifiers.distillmos",
    "verifiers.ecapa_tdnn",
)


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def modules(layer: str) -> list[str]:
    paths = [path.relative_to(ROOT) for path in (ROOT / layer).rglob("*.py")]
    # What is run by hand, and the file that runs the command line when it is imported.
    by_hand = {"perf", "recipes", "__main__.py"}
    wanted = [path for path in paths if not by_hand & set(path.parts)]
    names = {".".join(path.with_suffix("").parts) for path in wanted}
    return sorted(name for name in names if not name.startswith(NETWORKS))


@pytest.mark.parametrize("layer", LAYERS)
def test_importing_loads_nothing_heavy(layer):
    names = ", ".join(modules(layer))
    loaded = run(f"import sys, {names}; print([name for name in {HEAVY!r} if name in sys.modules])")
    assert loaded.strip() == "[]"


def test_verifiers_load_no_synthesizer():
    """SIM-r alone asks for a codec, which lies among the synthesizers, and only when it is wanted.

    The fake verifier measures the fake synthesizer's tones, so it knows their length from there.
    """
    names = ", ".join(name for name in modules("verifiers") if name != "verifiers.fake")
    loaded = run(f"import sys, {names}; print([name for name in sys.modules if 'tts_eval.synthesizers' in name])")
    assert loaded.strip() == "[]"


def test_every_public_name_can_be_had_and_listing_them_loads_nothing_heavy():
    code = (
        "import sys, tts_eval; names = dir(tts_eval); "
        f"assert not [name for name in {HEAVY!r} if name in sys.modules]; "
        "assert tts_eval.__all__ == sorted(tts_eval.__all__, key=str.lower), 'unsorted'; "
        "assert set(tts_eval.__all__) <= set(names); "
        "print([getattr(tts_eval, name).__name__ for name in tts_eval.__all__ if name[0] != '_'][:0])"
    )
    run(code)


@pytest.mark.parametrize(("position", "layer"), list(enumerate(LAYERS)))
def test_arrows_run_one_way(position, layer):
    """A layer imports itself and what is left of it; only the command line and the perf scripts see all."""
    later = LAYERS[position + 1 :]
    for path in (ROOT / layer).rglob("*.py"):
        on_top = (ROOT / "tts_eval" / "cli", ROOT / "benchmarks" / "perf", ROOT / "tts_eval" / "__init__.py")
        if any(path.is_relative_to(top) for top in on_top):
            continue
        for line in path.read_text().splitlines():
            words = line.split()
            if words[:1] in (["import"], ["from"]):
                assert words[1].split(".")[0] not in later, f"{path}: {line}"


def imported(path: Path, known: set[str]) -> set[str]:
    """Our own modules that a file imports anywhere, also where only a type checker looks."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            inside = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= (inside & known) or {node.module}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return names & known


def test_no_module_needs_what_needs_it():
    files = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for layer in LAYERS
        for path in (ROOT / layer).rglob("*.py")
    }
    TopologicalSorter({name: imported(path, set(files)) - {name} for name, path in files.items()}).prepare()


def test_no_file_is_too_long():
    for layer in LAYERS:
        for path in (ROOT / layer).rglob("*.py"):
            assert len(path.read_text().splitlines()) <= 400, path
