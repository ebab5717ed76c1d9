"""Fixtures shared by all tests: requests, tones and the real data where they are at hand."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from tts_eval.audio import Clip
from tts_eval.threads import share_cores
from tts_eval.types import Candidate, FinishReason, Item, Job, Request, Sampling

share_cores()

# The same examples every time, and as much of it as a busy machine needs.
settings.register_profile("steady", deadline=None, derandomize=True)
settings.load_profile("steady")

# Real speech is not part of the project; tests that want it are skipped where it is absent.
DATA = Path(os.environ.get("TTS_EVAL_TEST_DATA", Path(__file__).resolve().parents[1] / "../shared/data"))


@pytest.fixture
def data() -> Path:
    """The folder of real speech."""
    if not DATA.is_dir():
        pytest.skip("no real speech at hand: set TTS_EVAL_TEST_DATA to a folder with LibriSpeech/")
    return DATA.resolve()


@pytest.fixture(scope="module", autouse=True)
def leave_no_lazy_modules() -> Iterator[None]:
    """SpeechBrain leaves modules that are imported once they are looked at, and fail; Hypothesis looks at all."""
    yield
    for name, module in list(sys.modules.items()):
        if type(module).__module__ == "speechbrain.utils.importutils":
            del sys.modules[name]


@pytest.fixture
def tone() -> Clip:
    """Half a second of a tone at 16 kHz."""
    time = np.arange(8000) / 16000
    return Clip((0.3 * np.sin(2 * np.pi * 220 * time)).astype(np.float32), 16000)


@pytest.fixture
def make_jobs() -> Callable[..., list[Job]]:
    """Jobs for requests, `n` each, with the seeds of run seed 0."""
    from tts_eval.seeds import candidate_seed

    def make(requests: list[Request], n: int = 4, sampling: Sampling | None = None) -> list[Job]:
        return [
            Job(
                request=request,
                index=index,
                seed=candidate_seed(0, request.id, index),
                sampling=sampling or Sampling(),
            )
            for request in requests
            for index in range(n)
        ]

    return make


@pytest.fixture
def make_item() -> Callable[..., Item]:
    """An item around a clip."""

    def make(clip: Clip | None, text: str = "one two three", **request: object) -> Item:
        candidate = Candidate(index=0, seed=0, sampling=Sampling(), finish=FinishReason.EOS, clip=clip)
        return Item(request=Request(id="r", text=text, **request), candidate=candidate)  # type: ignore[arg-type]

    return make


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[None]:
    """A Ray cluster of four small cores that all runs of these tests share: starting one takes seconds."""
    ray = pytest.importorskip("ray")
    from tts_eval.workers import cluster

    cluster.keep_quiet()
    ray.init(
        address="local", num_cpus=4, include_dashboard=False, log_to_driver=False, logging_level="ERROR",
        object_store_memory=cluster.STORE_BYTES,
    )  # fmt: skip
    cluster.print_no_deaths()
    yield
    ray.shutdown()
