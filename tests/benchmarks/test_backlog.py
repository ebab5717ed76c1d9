"""Batches of what is to be heard: as large as the audio allows."""

from types import SimpleNamespace

import pytest

from benchmarks.backlog import MOST_HEARD_SECONDS, Backlog
from tts_eval.types import Request
from tts_eval.workers.crew import Group
from tts_eval.workers.resources import Share


@pytest.fixture
def group() -> Group:
    return Group(SimpleNamespace(_ray=None), "rest", "module:Worker", Share(actors=1, cpus=1))  # type: ignore[arg-type]


@pytest.mark.parametrize(("clip_seconds", "batches"), [(2.0, [8]), (0.4 * MOST_HEARD_SECONDS, [2, 2])])
def test_a_batch_is_bounded_by_the_clips_and_not_by_what_the_search_said_on_its_way(group, clip_seconds, batches):
    backlog = Backlog(SimpleNamespace(groups={"rest": group}), ["rest"], SimpleNamespace(folder="run"))  # type: ignore[arg-type]
    row = {"clip_seconds": clip_seconds, "audio_seconds": 0.9 * MOST_HEARD_SECONDS}
    for number in range(8):
        backlog.add_clip(Request(id=f"r{number}", text="one"), row, ["fake"])
    backlog.hand_out(lambda wanted: 0)
    assert [len(task.items) for task in group.waiting] == batches
