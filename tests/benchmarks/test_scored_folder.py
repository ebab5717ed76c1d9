from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.models import Models
from benchmarks.scored_folder import require_some, without_missing
from benchmarks.suite import load_suite
from tts_eval.config import RunConfig
from tts_eval.errors import ConfigError, DataError


def test_only_requests_with_audio_are_left_and_it_says_so(tmp_path: Path):
    for name in ("plain-2.wav", "plain-3.flac", "stranger.wav"):
        (tmp_path / name).touch()
    suite = without_missing(load_suite("mini", limit=5), tmp_path)
    assert [request.id for request in suite.requests] == ["plain-2", "plain-3"]
    assert suite.subset == "first 5 of 48 requests, official skip: 3 of 5 requests without audio left out"


def test_a_folder_without_any_is_refused(tmp_path: Path):
    with pytest.raises(DataError, match=r"no audio for any of 48 requests; expected plain-1\.wav"):
        require_some(load_suite("mini"), tmp_path)


@pytest.mark.parametrize("official_skip", [False, True])
def test_a_folder_that_has_them_one_level_down_is_named(tmp_path: Path, official_skip: bool):
    (tmp_path / "wavs").mkdir()
    (tmp_path / "wavs" / "plain-2.wav").touch()
    config = RunConfig(synth=f"wavs:{tmp_path}", official_skip=official_skip)
    with pytest.raises(DataError, match=r"expected plain-1\.wav .*wavs has some: give that"):
        Models().suite(config)
    found = Models().suite(replace(config, synth=f"wavs:{tmp_path / 'wavs'}"))
    assert len(found.requests) == (1 if official_skip else 48)


def test_a_synthesizer_has_nothing_to_skip():
    with pytest.raises(ConfigError, match="a folder of audio to score"):
        RunConfig(official_skip=True)
    assert RunConfig(official_skip=True, synth="wavs:x").official_skip
