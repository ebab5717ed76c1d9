"""Which best-of-N a cell of a sweep is compared with: what the same money buys without the cell's idea.

Without a budget N is what is spent, so both have the same. Under a budget N only caps what is spent, so the one
with the largest is the fairest; a single sample leaves the budget unspent and is nobody's best-of-N while there is
another.
"""

from __future__ import annotations

from collections.abc import Sequence

from search.budget import parse_budget
from tts_eval.config import RunConfig, sampling_of
from tts_eval.registry import parse_spec
from tts_eval.sweep_folder import Cell


def baseline_of(cell: Cell, cells: Sequence[Cell]) -> Cell | None:
    """The best-of-N with the same budget (or N) and sampling, by the same rule where there is one.

    None for a best-of-N, and where there is none.
    """
    config = cell.config
    if is_best_of_n(config):
        return None
    fitting = [other for other in cells if is_best_of_n(other.config) and _spends_like(other.config, config)]
    return max(fitting, key=lambda other: _preference(other.config, config), default=None)


def is_best_of_n(config: RunConfig) -> bool:
    """Whether the cell is what others are compared with."""
    return parse_spec(config.strategy).name == "best-of-n"


def _spends_like(other: RunConfig, config: RunConfig) -> bool:
    """Whether the samples are alike, and the limit on what they cost."""
    if sampling_of(other) != sampling_of(config):
        return False
    if bool(other.budget) != bool(config.budget):
        return False
    return parse_budget(other.budget, 1) == parse_budget(config.budget, 1) if config.budget else other.n == config.n


def _preference(other: RunConfig, config: RunConfig) -> tuple[bool, bool, int]:
    is_same_rule = other.verifier.strip() == (config.then or config.verifier).strip()
    return other.n > 1, is_same_rule, other.n
