"""What the guided searches share: the settings of every one of them, and the way to the engine."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

from search.beams import Guidance, Keep
from search.budget import Budget
from search.process import ProcessSearch
from search.strategy import SearchResult
from tts_eval.errors import ConfigError
from tts_eval.types import Request, Sampling, Synthesizer, Verifier


@dataclass(frozen=True, slots=True, kw_only=True)
class GuidedSearch:
    """A search that judges on the way; who goes on is the strategy's own business."""

    sampling: Sampling
    run_seed: int = 0
    then: Verifier | None = None
    """Chooses among the finished candidates; None leaves that to the verifier that guides."""
    step: float = 0.5
    """Seconds of speech between two decisions."""
    until: float = 0.0
    """Seconds of speech that are guided, the rest is sampled freely; 0 guides to the end."""
    lookahead: float = 0.0
    """Judge a beam by what it would say so many seconds later."""

    def __post_init__(self) -> None:
        options = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "run_seed"}
        numbers = {name: value for name, value in options.items() if isinstance(value, int | float)}
        if problems := [*self._problems(), *amiss(**numbers)]:
            raise ConfigError(problems)

    def _problems(self) -> list[str]:
        """What is wrong with options that are no numbers."""
        return []

    def _hunt(
        self, requests: Sequence[Request], synthesizer: Synthesizer, verifier: Verifier, budget: Budget, *,
        keep: Keep, width: int, trees: int = 1, expand: int = 1,
    ) -> Iterator[SearchResult]:  # fmt: skip
        """The results of the engine, with these settings; see `Guidance` for the rest."""
        guidance = Guidance(
            step_seconds=self.step,
            until_seconds=self.until,
            lookahead_seconds=self.lookahead,
            keep=keep,
            width=width,
            trees=trees,
            expand=expand,
        )
        engine = ProcessSearch(guidance=guidance, sampling=self.sampling, run_seed=self.run_seed, then=self.then)
        return engine.search(requests, synthesizer, verifier, budget)


def amiss(**options: float) -> list[str]:
    """What is wrong with the numbers of a process search, as problems of a ConfigError."""
    from_zero = ("until", "lookahead")
    return [
        f"{name} is {value}; expected {'0 or more' if name in from_zero else 'more than 0'}."
        for name, value in options.items()
        if not math.isfinite(value) or value < 0 or (value == 0 and name not in from_zero)
    ]
