"""What a suite is: requests, and what to judge them with when nobody says otherwise."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from benchmarks.sampling import stratified_sample
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
    """Verifier specs, with their protocols, that report when no --judge is given."""
    subset: str = ""
    """What of the suite `requests` are, e.g. "first 4 of 48 requests"; "" for all of it."""


class SuiteFactory(Protocol):
    """Reads a suite."""

    def __call__(self, *, argument: str, data_dir: Path | None) -> Suite:
        """The suite; `argument` is what follows the colon in `--suite NAME:ARGUMENT`."""
        ...


suites: Registry[SuiteFactory] = Registry("suite", "suites", entry_point_group="tts_eval.suites")
suites.add("mini", "benchmarks.mini:load_mini", "48 built-in English sentences in 6 groups")
suites.add("mini-dev", "benchmarks.mini:load_mini_dev", "48 other sentences, to choose a selection rule on")
suites.add(
    "seed-tts-eval",
    "benchmarks.seed_tts_eval:load_seed_tts_eval",
    "Seed-TTS-Eval: seed-tts-eval:en, :zh or :zh-hard; needs --data-dir",
)
suites.add(
    "librispeech",
    "benchmarks.librispeech:load_librispeech",
    "LibriSpeech, 4-10 s: librispeech[:SUBSET], or librispeech:TASK[,SUBSET] with the task cross-sentence or "
    "continuation; needs --data-dir",
)
suites.add(
    "librispeech-pc",
    "benchmarks.librispeech_pc:load_librispeech_pc",
    "LibriSpeech-PC, cross-sentence, the 1,127 pairs of F5-TTS; needs --data-dir",
)
suites.add("esd", "benchmarks.esd:load_esd", "ESD, emotional speech: esd:en or esd:zh; needs --data-dir")
suites.add(
    "ravdess", "benchmarks.ravdess:load_ravdess", "RAVDESS, emotional speech, five or (:all) eight; needs --data-dir"
)
suites.add("list", "benchmarks.meta_list:load_list", "a list in Seed-TTS-Eval's format; list:FILE or --data-dir")
suites.add(
    "table", "benchmarks.table:load_table", "CSV, TSV, JSONL or parquet: table:FILE,text=COLUMN,prompt=COLUMN,..."
)


def load_suite(
    spec: str, *, data_dir: Path | None = None, limit: int | None = None, sample: int | None = None
) -> Suite:
    """The suite that `NAME` or `NAME:ARGUMENT` describes.

    Args:
        spec: The suite.
        data_dir: Folder with its data.
        limit: Take only so many requests, the first.
        sample: Take only so many requests, spread over groups and speakers (`stratified_sample`).

    Raises:
        UnknownNameError: no suite of that name.
        ConfigError: it needs a data folder, or does not take one; or the limit or sample makes no sense.
        DataError: the data are not as the suite's format says.
    """
    wrong = [
        f"{name} is {value}; expected 1 or more."
        for name, value in (("limit", limit), ("sample", sample))
        if value is not None and value < 1
    ]
    if wrong or (limit and sample):
        raise ConfigError(wrong or ["Give a limit or a sample, not both."])
    name, argument = parse_spec(spec)
    suite = suites.load(name)(argument=argument, data_dir=data_dir)
    if not suite.requests:
        raise DataError(f"Suite '{spec}' has no requests.")
    twice = [name for name, count in Counter(request.id for request in suite.requests).items() if count > 1]
    if twice:
        raise DataError(f"Suite '{spec}' has more than one request with the id {', '.join(map(repr, twice[:10]))}.")
    size = len(suite.requests)
    if sample is not None and sample < size:
        chosen = stratified_sample(suite.requests, sample)
        return replace(suite, requests=chosen, subset=f"sample of {sample} of {size} requests, seed 0")
    if limit is not None and limit < size:
        return replace(suite, requests=suite.requests[:limit], subset=f"first {limit} of {size} requests")
    return suite


def no_data_dir(suite: str, data_dir: Path | None, argument: str = "") -> None:
    """Refuse settings that a built-in suite would ignore."""
    problems = []
    if data_dir is not None:
        problems.append(f"Suite '{suite}' is built in and reads no data; drop --data-dir {data_dir}.")
    if argument:
        problems.append(f"Suite '{suite}' takes no argument; drop ':{argument}'.")
    if problems:
        raise ConfigError(problems)
