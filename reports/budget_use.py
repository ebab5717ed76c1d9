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
    """Those that were searched, which the shares are of."""
    expected: int
    """All of them; in a run that was stopped some are not searched yet."""


def budget_use(results: RunResults) -> BudgetUse | None:
    """What the requests of a run spent of their budget; None where there was none, or nothing was searched yet.

    Raises:
        ConfigError: the budget is in something that the synthesizer did not count.
    """
    config = results.run.get("config")
    text = str(config.get("budget", "")) if isinstance(config, Mapping) else ""
    if not text:
        return None
    budget = parse_budget(text, 1)
    spent = zip(results.requests, request_costs(results), strict=True)
    shares = np.array([budget.share(cost) for request, cost in spent if request.chosen.is_made])
    if not len(shares):
        return None
    return BudgetUse(
        budget=text,
        median=float(np.median(shares)),
        largest=float(shares.max()),
        over=int((shares > 1.0).sum()),
        requests=len(shares),
        expected=len(results.requests),
    )
