import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tts_eval.errors import StoreError
from tts_eval.execution import SerialExecutor, batched, batched_by_length, isolate


@given(st.lists(st.booleans(), max_size=40))
def test_only_the_poisonous_items_fail(poison):
    items = list(enumerate(poison))

    def double(batch):
        if any(bad for _, bad in batch):
            raise RuntimeError("poison")
        return [number * 2 for number, _ in batch]

    results = isolate(double, items, lambda item, error: f"{item[0]}: {error}")
    assert results == [f"{number}: poison" if bad else number * 2 for number, bad in items]


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
