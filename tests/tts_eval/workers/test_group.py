from types import SimpleNamespace

import pytest

from tts_eval.workers.crew import Group
from tts_eval.workers.resources import Share
from tts_eval.workers.task import Task, cause_of_death


def test_urgent_tasks_go_first_and_equally_urgent_ones_in_turn():
    group = Group(SimpleNamespace(_ray=None), "rest", "module:Worker", Share(actors=1, cpus=1))
    for name, urgent in (("make 1", False), ("judge 1", True), ("make 2", False), ("judge 2", True)):
        group.submit(Task(method=name, items=(), urgent=urgent))
    assert [task.method for task in group.waiting] == ["judge 1", "judge 2", "make 1", "make 2"]


class Idle:
    """Ray, of which every worker does nothing: calls are answered never."""

    def __getattr__(self, name: str) -> "Idle":
        return self

    def __call__(self, *arguments: object, **options: object) -> "Idle":
        return self


@pytest.fixture
def group() -> Group:
    """A group of two, one of which is ready."""
    made = Group(SimpleNamespace(_ray=Idle()), "rest", "module:Worker", Share(actors=2, cpus=1))
    made._start()
    made._members[0].setting_up.clear()
    return made


def tasks_of(group: Group) -> list[list[str]]:
    return [[task.method for task, _ in member.tasks] for member in group._members]


def test_two_tasks_are_for_two_workers(group: Group):
    for name in ("a", "b"):
        group.submit(Task(method=name, items=()))
    group.tend()
    assert tasks_of(group) == [["a"], []]  # the second one gets ready for the other
    group._members[0].tasks.clear()
    group.tend()
    assert tasks_of(group) == [["b"], []]  # but who is free first has it


def test_who_is_ready_finds_a_second_task_when_there_are_more(group: Group):
    for name in ("a", "b", "c"):
        group.submit(Task(method=name, items=()))
    group.tend()
    assert tasks_of(group) == [["a", "b"], []]
    group._members[1].setting_up.clear()
    group.tend()
    assert tasks_of(group) == [["a", "b"], ["c"]]


def test_what_a_worker_has_died_with_has_the_next_one_for_itself(group: Group):
    """Else an item whose answer got lost as its successor ended the process would be blamed again and again."""
    group._start()
    group._members[1].setting_up.clear()
    for name, tries in (("a", 0), ("suspect", 1), ("b", 0), ("c", 0)):
        group.submit(Task(method=name, items=("item",), tries=tries))
    group.tend()
    assert tasks_of(group) == [["a", "b"], ["suspect"]]
    group._members[1].tasks.clear()
    group.tend()
    assert tasks_of(group) == [["a", "b"], ["c"]]


def test_a_suspect_waits_for_a_worker_that_has_nothing_to_do(group: Group):
    group._start()
    group._members[1].setting_up.clear()
    for name, tries in (("a", 0), ("b", 0), ("suspect", 1), ("c", 0)):
        group.submit(Task(method=name, items=("item",), tries=tries))
    group.tend()
    assert tasks_of(group) == [["a"], ["b"]]
    group._members[0].tasks.clear()
    group.tend()
    assert tasks_of(group) == [["suspect"], ["b", "c"]]


@pytest.fixture
def teams() -> Group:
    """Two workers of two teams, both ready, of a group whose workers listen to those who speak beside them."""
    share = Share(actors=2, cpus=1, together=True)
    made = Group(SimpleNamespace(_ray=Idle()), "asr", "module:Worker", share)
    made._teams.options = lambda group, team: {}
    for _ in range(2):
        made._start()
        made._members[-1].setting_up.clear()
    return made


def test_what_a_team_made_waits_for_its_own_worker(teams: Group):
    assert [member.team for member in teams._members] == [0, 1]
    for name in ("a", "b", "c"):
        teams.submit(Task(method=name, items=(), team=1))
    teams.submit(Task(method="anybody", items=()))
    teams.tend()
    assert tasks_of(teams) == [["anybody"], ["a", "b"]]
    assert teams.has_room(0) and not teams.has_room(1)


def test_a_team_without_a_worker_gets_one_of_its_own(teams: Group):
    teams._members.pop(1)
    teams.submit(Task(method="a", items=(), team=1))
    teams.tend()
    assert [member.team for member in teams._members] == [0, 1]
    assert tasks_of(teams) == [[], []]  # that one gets ready: nobody else reads across


def test_what_waits_for_a_team_that_has_lost_its_worker_is_anybodys_until_there_is_another(teams: Group):
    teams.submit(Task(method="a", items=(1, 2), team=1))
    teams.tend()
    teams._bury(teams._members[1], "its node was lost")
    teams.tend()
    assert tasks_of(teams) == [["a"]]
    teams.submit(Task(method="b", items=(), team=1))
    teams.tend()
    assert [member.team for member in teams._members] == [0, 1]
    assert tasks_of(teams) == [["a"], []]
    teams._members[1].setting_up.clear()
    teams.tend()
    assert tasks_of(teams) == [["a"], ["b"]]


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
    cause = cause_of_death(ActorDiedError(text))
    assert said in cause and "\n" not in cause


class ActorUnavailableError(Exception):
    """As Ray's is called."""


def test_a_worker_that_cannot_be_reached_is_one_on_a_lost_node():
    assert "its node was lost" in cause_of_death(ActorUnavailableError("The actor is unavailable: RpcError: Socket"))
