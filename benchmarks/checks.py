"""What is wrong with a config, as far as that can be said before a model is loaded or a folder made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from benchmarks.suite import suites
from search.budget import UNITS, parse_budget
from search.rule_text import load_rule, parse_rule
from search.selection import Rule
from search.strategy import check_rule, guides, load_strategy, require_then, strategies
from tts_eval.config import RunConfig, sampling_of
from tts_eval.declared import declared, declared_gifts
from tts_eval.errors import ConfigError, UnknownNameError
from tts_eval.registry import Registry, parse_spec
from tts_eval.synthesizers import synthesizers, tokens_per_second
from tts_eval.types import Request
from verifiers import verifiers

FASTEST_SPEECH = 30.0
"""Characters a second that nobody exceeds. This and the next two say what a sample costs at the least."""
FEWEST_FLOPS = 1e6
"""Per token: no speech model has less than half a million weights."""
LEAST_SECONDS = 1e-4
"""Of work per second of speech: nothing is 10,000 times as fast as speech."""
GIVERS = {"transcript": "asr:tiny.en", "embedding": "speaker"}
"""What a search may compare candidates by, with a verifier that gives it."""


def check_config(config: RunConfig) -> None:
    """That every name is known, options are right and the parts go together.

    Raises:
        ConfigError: all that is not so; names first, as the rest depends on them.
    """
    rules = [parse_rule(text) for text in (config.verifier, *filter(None, [config.then]))]
    named: list[tuple[Registry[Any], str]] = [
        (suites, config.suite),
        (synthesizers, config.synth),
        (strategies, config.strategy),
        *((verifiers, spec) for spec in [*(spec for rule in rules for spec in rule.verifiers), *config.judge]),
    ]
    problems = []
    for registry, spec in named:
        try:
            registry.require(parse_spec(spec).name)
        except UnknownNameError as error:
            problems.append(str(error))
    if problems:
        raise ConfigError(list(dict.fromkeys(problems)))
    checks: list[Callable[[], object]] = [
        lambda: parse_budget(config.budget, config.n),
        lambda: load_strategy(config.strategy, sampling=sampling_of(config), run_seed=config.seed),
        lambda: check_rule(config.strategy, rules[0]),
        lambda: require_then(config.strategy) if config.then else None,
        lambda: _check_steps(config, rules[0]),
        lambda: _check_compared(config, rules[0]),
        *(partial(load_rule, rule.text) for rule in rules),
    ]
    for check in checks:
        try:
            check()
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(list(dict.fromkeys(problems)))


def check_budget(config: RunConfig, requests: Sequence[Request]) -> None:
    """That the budget is in something that the synthesizer counts, and pays for a sample of every request.

    Of FLOPs and seconds, which depend on the model and the machine, only what no model can do with is refused.

    Raises:
        ConfigError: it is not, or does not however fast the synthesizer speaks.
    """
    budget = parse_budget(config.budget, config.n)
    if not budget.is_limited or not requests:
        return
    limits = {unit: getattr(budget, unit) for unit in UNITS}
    unit = min(limits, key=limits.__getitem__)
    rate = tokens_per_second(config.synth)
    if rate == 0 and unit != "seconds":
        raise ConfigError([f"budget is '{config.budget}', and {config.synth} counts no {unit}. Give NUMBER-seconds."])
    longest = max(requests, key=lambda request: len(request.text))
    seconds = min(len(longest.text) / FASTEST_SPEECH, config.max_seconds)
    tokens = seconds * (rate or 0.0)  # nothing, where nothing is known
    least = {"tokens": tokens, "flops": tokens * FEWEST_FLOPS, "seconds": seconds * LEAST_SECONDS}[unit]
    if least > limits[unit]:
        enough = (
            f"{2 * least:.0f}-tokens or more" if unit == "tokens" else "more: a run without --budget reports the cost"
        )
        raise ConfigError(
            [
                f"budget is '{config.budget}', which does not pay for one sample of '{longest.id}' "
                f"({len(longest.text)} characters): spoken very fast it takes {least:,.3g} {unit} with "
                f"{config.synth} at the least. Give {enough}."
            ]
        )


def _check_steps(config: RunConfig, rule: Rule) -> None:
    """That a search that judges on the way has a synthesizer with steps, and verifiers of unfinished speech."""
    if not guides(config.strategy):
        return
    name, synth = parse_spec(config.strategy).name, parse_spec(config.synth).name
    problems = []
    if declared(synthesizers.load(synth), "begin") is False:
        problems.append(
            f"Strategy '{name}' judges while the synthesizer speaks, and '{synth}' does not work step by step. "
            f"Let it speak phrase by phrase (--synth phrases:{config.synth}), use an autoregressive one (llasa), or a "
            "strategy for finished candidates (best-of-n)."
        )
    deaf = [
        spec for spec in rule.verifiers if declared(verifiers.load(parse_spec(spec).name), "supports_partial") is False
    ]
    problems += [
        f"Strategy '{name}' is guided by '{spec}', which cannot judge unfinished speech. Guide with one that can "
        "(asr, speaker, quality), and let this one choose among the finished: --then."
        for spec in deaf
    ]
    if problems:
        raise ConfigError(problems)


def _check_compared(config: RunConfig, rule: Rule) -> None:
    """That a search that compares candidates with each other has a verifier that gives what they are compared by."""
    strategy = load_strategy(config.strategy, sampling=sampling_of(config), run_seed=config.seed)
    compared = getattr(strategy, "compares", "")
    if compared not in GIVERS:
        return
    gifts = [declared_gifts(verifiers.load(parse_spec(spec).name)) for spec in rule.verifiers]
    if any(gift is None or compared in gift for gift in gifts):
        return
    raise ConfigError(
        [
            f"Strategy '{config.strategy}' compares candidates by {compared}, and '{rule.text}' has no verifier that "
            f"gives one. Use one that does, e.g. --verifier {GIVERS[compared]}."
        ]
    )
