"""What a suite is: requests, and what to judge them with when nobody says otherwise."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tts_eval.errors import ConfigError, DataError
from tts_eval.registry import Registry, parse_spec
from tts_eval.types import Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """A named, versioned set of requests. Request ids are unique."""

    name: str
    """NAME@VERSION."""
    requests: tuple[Request, ...]
    judges: tuple[str, ...]
    """Verifier specs that report when no --judge is given."""


class SuiteFactory(Protocol):
    """Reads a suite."""

    def __call__(self, *, argument: str, data_dir: Path | None) -> Suite:
        """The suite; `argument` is what follows the colon in `--suite NAME:ARGUMENT`."""
        ...


suites: Registry[SuiteFactory] = Registry("suite", "suites", entry_point_group="tts_eval.suites")
suites.add("mini", "benchmarks.mini:load_mini", "48 built-in English sentences in 6 groups")
suites.add("mini-dev", "benchmarks.mini:load_mini_dev", "48 other sentences, to choose a selection rule on")
suites.add("librispeech", "benchmarks.librispeech:load_librispeech", "official layout, 4-10 s; needs --data-dir")
suites.add("list", "benchmarks.meta_list:load_list", "a seed-tts meta.lst; list:FILE or --data-dir")


def load_suite(spec: str, *, data_dir: Path | None = None, limit: int | None = None) -> Suite:
    """The suite that `NAME` or `NAME:ARGUMENT` describes, with its first `limit` requests.

    Raises:
        UnknownNameError: no suite of that name.
        ConfigError: it needs a data folder, or does not take one.
        DataError: the data are not as the suite's format says.
    """
    if limit is not None and limit < 1:
        raise ConfigError([f"limit is {limit}; expected 1 or more."])
    name, argument = parse_spec(spec)
    suite = suites.load(name)(argument=argument, data_dir=data_dir)
    if not suite.requests:
        raise DataError(f"Suite '{spec}' has no requests.")
    twice = [name for name, count in Counter(request.id for request in suite.requests).items() if count > 1]
    if twice:
        raise DataError(f"Suite '{spec}' has more than one request with the id {', '.join(map(repr, twice[:10]))}.")
    requests = suite.requests[:limit]
    return Suite(name=suite.name, requests=requests, judges=suite.judges)


def no_data_dir(suite: str, data_dir: Path | None, argument: str = "") -> None:
    """Refuse settings that a built-in suite would ignore."""
    problems = []
    if data_dir is not None:
        problems.append(f"Suite '{suite}' is built in and reads no data; drop --data-dir {data_dir}.")
    if argument:
        problems.append(f"Suite '{suite}' takes no argument; drop ':{argument}'.")
    if problems:
        raise ConfigError(problems)


def inside(data_dir: Path, path: str, where: str) -> Path:
    """`data_dir / path`, which must not leave `data_dir`.

    Raises:
        DataError: it does; `where` names the line that says so.
    """
    resolved = (data_dir / path).resolve()
    if not resolved.is_relative_to(data_dir.resolve()):
        raise DataError(f"{where}: the path '{path}' leaves the data folder {data_dir}. Use paths inside it.")
    return data_dir / path
