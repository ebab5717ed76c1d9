"""Makes text-to-speech models better at inference time, and measures by how much.

Everything a user needs is imported from here, and loaded when it is first touched (PEP 562), so
`import tts_eval` costs milliseconds. The packages verifiers, search, benchmarks and reports hold
the implementation.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from tts_eval.version import __version__ as __version__

_EXPORTS = {
    "AudioError": "tts_eval.errors",
    "BestOfN": "search.best_of_n",
    "Budget": "search.budget",
    "Candidate": "tts_eval.types",
    "Clip": "tts_eval.audio",
    "ConfigError": "tts_eval.errors",
    "Cost": "tts_eval.types",
    "DataError": "tts_eval.errors",
    "Failure": "tts_eval.types",
    "FailureKind": "tts_eval.types",
    "FinishReason": "tts_eval.types",
    "Generation": "tts_eval.types",
    "Item": "tts_eval.types",
    "Job": "tts_eval.types",
    "Judgement": "verifiers.judging",
    "load_protocol": "tts_eval.text",
    "load_suite": "benchmarks.suite",
    "load_synthesizer": "tts_eval.synthesizers",
    "load_verifier": "verifiers",
    "Limit": "tts_eval.types",
    "Metric": "tts_eval.types",
    "OutcomeVerifier": "search.outcome",
    "load_rule": "search.rule_text",
    "parse_rule": "search.rule_text",
    "Prompt": "tts_eval.types",
    "read_audio": "tts_eval.audio",
    "read_run": "reports.read_run",
    "Request": "tts_eval.types",
    "results_frame": "reports.frame",
    "run": "benchmarks.runner",
    "RunConfig": "tts_eval.config",
    "Sampling": "tts_eval.types",
    "Score": "tts_eval.types",
    "score_items": "verifiers.judging",
    "StoreError": "tts_eval.errors",
    "StepSynthesizer": "tts_eval.types",
    "Strategy": "search.strategy",
    "Suite": "benchmarks.suite",
    "Synthesizer": "tts_eval.types",
    "transfer_of": "reports.transfer",
    "TTSEvalError": "tts_eval.errors",
    "Verifier": "tts_eval.types",
    "write_audio": "tts_eval.audio",
    "write_report": "reports.page",
}

if TYPE_CHECKING:
    from benchmarks.runner import run
    from benchmarks.suite import Suite, load_suite
    from reports.frame import results_frame
    from reports.page import write_report
    from reports.read_run import read_run
    from reports.transfer import transfer_of
    from search.best_of_n import BestOfN
    from search.budget import Budget
    from search.outcome import OutcomeVerifier
    from search.rule_text import load_rule, parse_rule
    from search.strategy import Strategy
    from tts_eval.audio import Clip, read_audio, write_audio
    from tts_eval.config import RunConfig
    from tts_eval.errors import AudioError, ConfigError, DataError, StoreError, TTSEvalError
    from tts_eval.synthesizers import load_synthesizer
    from tts_eval.text import load_protocol
    from tts_eval.types import (
        Candidate,
        Cost,
        Failure,
        FailureKind,
        FinishReason,
        Generation,
        Item,
        Job,
        Limit,
        Metric,
        Prompt,
        Request,
        Sampling,
        Score,
        StepSynthesizer,
        Synthesizer,
        Verifier,
    )
    from verifiers import load_verifier
    from verifiers.judging import Judgement, score_items

__all__ = [  # noqa: RUF022 - sorted without regard to case, as a reader looks names up
    "AudioError", "BestOfN", "Budget", "Candidate", "Clip", "ConfigError", "Cost", "DataError", "Failure",
    "FailureKind", "FinishReason", "Generation", "Item", "Job", "Judgement", "Limit", "load_protocol", "load_rule",
    "load_suite", "load_synthesizer", "load_verifier", "Metric", "OutcomeVerifier", "parse_rule", "Prompt",
    "read_audio", "read_run", "Request", "results_frame", "run", "RunConfig", "Sampling", "Score", "score_items",
    "StepSynthesizer", "StoreError", "Strategy", "Suite", "Synthesizer", "transfer_of", "TTSEvalError", "Verifier",
    "write_audio", "write_report",
]  # fmt: skip


def __getattr__(name: str) -> object:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'tts_eval' has no attribute {name!r}")
    value: object = getattr(import_module(_EXPORTS[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_EXPORTS])
