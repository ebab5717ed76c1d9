"""How much of its budget each request of a run spent: whoever gives a limit sees whether it was kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from reports.results import RunResults
from reports.search_cost import request_costs
from search.budget import parse_budget


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetUse:
    """Shares of the budget, where 1 is all of it. A search stops after the step or sample that exceeds it."""

    budget: str
    """As it was given, NUMBER-UNIT."""
    median: float
    largest: float
    over: int
    """Requests that spent more than the budget."""
    requests: int


def budget_use(results: RunResults) -> BudgetUse | None:
    """What the requests of a run spent of their budget; None where there was none.

    Raises:
        ConfigError: the budget is in something that the synthesizer did not count.
    """
    config = results.run.get("config")
    text = str(config.get("budget", "")) if isinstance(config, Mapping) else ""
    if not text:
        return None
    budget = parse_budget(text, 1)
    shares = np.array([budget.share(cost) for cost in request_costs(results)])
    return BudgetUse(
        budget=text,
        median=float(np.median(shares)),
        largest=float(shares.max()),
        over=int((shares > 1.0).sum()),
        requests=len(shares),
    )
