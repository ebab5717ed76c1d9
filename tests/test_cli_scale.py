"""`tts-eval scale` and `tts-eval replicate` as a user runs them."""

from __future__ import annotations

from pathlib import Path

from test_cli import FAKE, cli


def test_scale_says_what_is_lacking_and_replicate_shows_the_run(tmp_path: Path) -> None:
    flags = ["--judge", "fake:2", "--limit", 2, "--n", 2, "--out", tmp_path / "fakes"]
    assert cli("run", *FAKE, *flags).returncode == 0
    refused = cli("scale", tmp_path / "fakes")
    assert refused.returncode == 2
    assert "brings no recordings along" in " ".join(refused.stderr.split())
    page = tmp_path / "page.md"
    result = cli("replicate", tmp_path / "fakes", "--out", page)
    assert result.returncode == 0, result.stderr
    assert "other ways: fakes" in page.read_text() and "| Chosen of 2 |" in page.read_text()
    assert "## Scale" in (tmp_path / "fakes/report/report.md").read_text()
