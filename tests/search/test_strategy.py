import math
from dataclasses import replace

import pytest
from planted import SAMPLING, Planted, Worth

from search.adaptive import AdaptiveBestOfN
from search.beam import BeamSearch
from search.budget import Budget, parse_budget
from search.partial_prm import PartialPrm
from search.strategy import load_strategy, strategies
from tts_eval.errors import ConfigError, UnknownNameError
from tts_eval.types import Request


def load(spec: str, **settings):
    return load_strategy(spec, sampling=SAMPLING, run_seed=3, **settings)


def test_options_reach_the_strategy():
    assert load("beam:step=0.25, expand=4,keep=2-8") == BeamSearch(
        sampling=SAMPLING, run_seed=3, step=0.25, expand=4, keep="2-8"
    )
    assert load("partial-prm:until=1") == PartialPrm(sampling=SAMPLING, run_seed=3, until=1.0)
    assert load("adaptive:price=0.5").price == AdaptiveBestOfN(sampling=SAMPLING, price=0.5).price


@pytest.mark.parametrize("name", [entry.name for entry in strategies])
def test_every_strategy_loads_with_its_defaults(name):
    assert load(name).sampling == SAMPLING


@pytest.mark.parametrize("name", [entry.name for entry in strategies])
def test_every_strategy_follows_its_run_seed(name):
    class Heard(Worth):
        def _one(self, item):
            return replace(super()._one(item), details={"transcript": "x"})

    def said(seed: int) -> list[list[float]]:
        strategy = load_strategy(name, sampling=SAMPLING, run_seed=seed)
        (result,) = strategy.search([Request(id="r", text="x")], Planted(), Heard(), Budget(candidates=4))
        return [candidate.tokens.tolist() for candidate in result.candidates]

    assert said(0) == said(0)
    assert said(0)[0] != said(1)[0]


def test_every_mistake_is_named_at_once():
    with pytest.raises(ConfigError) as error:
        load("beam:stepp=1,expand=many,keep,until=1,until=2,run_seed=4")
    stepp, expand, keep, until, seed = error.value.problems
    assert "Did you mean 'step'?" in stepp
    assert "a whole number" in expand
    assert "not KEY=VALUE" in keep
    assert "more than once" in until
    assert "Unknown option 'run_seed'" in seed
    with pytest.raises(UnknownNameError, match="'beam'"):
        load("beem")


def test_only_strategies_that_guide_take_a_verifier_for_the_end():
    judge = Worth()
    assert load("smc", then=judge).then is judge
    with pytest.raises(ConfigError, match="drop --then"):
        load("best-of-n", then=judge)


@pytest.mark.parametrize(
    "limits", [{"candidates": 0}, {"tokens": 0.5}, {"flops": 0.0}, {"seconds": -1.0}, {"seconds": math.nan}]
)
def test_a_budget_for_nothing_is_refused(limits):
    (name,) = limits
    with pytest.raises(ConfigError, match=rf"{name} is .*; expected"):
        Budget(**{"candidates": 1, **limits})
    assert Budget(candidates=1, tokens=1, flops=1e-9, seconds=0.1).is_limited


def test_budgets_are_read_as_written():
    assert parse_budget("4e5-tokens", 8) == Budget(candidates=8, tokens=4e5)
    assert parse_budget("30-seconds", 8) == Budget(candidates=8, seconds=30.0)
    assert parse_budget("2e-1-flops", 8).flops == 0.2
    assert not parse_budget("", 8).is_limited
    assert parse_budget("", 8).tokens == math.inf
    for wrong in ("4e5", "tokens", "0.5-tokens", "-3-tokens", "4-apples", "inf-flops", "nan-flops"):
        with pytest.raises(ConfigError, match="NUMBER-UNIT"):
            parse_budget(wrong, 8)
