import logging
import time
from dataclasses import replace

import pytest

from tts_eval import errors
from tts_eval.errors import ConfigError, MissingDependencyError, StoreError, TTSEvalError
from tts_eval.execution import THREADS_VARIABLE, available_cores
from tts_eval.workers.worker import Refusal, Reply, Worker, limit_threads

VARIABLES = (THREADS_VARIABLE, "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class Raising:
    """A worker's object."""

    def work(self, items, error):
        logging.getLogger("a.model").warning("heard %d items", len(items))
        if error is not None:
            raise error
        return [item + 1 for item in items]


@pytest.fixture
def worker(monkeypatch):
    for name in VARIABLES:
        monkeypatch.setenv(name, "")  # put back what the worker changes
    handlers = list(logging.getLogger().handlers)
    yield Worker(f"{__name__}:Raising", 2, 0.0)
    logging.getLogger().handlers = handlers


def test_results_come_with_what_was_logged_on_the_way_and_the_time_it_took(worker):
    reply = worker.call("work", [1, 2], (None,))
    expected = Reply(results=[2, 3], notes=((logging.WARNING, "heard 2 items"),))
    assert replace(reply, seconds=0.0, started=0.0) == expected
    assert abs(time.time() - reply.started) < 60.0
    assert 0 < reply.seconds < 1
    assert len(worker.call("work", [1], (None,)).notes) == 1


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (ConfigError(["one", "two"]), ConfigError, "one (on node)\ntwo (on node)"),
        (StoreError("full"), StoreError, "full (on node)"),
        (MissingDependencyError("p", "it", "p>=1"), TTSEvalError, "(on node)"),
    ],
)
def test_what_is_raised_on_purpose_is_raised_again(worker, error, kind, message):
    again = worker.call("work", [1], (error,)).refusal.error("node")
    assert type(again) is kind
    assert message in str(again)
    if kind is ConfigError:
        assert again.problems == ("one (on node)", "two (on node)")


def test_every_error_can_travel():
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, TTSEvalError)]
    for kind in kinds:
        error = kind("p", "it", "p") if kind is MissingDependencyError else kind(["x"])
        assert isinstance(Refusal.of(error).error(), TTSEvalError)


def test_a_mistake_is_not_taken_for_a_refusal(worker):
    with pytest.raises(ZeroDivisionError):
        worker.call("work", [1], (ZeroDivisionError(),))


def test_models_see_so_many_cores(monkeypatch):
    for name in VARIABLES:
        monkeypatch.setenv(name, "")
    cores = available_cores()
    limit_threads(1)
    assert available_cores() == 1
    limit_threads(cores + 7)
    assert available_cores() == cores
