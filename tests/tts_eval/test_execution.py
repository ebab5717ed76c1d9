import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tts_eval.errors import StoreError
from tts_eval.execution import SerialExecutor, batched, batched_by_length, batched_by_seconds, isolate, isolate_counting


@given(st.lists(st.booleans(), max_size=40))
def test_only_the_poisonous_items_fail(poison):
    items = list(enumerate(poison))

    def double(batch):
        if any(bad for _, bad in batch):
            raise RuntimeError("poison")
        return [number * 2 for number, _ in batch]

    results = isolate(double, items, lambda item, error: f"{item[0]}: {error}")
    assert results == [f"{number}: poison" if bad else number * 2 for number, bad in items]


def test_what_was_done_in_vain_is_counted_for_each_item(monkeypatch):
    """Of 4 items the third is bad: calls of 4, 2 (good), 2, 1 (bad), 1; every call takes a second."""
    clock = iter(range(100))
    monkeypatch.setattr("time.perf_counter", lambda: float(next(clock)))

    def double(batch):
        if 2 in batch:
            raise RuntimeError("poison")
        return [number * 2 for number in batch]

    made = isolate_counting(double, [0, 1, 2, 3], lambda item, error: -1)
    assert [(one.result, one.retries) for one in made] == [(0, 1), (2, 1), (-1, 2), (6, 2)]
    assert [one.lost_seconds for one in made] == [0.25, 0.25, 0.25 + 0.5 + 1.0, 0.25 + 0.5]


def test_a_full_disk_is_nobodys_fault():
    def full(batch):
        raise StoreError("no space")

    with pytest.raises(StoreError):
        isolate(full, [1, 2], lambda item, error: None)


def test_an_interrupt_passes_through():
    def stop(batch):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        isolate(stop, [1, 2], lambda item, error: None)


def test_too_few_results_are_an_error_of_the_function_not_a_shift():
    results = isolate(lambda batch: batch[1:], ["a", "b"], lambda item, error: f"{item} failed")
    assert results == ["a failed", "b failed"]


def test_serial_executor_keeps_order():
    batches = list(batched(list(range(7)), 3))
    assert [len(batch) for batch in batches] == [3, 3, 1]
    done = list(SerialExecutor().map(lambda batch: [n + 1 for n in batch], batches))
    assert [result for _, results in done for result in results] == list(range(1, 8))


def test_batches_hold_every_clip_once_and_no_more_than_asked_for():
    lengths = np.random.default_rng(0).integers(1, 100, 50).tolist()
    for most in (0, 90, 400, 10**6):
        batches = list(batched_by_length(lengths, most))
        assert sorted(index for batch in batches for index in batch) == list(range(50))
        for batch in batches:
            assert len(batch) == 1 or max(lengths[index] for index in batch) * len(batch) <= most
    assert len(list(batched_by_length(lengths, 0))) == 50
    assert len(list(batched_by_length(lengths, 10**6))) == 1
    assert list(batched_by_length([], 5)) == []


@given(st.lists(st.floats(0.0, 100.0), max_size=40), st.floats(1.0, 300.0), st.integers(1, 10))
def test_batches_by_seconds_hold_everything_in_order_and_are_bounded_both_ways(lengths, most_seconds, most):
    items = list(enumerate(lengths))
    batches = list(batched_by_seconds(iter(items), lambda item: item[1], most_seconds, most))
    assert [item for batch in batches for item in batch] == items
    for batch, following in zip(batches, [*batches, None][1:], strict=True):
        assert 1 <= len(batch) <= most
        assert len(batch) == 1 or sum(length for _, length in batch) <= most_seconds
        # No smaller than they need be: the next item would not have fitted.
        if following is not None:
            assert len(batch) == most or sum(length for _, length in (*batch, following[0])) > most_seconds


def test_a_minute_and_a_second_give_batches_of_the_same_audio():
    clips = [60.0] * 30 + [1.0] * 300
    batches = list(batched_by_seconds(clips, float, 300.0))
    assert max(map(sum, batches)) <= 300.0
    assert len(batches) == 7
    assert list(batched_by_seconds([], float, 300.0)) == []


def test_items_are_taken_one_ahead_of_the_batch_they_are_in():
    taken = []

    def read():
        for number in range(10):
            taken.append(number)
            yield number

    batches = batched_by_seconds(read(), lambda _: 1.0, 3.0)
    assert next(batches) == [0, 1, 2]
    assert taken == [0, 1, 2, 3]
