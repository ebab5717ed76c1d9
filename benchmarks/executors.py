"""Who does the work of a run: this process, or the workers of a Ray cluster."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.models import Models
from tts_eval.config import RunConfig


def open_models(configs: Sequence[RunConfig]) -> Models:
    """Whoever the runs name as their executor, shared by all of them; a context manager.

    Raises:
        ConfigError: the cluster is not there, or what was planned for it does not fit.
        MissingDependencyError: Ray is not installed.
    """
    if configs[0].executor == "serial":
        return Models()
    from benchmarks.remote_models import RemoteModels

    return RemoteModels(configs)
