from types import SimpleNamespace

from tts_eval.workers.crew import Group
from tts_eval.workers.resources import Share
from tts_eval.workers.task import Task


def test_urgent_tasks_go_first_and_equally_urgent_ones_in_turn():
    group = Group(SimpleNamespace(_ray=None), "rest", "module:Worker", Share(actors=1, cpus=1))
    for name, urgent in (("make 1", False), ("judge 1", True), ("make 2", False), ("judge 2", True)):
        group.submit(Task(method=name, items=(), urgent=urgent))
    assert [task.method for task in group.waiting] == ["judge 1", "judge 2", "make 1", "make 2"]
