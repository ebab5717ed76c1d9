"""Everything tts-eval raises on purpose.

    TTSEvalError                what a caller may catch to survive any of the below
    ├── ConfigError             a flag, YAML key or value is wrong (lists every problem at once)
    ├── UnknownNameError        no component of that name; carries the close matches
    ├── AudioError              a file or array is not usable audio
    ├── DataError               a suite, manifest or data folder is not as its format says
    ├── StoreError              a run directory cannot be read or written
    │   └── RunLockedError      another process is writing to the run directory
    ├── WeightsError            model weights are missing, or differ from their checksum
    ├── MissingDependencyError  an optional package is not installed; the message has the command
    └── SynthesisError          a synthesizer cannot make this request

A message says what happened, for which item, what was expected and what to do about it.
Problems that belong to one clip are not raised: they are `Failure` values (see `tts_eval.types`),
because a failed clip stays in the denominator.
"""

from __future__ import annotations

from collections.abc import Sequence


class TTSEvalError(Exception):
    """Base of every error that tts-eval raises on purpose."""


class ConfigError(TTSEvalError):
    """One or more settings are wrong; `problems` lists them all."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class UnknownNameError(TTSEvalError):
    """A registry holds no component of that name."""


class AudioError(TTSEvalError):
    """A file or array is not usable audio."""


class DataError(TTSEvalError):
    """A suite, manifest or data folder is not as its format says."""


class StoreError(TTSEvalError):
    """A run directory cannot be read or written."""


class RunLockedError(StoreError):
    """Another process is writing to the run directory."""


class WeightsError(TTSEvalError):
    """Model weights are missing or are not the pinned ones."""


class MissingDependencyError(TTSEvalError):
    """An optional package is not installed."""

    def __init__(self, package: str, needed_for: str, install: str) -> None:
        super().__init__(
            f"{needed_for} needs the package '{package}', which is not installed. "
            f"Install it with: pip install '{install}'"
        )


class SynthesisError(TTSEvalError):
    """A synthesizer cannot make this request."""
