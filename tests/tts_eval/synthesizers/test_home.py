"""`~` in the paths of specs, which no shell expands behind a colon."""

import numpy as np
import pytest

from tts_eval.audio import Clip, write_audio
from tts_eval.errors import ConfigError
from tts_eval.synthesizers import load_synthesizer
from tts_eval.synthesizers.text_to_audio.options import parse_options
from tts_eval.types import Request


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_a_folder_of_audio(home, make_jobs):
    (home / "audio").mkdir()
    write_audio(home / "audio" / "a.wav", Clip(np.full(800, 0.5), 8000))
    (made,) = load_synthesizer("wavs:~/audio").generate(make_jobs([Request(id="a", text="one")], 1))
    assert made.clip is not None


@pytest.mark.parametrize("spec", ["command:~/mine.yaml", "piper:~/voice.onnx", "kokoro:af_heart,voices=~/packs"])
def test_what_is_missing_or_wrong_is_said_of_the_file_in_the_home_folder(home, spec):
    (home / "mine.yaml").write_text("timeout: 5\n")
    (home / "packs").mkdir()
    with pytest.raises(ConfigError, match=str(home)):
        load_synthesizer(spec)


def test_a_voice(home):
    assert parse_options("FOLDER,voice=~/a.npy").voice == str(home / "a.npy")
    assert parse_options("FOLDER").voice == ""
