"""The settings of a run: inert data, and a parser that reports every mistake at once.

Settings come from a YAML file, from flags, or both; flags win. `RunConfig` has every setting
resolved, is saved in run.json, and neither loads a model nor touches the disk.
"""

from __future__ import annotations

import dataclasses
import difflib
import types
import typing
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tts_eval.errors import ConfigError
from tts_eval.types import Sampling

DEFAULT_VERIFIER = "asr:tiny.en#wer + asr:tiny.en#likelihood"
EXECUTORS = ("serial", "ray")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """Everything that decides a run's results, and at the end who does the work."""

    suite: str = "mini"
    """Suite spec, NAME or NAME:ARGUMENT."""
    data_dir: str | None = None
    """Folder with the suite's data."""
    limit: int | None = None
    """First requests of the suite only."""
    sample: int | None = None
    """So many requests of the suite, spread over its groups and speakers."""
    official_skip: bool = False
    """Leave out requests whose audio is missing, as the Seed-TTS-Eval scripts do; for `wavs:FOLDER` only."""
    synth: str = "piper"
    """Synthesizer spec."""
    strategy: str = "best-of-n"
    """Strategy spec, NAME or NAME:KEY=VALUE,..."""
    then: str = ""
    """Rule that chooses among what a guided search leaves; `verifier` when empty. `best-of-n:RULE` is RULE."""
    budget: str = ""
    """What may be spent on each request: NUMBER-tokens, NUMBER-flops or NUMBER-seconds; no limit when empty."""
    n: int = 8
    """Candidates per request."""
    temperature: float = 1.0
    top_p: float = 1.0
    """Share of the probability that may be drawn from; 1 is all of it."""
    top_k: int = 0
    """Tokens that may be drawn; 0 is all of them."""
    repetition_penalty: float = 1.0
    """Above 1, tokens that were said already become less likely."""
    max_seconds: float = 30.0
    """Longest candidate; a longer one is cut and says `length`."""
    seed: int = 0
    verifier: str = DEFAULT_VERIFIER
    """Selection rule, see search.rule_text."""
    judge: tuple[str, ...] = ()
    """Verifier specs that report; the suite's own when empty."""
    fail_on: float = 0.1
    """Share of requests that may go unscored before the exit code says so."""
    executor: str = "serial"
    """Who does the work: `serial` (this process) or `ray` (workers); results are the same."""
    address: str = ""
    """Ray cluster, e.g. head:6379; one is started on this machine when empty."""
    resources: str = ""
    """YAML file with the workers of each stage, see tts_eval.workers.resources; worked out when empty."""

    def __post_init__(self) -> None:
        # Whoever reads `beam, then best-of-n` as two strategies gets the one way to choose that there is.
        object.__setattr__(self, "then", self.then.strip().removeprefix("best-of-n:"))
        problems = [
            f"{name} is {getattr(self, name)!r}; expected {expected}."
            for name, is_right, expected in (
                ("n", self.n >= 1, "1 or more"),
                ("limit", self.limit is None or self.limit >= 1, "1 or more"),
                ("sample", self.sample is None or self.sample >= 1, "1 or more"),
                ("sample", self.sample is None or self.limit is None, "either a sample or a limit, not both"),
                (
                    "official_skip",
                    not self.official_skip or self.synth.partition(":")[0].strip() == "wavs",
                    "a folder of audio to score (wavs:FOLDER): a synthesizer has no missing files",
                ),
                ("temperature", 0.0 <= self.temperature <= 10.0, "a number from 0 to 10"),
                ("top_p", 0.0 < self.top_p <= 1.0, "a share above 0, up to 1"),
                ("top_k", self.top_k >= 0, "0 or more"),
                ("repetition_penalty", 0.0 < self.repetition_penalty <= 10.0, "a number above 0, up to 10"),
                ("max_seconds", 0.0 < self.max_seconds < float("inf"), "a positive number of seconds"),
                ("seed", self.seed >= 0, "0 or more"),
                ("fail_on", 0.0 <= self.fail_on <= 1.0, "a share from 0 to 1"),
                ("executor", self.executor in EXECUTORS, " or ".join(EXECUTORS)),
                ("address", self.executor == "ray" or not self.address, "none without executor: ray"),
                ("resources", self.executor == "ray" or not self.resources, "none without executor: ray"),
                ("judge", all(spec.strip() for spec in self.judge), "names of verifiers, e.g. asr:base"),
            )
            if not is_right
        ]
        if problems:
            raise ConfigError(problems)


def is_whole_pool(config: RunConfig) -> bool:
    """Whether the run makes N candidates of each request and keeps them all; else it keeps what its search chose."""
    return config.strategy == "best-of-n" and not config.budget


def sampling_of(config: RunConfig) -> Sampling:
    """How the run samples; part of every candidate's key, so it is made in this one place."""
    return Sampling(
        temperature=config.temperature,
        top_p=config.top_p,
        top_k=config.top_k,
        repetition_penalty=config.repetition_penalty,
        max_seconds=config.max_seconds,
    )


def parse_config(values: Mapping[str, Any]) -> RunConfig:
    """A config from plain values, e.g. of a YAML file.

    Raises:
        ConfigError: unknown keys (with the close matches), wrong types and wrong values, all of them.
    """
    kinds = typing.get_type_hints(RunConfig)
    problems: list[str] = []
    settings: dict[str, Any] = {}
    for key, value in values.items():
        if key not in kinds:
            matches = difflib.get_close_matches(str(key), list(kinds), n=1)
            hint = f" Did you mean '{matches[0]}'?" if matches else f" Expected one of: {', '.join(kinds)}."
            problems.append(f"Unknown setting '{key}'.{hint}")
            continue
        try:
            settings[key] = _convert(value, kinds[key])
        except (TypeError, ValueError):
            example = ", e.g. 500-tokens" if key == "budget" else ""  # a bare number is an easy mistake there
            problems.append(f"{key} is {value!r}; expected {_describe(kinds[key])}{example}.")
    try:
        config = RunConfig(**settings)
    except ConfigError as error:
        problems += error.problems
    if problems:
        raise ConfigError(problems)
    return config


def read_yaml(path: Path, example: str = "n: 8") -> dict[str, Any]:
    """The mapping in a YAML file (safe loader: no objects).

    Args:
        path: The file.
        example: A line that it could have.

    Raises:
        ConfigError: it cannot be read, is not YAML, or is not a mapping.
    """
    import yaml

    try:
        text = path.read_text(encoding="utf-8")
        value = yaml.safe_load(text)
        twice = _repeated_keys(yaml.compose(text, Loader=yaml.SafeLoader))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([f"{path} cannot be read: {error}."]) from error
    except yaml.YAMLError as error:
        raise ConfigError([f"{path} is not plain YAML: {error}"]) from error
    if not isinstance(value, dict):
        found = "is empty" if value is None else f"holds no settings but a {type(value).__name__}"
        raise ConfigError([f"{path} {found}; expected 'setting: value' lines, e.g. '{example}'."])
    if twice:
        raise ConfigError([f"{path} sets '{name}' more than once; keep one of them." for name in twice])
    return value


def _repeated_keys(root: Any) -> list[str]:
    """Keys that a mapping anywhere in it has more than once: the safe loader would keep the last one without a word."""
    repeated, waiting, seen = [], [root] if root is not None else [], set()
    while waiting:
        node = waiting.pop()
        if node.id == "scalar" or id(node) in seen:
            continue
        seen.add(id(node))  # an alias is the same node again, and may be inside itself
        if node.id == "sequence":
            waiting += node.value
            continue
        names = Counter(key.value for key, _ in node.value if key.id == "scalar")
        repeated += [name for name, count in names.items() if count > 1]
        waiting += [value for _, value in node.value]
    return repeated


def as_dict(config: RunConfig) -> dict[str, Any]:
    """The config as JSON-ready values."""
    return {
        key: list(value) if isinstance(value, tuple) else value for key, value in dataclasses.asdict(config).items()
    }


def _convert(value: Any, kind: Any) -> Any:
    if typing.get_origin(kind) is tuple:
        if isinstance(value, str):
            return (value,)
        if isinstance(value, list | tuple) and all(isinstance(part, str) for part in value):
            return tuple(value)
        raise TypeError
    allowed = typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)
    if value is None and type(None) in allowed:
        return None
    wanted = next(option for option in allowed if option is not type(None))
    if wanted is float and isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError as error:  # a whole number of more than 308 digits
            raise TypeError from error
    if type(value) is not wanted:
        raise TypeError
    return value


def _describe(kind: Any) -> str:
    if typing.get_origin(kind) is tuple:
        return "a text or a list of texts"
    names = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}
    options = typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)
    return " or ".join(names.get(option, "nothing") for option in options)
