from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from llasa_checkpoints import save_checkpoint

from tts_eval.audio import Clip
from tts_eval.seeds import candidate_seed
from tts_eval.types import Job, Prompt, Request, Sampling


@pytest.fixture(scope="session", autouse=True)
def _strict_torch():
    # Tiny matrices: a second thread only waits. Memory that nobody wrote holds NaN, so that nobody reads it unseen.
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_checkpoint(tmp_path_factory.mktemp("llasa"))


@pytest.fixture(scope="session")
def llasa(checkpoint: Path):
    from tts_eval.synthesizers import load_synthesizer

    return load_synthesizer(f"llasa:{checkpoint},device=cpu")


@pytest.fixture(scope="session")
def voice() -> Clip:
    """Half a second of a prompt."""
    time = np.arange(8000) / 16000
    return Clip((0.3 * np.sin(2 * np.pi * (150 + 80 * time) * time)).astype(np.float32), 16000)


@pytest.fixture(scope="session")
def requests(voice: Clip) -> list[Request]:
    """Three requests with prompts of different lengths."""
    return [
        Request(id="plain", text="Hi."),
        Request(id="cloned", text="Good day.", prompt=Prompt(audio=voice, transcript="One two three.")),
        Request(id="long", text="The bell rang twice, and nobody came to the door."),
    ]


@pytest.fixture
def jobs_for() -> Callable[..., list[Job]]:
    def make(requests: list[Request], n: int = 2, sampling: Sampling | None = None, **changes: Any) -> list[Job]:
        chosen = replace(sampling or Sampling(), **{"max_seconds": 0.8, **changes})
        return [
            Job(request=request, index=index, seed=candidate_seed(0, request.id, index), sampling=chosen)
            for request in requests
            for index in range(n)
        ]

    return make
