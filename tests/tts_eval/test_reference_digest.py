"""What a stored score depends on: metadata too, which a verifier may read; without any, as before it counted."""

import hashlib
import json
from dataclasses import replace

from tts_eval.records import reference_digest, request_digest
from tts_eval.types import Request

REQUEST = Request(id="r", text="one two")


def test_another_emotion_in_the_metadata_is_another_reference():
    happy = replace(REQUEST, metadata={"emotion": "happy", "take": "1"})
    assert reference_digest(happy) == reference_digest(replace(happy, metadata={"take": "1", "emotion": "happy"}))
    others = [REQUEST, replace(happy, metadata={"emotion": "sad", "take": "1"}), replace(happy, metadata={"take": "1"})]
    assert len({reference_digest(request) for request in (happy, *others)}) == 4
    assert request_digest(happy) == request_digest(REQUEST)


def test_scores_stored_before_metadata_counted_stay_valid():
    before = hashlib.sha256(json.dumps([request_digest(REQUEST), None]).encode()).hexdigest()
    assert reference_digest(REQUEST) == before
