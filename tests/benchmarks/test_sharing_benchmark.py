from __future__ import annotations

import numpy as np
import pytest

from benchmarks.perf.asr_batching import Read
from benchmarks.perf.sharing import Asked, ask_alone, ask_together, compare, items_of
from tts_eval.audio import Clip
from tts_eval.types import Score


def scores(*values: float) -> list[Score]:
    return [Score(verifier="v", judge="j", value=value, values={"m": value}) for value in values]


def test_seconds_are_summed_and_differing_scores_counted():
    alone = {"a": Asked(scores(1.0, 2.0), 3.0), "b": Asked(scores(1.0, 2.0), 1.0)}
    together = {"a": Asked(scores(1.0, 2.0), 1.5), "b": Asked(scores(1.0, 2.5), 0.5)}
    found = compare(alone, together)
    assert (found["alone"], found["together"], found["differing"]) == (4.0, 2.0, 1)
    assert found["spared"] == pytest.approx(0.5)
    assert found["verifiers"]["b"] == {"alone": 1.0, "together": 0.5, "differing": 1}


def test_both_sides_ask_every_verifier_about_every_clip():
    clips = [Read(f"c{n}", Clip(np.sin(np.arange(8000) / (20 + n)), 16_000), "one two") for n in range(3)]
    items = items_of(clips)
    assert [item.request.prompt.audio for item in items] == [clip.clip for clip in (clips[2], clips[0], clips[1])]
    alone, together = (side(["fake", "fake:2"], items) for side in (ask_alone, ask_together))
    assert list(alone) == list(together) == ["fake", "fake:2"]
    assert compare(alone, together)["differing"] == 0
    assert all(len(asked.scores) == 3 for asked in (*alone.values(), *together.values()))
