"""The scales of a run's metrics: what z-scores of other runs can be measured against.

All candidates count, of all requests, so the scale says what is usual for this synthesizer, suite and
judge, and a z-score by it is one clip's own number. Clips that a judge gave no number for are left out,
and so are metrics whose judge a cascade showed only the better ones.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from reports.pools import clip_value
from reports.read_run import read_run
from reports.results import RunResults
from tts_eval.config import is_whole_pool
from tts_eval.errors import ConfigError
from tts_eval.manifest import read_manifest
from tts_eval.scales import Scale, write_scales
from tts_eval.store import RunFolder

FEWEST = 2


def scales_of(results: RunResults) -> dict[str, Scale]:
    """The scale of every metric that at least two clips have a number for, by `VERIFIER_SPEC#METRIC`."""
    candidates = [candidate for request in results.requests for candidate in request.candidates]
    scales = {}
    for judged in results.metrics:
        if any(judged.verifier_key in candidate.spared for candidate in candidates):
            continue
        found = [value for candidate in candidates if (value := clip_value(candidate, judged)) is not None]
        if len(found) >= FEWEST:
            scales[judged.key] = Scale(
                judge=judged.judge,
                protocol=judged.metric.protocol,
                mean=float(np.mean(found)),
                deviation=float(np.std(found)),
                n=len(found),
            )
    return scales


def calibrate(folder: Path, path: Path) -> dict[str, Scale]:
    """Write the scales of the run in `folder` to `path`, and return them.

    Raises:
        StoreError: there is no run, or `path` cannot be written.
        ConfigError: no metric of the run has a scale, or it kept only what its search chose.
    """
    config = read_manifest(RunFolder.existing(folder)).config
    if not is_whole_pool(config):
        spent = f"strategy {config.strategy}" + (f", budget {config.budget}" if config.budget else "")
        raise ConfigError(
            [
                f"{folder} keeps only what its search chose ({spent}), which says nothing of what is usual. "
                "Calibrate on a run of best-of-n without a budget, which keeps all candidates."
            ]
        )
    results = read_run(folder)
    scales = scales_of(results)
    if not scales:
        raise ConfigError([f"{folder}: no judge gave two candidates a number, so there is no scale to measure."])
    write_scales(path, scales, source=f"{results.name}: {results.synthesizer} on {results.suite}")
    return scales
