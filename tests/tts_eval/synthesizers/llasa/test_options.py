from pathlib import Path

import pytest

from tts_eval.errors import ConfigError
from tts_eval.hub import Source
from tts_eval.synthesizers.llasa.options import LlasaOptions, parse_options


def test_every_option_is_read():
    text = "HKUSTAudio/Llasa-1B@abc123, device=cuda:1, dtype=float16, codec=me/codec@v2, chunk=on, rows=8"
    assert parse_options(text) == LlasaOptions(
        source=Source("HKUSTAudio/Llasa-1B", "abc123"),
        codec=Source("me/codec", "v2"),
        device="cuda:1",
        dtype="float16",
        chunk=True,
        rows=8,
    )
    assert parse_options("a/b") == LlasaOptions(source=Source("a/b", ""))


def test_a_folder_may_have_an_at_sign_in_its_name(tmp_path: Path):
    folder = tmp_path / "model@best"
    folder.mkdir()
    assert parse_options(str(folder)).source == Source(str(folder), "")


def test_all_mistakes_are_listed():
    with pytest.raises(ConfigError) as caught:
        parse_options(",devise=cpu,dtype=int4,rows=0,chunk=yes,speed=2")
    text = str(caught.value)
    assert "needs a checkpoint" in text
    assert "Unknown option 'devise'" in text and "Did you mean 'device'?" in text
    assert "dtype is 'int4'" in text
    assert "rows is '0'" in text
    assert "chunk is 'yes'" in text
    assert "Unknown option 'speed'" in text and "Expected one of: codec" in text


def test_an_option_is_given_once_and_with_a_value():
    with pytest.raises(ConfigError) as caught:
        parse_options("a/b,rows=2,rows=3,chunk,device=cpu")
    assert caught.value.problems == (
        "'llasa:a/b,rows=2,rows=3,chunk,device=cpu' sets 'rows' more than once; keep one of them.",
        "'chunk' in 'llasa:a/b,rows=2,rows=3,chunk,device=cpu' is not KEY=VALUE.",
    )
