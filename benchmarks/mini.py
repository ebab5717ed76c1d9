"""The built-in suites: 48 English sentences in six groups, so that a demo says where search helps.

`mini` is for reporting. `mini-dev` has other sentences of the same groups: choose selection rules
and temperatures there, so that `mini` stays unseen. All sentences were written for this project.
The prompt is a clip of the embedded Piper voice at temperature 0, made by
`python -m benchmarks.make_mini_prompt`: it gives speaker similarity something to compare with.
"""

from __future__ import annotations

import csv
from importlib.resources import files
from pathlib import Path

from benchmarks.suite import Suite, no_data_dir
from tts_eval.types import Prompt, Request

PROMPT_TEXT = "The harbour lights came on one by one, and the evening boat was late again."


def load_mini(*, argument: str, data_dir: Path | None) -> Suite:
    """`mini@1`."""
    no_data_dir("mini", data_dir, argument)
    return _load("mini")


def load_mini_dev(*, argument: str, data_dir: Path | None) -> Suite:
    """`mini-dev@1`."""
    no_data_dir("mini-dev", data_dir, argument)
    return _load("mini-dev")


def prompt_path() -> Path:
    """The reference clip of the built-in suites."""
    return Path(str(files("benchmarks") / "data" / "mini-prompt.flac"))


def _load(name: str) -> Suite:
    prompt = Prompt(audio=prompt_path(), transcript=PROMPT_TEXT)
    table = (files("benchmarks") / "data" / f"{name}.tsv").read_text(encoding="utf-8")
    counts: dict[str, int] = {}
    requests = []
    for row in csv.DictReader(table.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE):
        group = row["group"]
        counts[group] = counts.get(group, 0) + 1
        requests.append(Request(id=f"{group}-{counts[group]}", text=row["text"], group=group, prompt=prompt))
    return Suite(name=f"{name}@1", requests=tuple(requests), judges=("asr:base", "speaker:campplus"))
