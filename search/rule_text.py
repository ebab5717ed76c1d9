"""Reads a selection rule: one line of text.

    asr:tiny.en                                        a verifier's first metric
    asr:tiny.en#likelihood                             another of its metrics
    asr:tiny.en#wer*0.5 + speaker*0.5                  weighted sum of z-scores within the pool
    rank(asr:tiny.en + quality#ovrl)                   the same of ranks (or minmax, or harmonic)
    z(asr:tiny.en + quality, scales.json)              z-scores by stored scales (tts-eval calibrate)
    lex(speaker>=0.3, asr:tiny.en#wer)                 one after another: VALL-E 2's rule, a hard constraint
    cascade(4 of duration, asr:tiny.en + quality)      the second judges only the 4 best by the first

All of it:

    rule         cascade(COUNT of ranking, ..., ranking) | ranking
    ranking      lex(step, ...) | combination
    step         limit | combination
    limit        metric>=NUMBER | metric<=NUMBER
    combination  sum | z(sum) | z(sum, FILE) | minmax(sum) | rank(sum) | harmonic(sum)
    sum          term + term + ...
    term         metric | NUMBER*metric | metric*NUMBER
    metric       VERIFIER[:ARGUMENT][#METRIC]

A sum of one term is that metric itself; of more, their z-scores. Weights say how much a term counts;
of a metric that is better when lower, the negative is ranked. A plus joins only between spaces and a comma
parts only before one: elsewhere they belong to a verifier (`speaker:wavlm-sv,reference=xcodec2`, a path).
A half-open bracket cannot be written.
"""

from __future__ import annotations

import itertools
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Literal, cast

from search.selection import Rule
from search.steps import Combination, Limit, Stage, Term
from tts_eval.errors import ConfigError
from tts_eval.scales import read_scales

_CALL = re.compile(r"(?P<name>[a-z]+)\((?P<inside>.*)\)", re.DOTALL)
_PLUS = re.compile(r"(?:^|(?<=\s))\+(?=\s|$)")
_ARROW = re.compile(r"(?:^|\s)>(?:\s|$)")
_LIMIT = re.compile(r"(?P<metric>.*?)(?P<sense>>=|<=)(?P<number>.*)", re.DOTALL)
_STAGE = re.compile(r"(?P<keep>\S*)\s+of\s+(?P<ranking>.+)", re.DOTALL)
_SCALES = ("z", "minmax", "rank", "harmonic")
_CALLS = ("cascade", "lex", *_SCALES)


def load_rule(text: str) -> Rule:
    """The rule that `text` spells, with the scales in the files that it names.

    Raises:
        ConfigError: the text is malformed, or a file cannot be read.
    """
    rule = parse_rule(text)
    return rule.with_scales({name: read_scales(Path(name)) for name in rule.references})


def parse_rule(text: str) -> Rule:
    """The rule that `text` spells; files that it names are not read.

    Raises:
        ConfigError: it is malformed; all problems at once.
    """
    text = text.strip()
    if text.count("(") != text.count(")"):
        raise ConfigError([f"Selection rule '{text}': a bracket is opened and not closed, or closed and not opened."])
    reader = _Reader()
    stages = reader.stages(text)
    if reader.problems:
        raise ConfigError([f"Selection rule '{text}': {problem}" for problem in dict.fromkeys(reader.problems)])
    return Rule(text, stages)


class _Reader:
    """One method per line of the grammar; what is wrong is noted, and reading goes on."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def stages(self, text: str) -> tuple[Stage, ...]:
        name, inside = _call(text)
        if name != "cascade":
            return (Stage(self.ranking(text)),)
        *early, last = _arguments(inside)
        if not early:
            self._note(f"'{text}' has one stage. Expected cascade(COUNT of ranking, ..., ranking).")
        stages: list[Stage] = []
        for part in early:
            found = _STAGE.fullmatch(part)
            keep = int(found["keep"]) if found and found["keep"].isdecimal() else 0
            if keep < 1:
                self._note(f"'{part}' does not say how many go on. Expected COUNT of RANKING, e.g. 4 of asr:tiny.en.")
            elif stages and keep >= (stages[-1].keep or math.inf):
                self._note(f"'{part}' keeps no fewer than the stage before it.")
            stages.append(Stage(self.ranking(found["ranking"] if found else part), keep))
        if (found := _STAGE.fullmatch(last)) and found["keep"].isdecimal():
            self._note(f"'{last}': the last stage ranks all that it is shown; drop '{found['keep']} of'.")
        return (*stages, Stage(self.ranking(last)))

    def ranking(self, text: str) -> tuple[Combination | Limit, ...]:
        name, inside = _call(text)
        if name != "lex":
            return (self.combination(text),)
        return tuple(self.step(part) for part in _arguments(inside))

    def step(self, text: str) -> Combination | Limit:
        found = _LIMIT.fullmatch(text)
        if found is None:
            return self.combination(text)
        sense = cast(Literal[">=", "<="], found["sense"])
        return Limit(self.metric(found["metric"], text), sense, self.number(found["number"], text))

    def combination(self, text: str) -> Combination:
        name, inside = _call(text)
        if name and name not in _SCALES:
            self._note(
                f"'{name}(...)' stands alone or inside cascade(...), not inside another ranking."
                if name in ("cascade", "lex")
                else f"there is no '{name}(...)'. There is: {', '.join(f'{call}(...)' for call in _CALLS)}."
            )
            return Combination((), "plain")
        parts = _arguments(inside if name else text)
        reference = parts.pop() if name == "z" and len(parts) == 2 else ""
        if len(parts) > 1:
            self._note(f"'{text}' has one comma too many. Metrics of a sum are joined by ' + '.")
        if _LIMIT.search(parts[0]):
            self._note(f"'{text}': a limit belongs in lex(...), e.g. lex(speaker>=0.3, asr).")
        if _ARROW.search(parts[0]):
            self._note(f"'{text}': what was 'a > b' is now lex(a, b), and min(a,0.3) in it a>=0.3.")
            return Combination((), "plain")
        terms = tuple(self.term(part) for part in _PLUS.split(parts[0]))
        if name == "harmonic" and any(term.weight <= 0 for term in terms):
            self._note(f"'{text}': the weights of a harmonic mean are above 0.")
        kind = name or ("plain" if len(terms) == 1 else "z")
        return Combination(terms, cast(Literal["plain", "z", "minmax", "rank", "harmonic"], kind), reference)

    def term(self, text: str) -> Term:
        if "*" not in text:
            return self.metric(text, text)
        left, _, right = (part.strip() for part in text.partition("*"))
        weight, metric = (right, left) if _is_number(right) and not _is_number(left) else (left, right)
        number = self.number(weight, text)
        if number == 0.0:
            self._note(f"'{text.strip()}' has weight 0 and would decide nothing. Drop it.")
        return replace(self.metric(metric, text), weight=number)

    def metric(self, text: str, where: str) -> Term:
        verifier, _, metric = text.strip().partition("#")
        if not verifier:
            self._note(f"'{where.strip()}' names no verifier. Expected VERIFIER[:ARGUMENT][#METRIC], as asr#wer.")
        elif "*" in text:
            self._note(f"'{where.strip()}' has more than one '*'. A term has one weight.")
        elif _call(text)[0]:
            self._note(f"'{text.strip()}' is no metric. A scale is that of a whole sum, e.g. rank(asr + quality).")
        return Term(verifier, metric)

    def number(self, text: str, where: str) -> float:
        if not _is_number(text) or not math.isfinite(float(text)):
            self._note(f"'{where.strip()}': '{text.strip()}' is not a number that can be reckoned with.")
            return 1.0
        return float(text)

    def _note(self, problem: str) -> None:
        self.problems.append(problem)


def _call(text: str) -> tuple[str, str]:
    """Name and inside of NAME(INSIDE); empty where `text` is no call."""
    found = _CALL.fullmatch(text.strip())
    if found is None or min(_depths(found["inside"]), default=0) < 0:  # a(b) + c(d) is two of them
        return "", ""
    return found["name"], found["inside"].strip()


def _arguments(text: str) -> list[str]:
    """What stands between the commas that are before a space and in no bracket."""
    parts = [""]
    for position, (character, depth) in enumerate(zip(text, _depths(text), strict=True)):
        if character == "," and depth == 0 and not text[position + 1 : position + 2].strip():
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts]


def _depths(text: str) -> list[int]:
    """How many brackets are open after each character."""
    return list(itertools.accumulate((character == "(") - (character == ")") for character in text))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
