"""The beginning of a file as audio: read, told apart, written down and found again like any other source."""

from pathlib import Path

import numpy as np
import pytest

from tts_eval.audio import Clip, Excerpt, load_clip, write_audio
from tts_eval.errors import AudioError
from tts_eval.manifest import read_requests, write_requests
from tts_eval.records import request_digest
from tts_eval.store import RunStore
from tts_eval.types import Prompt, Request
from verifiers.references import _key


@pytest.fixture
def ramp(tmp_path: Path) -> Path:
    write_audio(tmp_path / "ramp.wav", Clip(np.linspace(-0.5, 0.5, 16000, dtype=np.float32), 8000))
    return tmp_path / "ramp.wav"


def request(audio: Path | Excerpt) -> Request:
    return Request(id="r", text="one two", prompt=Prompt(audio=audio), ground_truth=audio)


@pytest.mark.parametrize(("seconds", "samples"), [(0.5, 4000), (2.0, 16000), (9.0, 16000)])
def test_it_is_the_first_seconds_or_all_there_is(ramp: Path, seconds, samples):
    clip = load_clip(Excerpt(ramp, seconds))
    assert (len(clip.samples), clip.rate) == (samples, 8000)
    np.testing.assert_array_equal(clip.samples, load_clip(ramp).samples[:samples])


def test_a_file_that_is_missing_is_an_audio_error(tmp_path: Path):
    with pytest.raises(AudioError, match="No audio file"):
        load_clip(Excerpt(tmp_path / "missing.wav", 1.0))


def test_whole_and_excerpts_are_told_apart(ramp: Path):
    sources = [ramp, Excerpt(ramp, 1.0), Excerpt(ramp, 1.5)]
    assert len({request_digest(request(source)) for source in sources}) == 3
    assert len({_key(source) for source in sources}) == 3
    same = request_digest(request(Excerpt(ramp, 1.0)))
    write_audio(ramp, Clip(np.zeros(16000, dtype=np.float32), 8000))
    assert request_digest(request(Excerpt(ramp, 1.0))) != same


def test_a_run_finds_it_again(ramp: Path, tmp_path: Path):
    with RunStore.create(tmp_path / "run") as store:
        write_requests(store, [request(Excerpt(ramp, 1.5))])
        (record,) = read_requests(store)
    assert record.request == request(Excerpt(ramp, 1.5))
    assert record.digest == request_digest(record.request)
