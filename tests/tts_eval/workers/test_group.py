from types import SimpleNamespace

import pytest

from tts_eval.workers.crew import Group, _cause
from tts_eval.workers.resources import Share
from tts_eval.workers.task import Task


def test_urgent_tasks_go_first_and_equally_urgent_ones_in_turn():
    group = Group(SimpleNamespace(_ray=None), "rest", "module:Worker", Share(actors=1, cpus=1))
    for name, urgent in (("make 1", False), ("judge 1", True), ("make 2", False), ("judge 2", True)):
        group.submit(Task(method=name, items=(), urgent=urgent))
    assert [task.method for task in group.waiting] == ["judge 1", "judge 2", "make 1", "make 2"]


class ActorDiedError(Exception):
    """As Ray's is called."""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "The actor died because of an error raised in its creation task, ray::Worker.__init__()\n"
            "  File \"worker.py\", line 1\nModuleNotFoundError: No module named 'piper'\n",
            "No module named 'piper'; have the same packages on every node",
        ),
        ("The actor died unexpectedly before finishing this task.", "killed, crashed, or ran out of memory"),
        ("Task was killed due to the node running low on memory.", "its node ran out of memory"),
        ("The actor died because its node has died.", "its node was lost"),
    ],
)
def test_why_a_worker_died_is_said_in_a_line(text, said):
    cause = _cause(ActorDiedError(text))
    assert said in cause and "\n" not in cause
