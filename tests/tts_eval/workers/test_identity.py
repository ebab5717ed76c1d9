from pathlib import Path

import pytest

import benchmarks.stage
from tts_eval.workers import identity as module
from tts_eval.workers.identity import Identity, difference, identity, sources_digest


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "one" / "package"
    (folder / "inner").mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (folder / "inner/work.py").write_text("answer = 41\n")
    return folder


def test_the_same_sources_elsewhere_are_the_same(package: Path, tmp_path: Path):
    before = sources_digest([package])
    (package / "notes.md").write_text("whatever")
    (package / "__pycache__").mkdir()
    package.parent.rename(tmp_path / "two")
    assert sources_digest([tmp_path / "two" / "package"]) == before


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "inner/work.py").write_text("answer = 42\n"),
        lambda folder: (folder / "inner/more.py").write_text(""),
        lambda folder: (folder / "inner/work.py").rename(folder / "inner/other.py"),
        lambda folder: (folder / "inner/work.py").unlink(),
    ],
)
def test_any_change_of_a_source_shows(package: Path, change):
    before = sources_digest([package])
    change(package)
    assert sources_digest([package]) != before


def test_every_package_counts_and_is_read_once(monkeypatch):
    seen = []
    monkeypatch.setattr(module, "sources_digest", lambda folders: seen.append(list(folders)) or "digest")
    identity.cache_clear()
    try:
        assert identity() == identity()
    finally:
        identity.cache_clear()
    ((*folders,),) = seen
    assert [folder.name for folder in folders] == ["tts_eval", "verifiers", "search", "benchmarks", "reports"]
    assert Path(benchmarks.stage.__file__).parent in folders


HERE = Identity("1.0", "abc", "/here/tts_eval", "head")


def test_what_differs_is_said_with_the_node_and_what_to_do():
    assert difference(HERE, HERE._replace(folder="/there/tts_eval", host="node-7")) == ""
    version = difference(HERE, Identity("0.9", "xyz", "/there/tts_eval", "node-7"))
    assert "node-7 (/there/tts_eval) is tts-eval 0.9, this is 1.0" in version and "Install the same" in version
    sources = difference(HERE, Identity("1.0", "xyz", "/there/tts_eval", "node-7"))
    assert "node-7" in sources and "another checkout" in sources and "same wheel or commit" in sources
