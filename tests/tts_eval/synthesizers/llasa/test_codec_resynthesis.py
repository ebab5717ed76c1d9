from pathlib import Path

import numpy as np
import pytest
from llasa_checkpoints import save_codec

from tts_eval.audio import Clip
from tts_eval.errors import ConfigError
from tts_eval.synthesizers import load_synthesizer
from tts_eval.types import FailureKind, FinishReason, Request


@pytest.fixture(scope="module")
def codec_folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("codec")
    save_codec(folder)
    return folder


def test_the_recording_comes_back_at_its_own_length(codec_folder, make_jobs, tone):
    ceiling = load_synthesizer(f"codec-resynthesis:{codec_folder},device=cpu")
    longer = Clip(np.tile(tone.at(24_000), 3)[:20_001], 24_000)
    first, second, third = ceiling.generate(
        [
            *make_jobs([Request(id="a", text="a", ground_truth=tone)], 2),
            *make_jobs([Request(id="b", text="b", ground_truth=longer)], 1),
        ]
    )
    assert first.finish is FinishReason.EOS
    assert len(first.clip.samples) == len(tone.samples)
    assert first.clip.sha256 == second.clip.sha256
    assert len(first.tokens) == 25
    assert third.clip.rate == 16_000
    assert len(third.clip.samples) == len(longer.at(16_000))
    assert ceiling.revision and ceiling.name == "codec-resynthesis"


def test_without_a_recording_the_candidate_fails(codec_folder, make_jobs, tmp_path):
    ceiling = load_synthesizer(f"codec-resynthesis:{codec_folder}")
    missing, unreadable = ceiling.generate(
        make_jobs([Request(id="a", text="a"), Request(id="b", text="b", ground_truth=tmp_path / "no.wav")], 1)
    )
    assert missing.failure.kind is FailureKind.MISSING
    assert "no ground-truth recording" in missing.failure.message
    assert unreadable.failure.kind is FailureKind.UNREADABLE


def test_bad_options_are_refused(codec_folder):
    with pytest.raises(ConfigError, match="device is 'tpu'"):
        load_synthesizer(f"codec-resynthesis:{codec_folder},device=tpu")
    with pytest.raises(ConfigError, match=r"Unknown option 'dtype' in 'codec-resynthesis:.*Expected one of: device\."):
        load_synthesizer(f"codec-resynthesis:{codec_folder},dtype=float16")


@pytest.mark.real
def test_the_bundled_codec_has_a_name(make_jobs, tone):
    """And takes the same options as any other."""
    ceiling = load_synthesizer("codec-resynthesis:llasa-nano,device=cpu")
    (made,) = ceiling.generate(make_jobs([Request(id="a", text="a", ground_truth=tone)], 1))
    assert len(made.tokens) == 13  # 25 codes a second, half a second
    with pytest.raises(ConfigError, match="device is 'tpu'"):
        load_synthesizer("codec-resynthesis:llasa-nano,device=tpu")
