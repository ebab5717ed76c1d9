"""Stored scales of metrics: what a z-score is measured against when that is not the request's own pool.

A scale is the mean and the deviation of one metric over all candidates of a run, with the judge and
the protocol that it holds for. They lie in a small JSON file; `reports.calibration` makes them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tts_eval.errors import ConfigError
from tts_eval.files import write_text_atomically

FORMAT = "tts-eval scales 1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How one metric is spread."""

    judge: str
    """Who judged; the scale holds for no other."""
    protocol: str
    mean: float
    deviation: float
    """Of the population, over `n` clips."""
    n: int


Scales = Mapping[str, Scale]
"""By `VERIFIER_SPEC#METRIC`."""


def scales_json(scales: Scales) -> dict[str, Any]:
    """Plain values for a JSON file."""
    return {key: asdict(scale) for key, scale in scales.items()}


def scales_from_json(record: Mapping[str, Any]) -> dict[str, Scale]:
    """The scales as a JSON file has them.

    Raises:
        TypeError, ValueError: the record is none of scales.
    """
    scales = {key: Scale(**entry) for key, entry in record.items()}
    for key, scale in scales.items():
        if not (math.isfinite(scale.mean) and math.isfinite(scale.deviation) and scale.deviation >= 0):
            raise ValueError(f"'{key}' has mean {scale.mean} and deviation {scale.deviation}")
    return scales


def write_scales(path: Path, scales: Scales, source: str) -> None:
    """Write `scales` to `path`, atomically; `source` says to a reader what they were measured on."""
    record = {"format": FORMAT, "source": source, "metrics": scales_json(scales)}
    write_text_atomically(path, json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_scales(path: Path) -> dict[str, Scale]:
    """The scales in `path`.

    Raises:
        ConfigError: it cannot be read, or holds something else.
    """
    made_by = f"Make it with: tts-eval calibrate RUN --out {path}"
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if record["format"] != FORMAT:
            raise ValueError(f"its format is {record['format']!r}")
        return scales_from_json(record["metrics"])
    except OSError as error:
        raise ConfigError([f"The file of scales {path} cannot be read ({error.strerror}). {made_by}"]) from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ConfigError([f"{path} holds no scales ({error!r}). {made_by}"]) from error
