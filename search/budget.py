"""What a search may spend on each request, and how much of it is gone.

Strategies ask for the spent share, a number without a unit: the largest of tokens / limit,
FLOPs / limit and seconds / limit. A budget in seconds follows the clock, so that runs under it are
not the same twice; tokens and FLOPs are counted, and repeat.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from tts_eval.errors import ConfigError
from tts_eval.types import Cost

UNITS = ("tokens", "flops", "seconds")


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What a search may spend on each request. One step more may be spent, as a step cannot be taken back."""

    candidates: int
    """Finished candidates, for the strategies that sample whole ones; the others have widths of their own."""
    tokens: float = math.inf
    flops: float = math.inf
    seconds: float = math.inf
    """Of synthesizer and verifiers together."""

    def __post_init__(self) -> None:
        problems = [
            f"budget: {name} is {value}; expected {expected}."
            for name, value, is_right, expected in (
                ("candidates", self.candidates, self.candidates >= 1, "1 or more"),
                ("tokens", self.tokens, self.tokens >= 1, "1 or more"),
                ("flops", self.flops, self.flops > 0, "more than 0"),
                ("seconds", self.seconds, self.seconds > 0, "more than 0"),
            )
            if not is_right
        ]
        if problems:
            raise ConfigError(problems)

    @property
    def is_limited(self) -> bool:
        """Whether anything but the number of candidates is limited."""
        return min(self.tokens, self.flops, self.seconds) < math.inf

    def share(self, cost: Cost) -> float:
        """The part of the budget that `cost` is; 1 is all of it.

        Raises:
            ConfigError: the limit is in something that the synthesizer does not count.
        """
        if cost.audio_seconds and ((self.tokens < math.inf and not cost.tokens) or self.lacks_flops(cost)):
            unit = "FLOPs" if self.lacks_flops(cost) else "tokens"
            raise ConfigError([f"The synthesizer counts no {unit}, so no budget can be kept in them. Use seconds."])
        return max(
            cost.tokens / self.tokens,
            (cost.flops or 0.0) / self.flops,
            (cost.generator_seconds + cost.verifier_seconds) / self.seconds,
        )

    def lacks_flops(self, cost: Cost) -> bool:
        """Whether FLOPs are limited and `cost` has none."""
        return self.flops < math.inf and cost.flops is None


def parse_budget(text: str, candidates: int) -> Budget:
    """The budget of NUMBER-UNIT, e.g. `4e5-tokens`; "" limits the candidates only.

    Raises:
        ConfigError: it is no such thing, or less than anything costs.
    """
    if not text:
        return Budget(candidates=candidates)
    number, _, unit = text.strip().rpartition("-")
    try:
        amount = float(number)
    except ValueError:
        amount = math.nan
    if unit not in UNITS or not 0.0 < amount < math.inf or (unit == "tokens" and amount < 1):
        raise ConfigError(
            [f"budget is '{text}'; expected NUMBER-UNIT with one of {', '.join(UNITS)}, e.g. 4e5-tokens or 30-seconds."]
        )
    limits = {name: amount if name == unit else math.inf for name in UNITS}
    return Budget(candidates=candidates, **limits)
