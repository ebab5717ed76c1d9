"""What a search strategy is, and the strategies by name."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from search.budget import Budget
from search.options import parse_options
from search.selection import Rule
from search.trace import Node
from tts_eval.errors import ConfigError
from tts_eval.registry import Registry, parse_spec
from tts_eval.types import Candidate, Cost, Request, Sampling, Score, Synthesizer, Verifier


@dataclass(frozen=True, kw_only=True)
class SearchResult:
    """What a search did for one request."""

    request: Request
    candidates: tuple[Candidate, ...]
    """The pool, by index."""
    scores: tuple[Score, ...]
    ranks: tuple[int, ...]
    """0 is the chosen one."""
    cost: Cost = field(default_factory=Cost)
    trace: tuple[Node, ...] = ()
    """The way that a guided search went."""

    @property
    def chosen(self) -> Candidate:
        """The candidate that the search returns."""
        return self.candidates[self.ranks.index(0)]


class Strategy(Protocol):
    """Spends a budget between a synthesizer and a verifier."""

    def search(
        self, requests: Sequence[Request], synthesizer: Synthesizer, verifier: Verifier, budget: Budget
    ) -> Iterator[SearchResult]:
        """One result per request, in order, as they are found."""
        ...


class StrategyFactory(Protocol):
    """Makes a strategy from the settings that all of them share, and options of its own.

    Options are keyword parameters whose defaults are of type int, float or str. A strategy that guides
    unfinished candidates also takes `then`, the verifier that chooses among the finished ones. One that reckons
    with scores, instead of comparing them, says `needs_absolute` and calls `require_absolute`. One that compares
    candidates by what scores bring along has an attribute `compares`: `transcript` or `embedding`.
    """

    def __call__(self, *, sampling: Sampling, run_seed: int) -> Strategy:
        """The strategy, ready to search."""
        ...


strategies: Registry[StrategyFactory] = Registry("strategy", "strategies", entry_point_group="tts_eval.strategies")
for _name, _target, _summary in (
    ("best-of-n", "search.best_of_n:BestOfN", "N independent samples, the best one wins"),
    ("beam", "search.beam:BeamSearch", "step-wise beam search, as in Llasa: keep the best, expand them"),
    ("partial-prm", "search.partial_prm:PartialPrm", "beam search for the first seconds, free sampling after that"),
    ("dvts", "search.dvts:DiverseTrees", "independent subtrees, each goes on with its best"),
    ("smc", "search.particles:ParticleSearch", "particles that are resampled by their scores"),
    ("rejection", "search.rejection:Rejection", "sample until a candidate is good enough, N at most"),
    ("adaptive", "search.adaptive:AdaptiveBestOfN", "best-of-N that stops when one more sample does not pay"),
    ("consensus", "search.consensus:Consensus", "of N, the one whose transcript (or voice) the others agree with most"),
    ("early-rejection", "search.early_rejection:EarlyRejection", "N beginnings, the better ones go on"),
):
    strategies.add(_name, _target, _summary)


def load_strategy(spec: str, *, sampling: Sampling, run_seed: int, then: Verifier | None = None) -> Strategy:
    """The strategy that NAME or NAME:KEY=VALUE,... asks for.

    Raises:
        UnknownNameError: there is no such strategy.
        ConfigError: it has no such options, or they have other values; all problems at once.
    """
    name, argument = parse_spec(spec)
    factory = strategies.load(name)
    settings = parse_options(argument, factory, spec)
    if then is not None:
        require_then(spec)
        settings["then"] = then
    return factory(sampling=sampling, run_seed=run_seed, **settings)


def require_then(spec: str) -> None:
    """That the strategy leaves the last choice to another verifier where one is given.

    Raises:
        UnknownNameError: there is no such strategy.
        ConfigError: it chooses among finished candidates itself.
    """
    if not guides(spec):
        name = parse_spec(spec).name
        raise ConfigError([f"Strategy '{name}' chooses among finished candidates already; drop --then."])


def guides(spec: str) -> bool:
    """Whether the strategy judges candidates while they are being said; then it takes `then`, and needs steps.

    Raises:
        UnknownNameError: there is no such strategy.
    """
    return "then" in inspect.signature(strategies.load(parse_spec(spec).name)).parameters


def is_absolute(verifier: Verifier) -> bool:
    """Whether a score says something of its clip alone; that of a selection rule may compare it with its siblings."""
    return bool(getattr(verifier, "is_absolute", True))


def require_absolute(verifier: Verifier, name: str) -> None:
    """That the strategy called `name`, which reckons with scores, is given ones that mean the same in every pool.

    Raises:
        ConfigError: the verifier compares a candidate with its siblings, or ranks by several steps.
    """
    if not is_absolute(verifier):
        raise _places(name, verifier.judge)


def check_rule(spec: str, rule: Rule) -> None:
    """The same of a rule whose verifiers are not loaded yet.

    Raises:
        ConfigError: the strategy of `spec` needs scores, and the rule gives places.
    """
    name = parse_spec(spec).name
    if getattr(strategies.load(name), "needs_absolute", False) and not rule.is_absolute:
        raise _places(name, rule.text)


def _places(name: str, rule: str) -> ConfigError:
    return ConfigError(
        [
            f"Strategy '{name}' reckons with scores of clips, but '{rule}' gives places among siblings. "
            "Use one metric (--verifier asr:tiny.en#wer) or stored scales (z(..., FILE), see 'tts-eval calibrate')."
        ]
    )


def merits(scores: Sequence[Score], verifier: Verifier) -> list[float | None]:
    """The values of the verifier's first metric, higher is better; None where there is none."""
    sign = 1.0 if verifier.metrics[0].higher_is_better else -1.0
    return [None if score.value is None else sign * score.value for score in scores]
