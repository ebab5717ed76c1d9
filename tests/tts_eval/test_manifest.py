"""Whose opinion a recorded verifier gives."""

from __future__ import annotations

import pytest

from tts_eval.manifest import VerifierRecord

TINY = "faster-whisper:tiny.en@839bf81cb6d5:int8"


def checkpoint(identity: str, judge: str) -> str:
    return VerifierRecord(identity=identity, judge=judge, metrics=()).checkpoint


@pytest.mark.parametrize(
    ("identity", "judge"),
    [("asr@3", f"{TINY}:exact"), ("asr@3", f"{TINY}:fast-16s:seed-tts@1"), ("likelihood@1", f"{TINY}:fast-16s")],
)
def test_one_checkpoint_is_one_opinion_in_any_mode_protocol_and_verifier(identity: str, judge: str) -> None:
    assert checkpoint(identity, judge) == checkpoint("asr@3", f"{TINY}:fast-16s")


def test_other_weights_and_verifiers_without_weights_are_other_opinions() -> None:
    assert checkpoint("asr@3", TINY.replace("839b", "0000")) != checkpoint("asr@3", TINY)
    assert checkpoint("guards@2", "signal") != checkpoint("duration@1", "signal")
