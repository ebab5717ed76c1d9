from tts_eval.workers.task import Task


def deaths_until_alone(items: int, culprit: int) -> tuple[int, list[int], list[int]]:
    """Deaths, the items that got through, and those that were given up, when `culprit` kills whoever has it."""
    waiting, deaths, done, given_up = [Task(method="work", items=tuple(range(items)))], 0, [], []
    while waiting:
        task = waiting.pop(0)
        if culprit not in task.items:
            done += task.items
            continue
        deaths += 1
        again = task.after_death()
        if not again:
            given_up += task.items
        waiting = again + waiting
    return deaths, sorted(done), given_up


def test_only_the_culprit_is_given_up_and_it_costs_about_log2_deaths():
    for culprit in range(16):
        deaths, done, given_up = deaths_until_alone(16, culprit)
        assert given_up == [culprit]
        assert done == [item for item in range(16) if item != culprit]
        assert deaths == 2 + 3 + 2  # twice whole, in 8, 4 and 2, and twice alone


def test_one_item_has_two_tries():
    task = Task(method="work", items=("a",), context=("c",), urgent=True)
    (again,) = task.after_death()
    assert (again.method, again.items, again.context, again.urgent) == ("work", ("a",), ("c",), True)
    assert again.after_death() == []


def test_a_batch_is_tried_whole_once_more():
    (again,) = Task(method="work", items=(1, 2, 3)).after_death()
    assert again.items == (1, 2, 3)
    assert [task.items for task in again.after_death()] == [(1,), (2, 3)]
