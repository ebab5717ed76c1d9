from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.checks import check_budget, check_config
from benchmarks.runner import run
from tts_eval.config import RunConfig
from tts_eval.errors import ConfigError
from tts_eval.types import Request

BEAM = RunConfig(synth="fake", strategy="beam", verifier="fake", judge=("fake:2",))


@pytest.fixture
def nothing_loads(monkeypatch):
    for name in ("load_synthesizer", "load_verifiers"):
        monkeypatch.setattr(f"benchmarks.models.{name}", None)


@pytest.mark.parametrize(
    ("change", "messages"),
    [
        ({"synth": "piper"}, ["'piper' does not work step by step", "best-of-n"]),
        ({"verifier": "duration"}, ["'duration', which cannot judge unfinished speech", "--then"]),
        ({"synth": "wavs:x", "verifier": "z(fake + likelihood:tiny.en)"}, ["'wavs'", "'likelihood:tiny.en'"]),
        ({"strategy": "consensus", "verifier": "speaker + duration"}, ["by transcript", "--verifier asr:tiny.en"]),
        ({"strategy": "consensus", "verifier": "quality"}, ["'quality' has no verifier that gives one"]),
        ({"strategy": "consensus:by=embedding", "verifier": "asr:tiny.en"}, ["by embedding", "--verifier speaker"]),
        ({"verifier": "z(fake, /nowhere/scales.json)"}, ["/nowhere/scales.json cannot be read", "tts-eval calibrate"]),
        ({"then": "z(fake, /nowhere/scales.json)"}, ["/nowhere/scales.json cannot be read", "tts-eval calibrate"]),
        ({"budget": "many", "then": "fake", "strategy": "adaptive"}, ["NUMBER-UNIT", "drop --then"]),
        ({"budget": "10-tokens"}, ["does not pay for one sample of 'long-3' (162 characters)", "54 tokens"]),
        ({"budget": "1e7-flops"}, ["does not pay for one sample of 'long-3' (162 characters)", "5.4e+07 flops"]),
        ({"budget": "1e-4-seconds"}, ["does not pay for one sample of 'long-3' (162 characters)", "0.00054 seconds"]),
        ({"budget": "99-tokens", "synth": "phrases:piper"}, ["phrases:piper counts no tokens", "NUMBER-seconds"]),
    ],
)
def test_what_cannot_work_is_refused_before_a_model_is_loaded(tmp_path: Path, nothing_loads, change, messages):
    with pytest.raises(ConfigError) as caught:
        run(replace(BEAM, **change), tmp_path / "out")
    for message in messages:
        assert message in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_what_goes_together_is_let_through():
    check_config(BEAM)
    check_config(replace(BEAM, then="duration"))
    check_config(replace(BEAM, strategy="best-of-n", synth="piper", verifier="duration"))
    check_config(replace(BEAM, strategy="consensus"))  # the fake does not say what it gives
    check_config(replace(BEAM, strategy="consensus", verifier="cascade(4 of duration, asr:tiny.en)"))
    check_config(replace(BEAM, strategy="consensus:by=embedding", verifier="guards + emotion"))


def test_a_budget_is_measured_by_the_longest_request_and_the_cut():
    requests = [Request(id="short", text="x" * 30), Request(id="long", text="x" * 300)]
    check_budget(replace(BEAM, budget="100-tokens"), requests)
    check_budget(replace(BEAM, budget="10-tokens"), requests[:1])
    with pytest.raises(ConfigError, match="'long'"):
        check_budget(replace(BEAM, budget="99-tokens"), requests)
    check_budget(replace(BEAM, budget="99-tokens", max_seconds=9.0), requests)
    check_budget(replace(BEAM, synth="elsewhere", budget="1-tokens"), requests)  # of which nothing is known
    check_budget(replace(BEAM, synth="elsewhere", budget="1-flops"), requests)
    check_budget(replace(BEAM, synth="piper", budget="1-seconds"), requests)
