"""What guided searches spend, and what goes wrong on the way."""

from dataclasses import replace

import pytest
from hunting import REQUESTS, FirstEndsEarly, beam, beam_by_hand, hunt, tokens
from planted import SAMPLING, STEP, Planted, Worth

from search.beam import BeamSearch
from search.budget import Budget
from search.dvts import DiverseTrees
from search.early_rejection import EarlyRejection
from search.outcome import OutcomeVerifier
from search.partial_prm import PartialPrm
from search.particles import ParticleSearch
from search.rule_text import parse_rule
from tts_eval.errors import ConfigError, StoreError, SynthesisError, WeightsError
from tts_eval.types import Failure, FailureKind, FinishReason, Request


@pytest.mark.parametrize(
    "strategy",
    [
        beam(expand=3, keep="4"), beam(PartialPrm, expand=3, keep="2-4", until=6 * STEP),
        beam(DiverseTrees, trees=2, expand=3), beam(ParticleSearch, particles=6),
        beam(expand=2, keep="2", lookahead=0.2), EarlyRejection(sampling=SAMPLING, after=3 * STEP),
    ],
)  # fmt: skip
def test_costs_are_all_that_was_spent(strategy):
    synthesizer, verifier = Planted(flops=7.0), Worth()
    requests = [*REQUESTS, Request(id="short", text="x", metadata={"length": "5"})]
    results = hunt(strategy, requests, synthesizer, verifier, Budget(candidates=6))
    spent = sum(generation.spent.tokens for generation in synthesizer.generations)
    heard = sum(len(items) for items in verifier.heard)
    assert sum(r.cost.tokens for r in results) == spent
    assert sum(r.cost.flops for r in results) == pytest.approx(7.0 * spent)
    assert sum(r.cost.generator_seconds for r in results) == pytest.approx(spent / 1000)
    assert sum(r.cost.judgements for r in results) == heard
    assert sum(r.cost.verifier_seconds for r in results) == pytest.approx(0.25 * heard)


@pytest.mark.parametrize("limit", [20, 40, 90, 150, 400])
@pytest.mark.parametrize("strategy", [beam(expand=4, keep="4"), beam(ParticleSearch, particles=9),
                                      beam(PartialPrm, expand=4, keep="4", until=6 * STEP)])  # fmt: skip
def test_budgets_hold_and_are_used(strategy, limit):
    """At most a step of what was alive above the limit, and everybody is heard to the end where that is affordable."""
    for result in hunt(strategy, budget=Budget(candidates=1, tokens=limit)):
        free = hunt(strategy, [result.request])[0].cost.tokens
        assert result.cost.tokens <= limit + 3
        assert result.cost.tokens >= min(limit, free) * 0.5
        assert len(result.chosen.tokens) == 12


@pytest.mark.parametrize("limit", [40, 90])
@pytest.mark.parametrize("keep", ["4", "16"])
def test_a_budget_in_flops_lets_no_more_begin_than_it_pays_for(limit, keep):
    """At 10 FLOPs a token: as in tokens, once two tokens of one row have told the price."""
    synthesizer = Planted(flops=10.0)
    (result,) = hunt(
        beam(expand=4, keep=keep), REQUESTS[:1], synthesizer, budget=Budget(candidates=1, flops=10.0 * limit)
    )
    assert 0.5 * limit <= result.cost.tokens <= limit + 3
    assert result.cost.tokens == sum(generation.spent.tokens for generation in synthesizer.generations)
    assert len(result.chosen.tokens) == 12


def test_looking_ahead_is_reserved_for_like_all_else():
    """A decision costs a beam 3 tokens and 30 more to look ahead: 60 tokens cost 20 times that, less at the end."""
    search, text = beam(expand=4, keep="4", lookahead=30 * STEP), Request(id="r", text="x" * 60)
    (result,) = hunt(search, [text], Planted(60), budget=Budget(candidates=1, tokens=700))
    assert result.cost.tokens <= 700 + 33
    assert len(result.chosen.tokens) == 60


def test_a_budget_below_one_sample_cuts_it_and_says_so():
    (result,) = hunt(beam(expand=4, keep="4"), REQUESTS[:1], budget=Budget(candidates=1, tokens=6))
    assert result.cost.tokens == 6
    assert result.chosen.finish is FinishReason.LENGTH


@pytest.mark.parametrize("limit", [16, 17, 20])
def test_a_beam_that_failed_does_not_win_because_it_ended_within_the_budget(limit):
    """After two steps of three beams 16 tokens are gone, one beam has ended, and two more steps cost 6."""

    class NothingShort(Worth):
        def _one(self, item):
            score = super()._one(item)
            failure = Failure(FailureKind.SILENT, "nothing") if len(item.candidate.tokens) == 4 else None
            return replace(score, value=None, failure=failure) if failure else score

    short = Request(id="r0", text="x")
    (result,) = hunt(
        beam(expand=1, keep="3"), [short], FirstEndsEarly(), NothingShort(), Budget(candidates=1, tokens=limit)
    )
    assert len(result.chosen.tokens) > 4
    assert 16 <= result.cost.tokens <= limit + 3


@pytest.mark.parametrize("then", [None, Worth(flat=True)])
@pytest.mark.parametrize("limit", range(15, 25))
def test_nor_does_one_that_ended_after_the_guided_part(limit, then):
    """After one guided step of three beams, one ends with 4 tokens and is silent; the others say 12."""

    class NothingShort(Worth):
        def _one(self, item):
            score = super()._one(item)
            failure = Failure(FailureKind.SILENT, "nothing") if len(item.candidate.tokens) == 4 else None
            return replace(score, value=None, failure=failure) if failure else score

    search = beam(PartialPrm, expand=1, keep="3", until=3 * STEP)
    short, judges = Request(id="r0", text="x"), (NothingShort(), then and NothingShort(flat=True))
    synthesizer, budget = FirstEndsEarly(), Budget(candidates=1, tokens=limit)
    (result,) = hunt(replace(search, then=judges[1]), [short], synthesizer, judges[0], budget)
    assert len(result.chosen.tokens) > 4
    assert result.scores[result.ranks.index(0)].value is not None
    heard = sum(len(items) for judge in judges if judge for items in judge.heard)
    assert result.cost.judgements == heard, "nobody was asked twice about a finished clip"


@pytest.mark.parametrize("rule", ["worth", "z(worth)"])
def test_a_finished_beam_is_one_judgement_however_often_it_is_compared(rule):
    """Of three beams one ends after 4 of 12 tokens: 3 + 3 + 2 + 2 clips, and 3 more for another verifier."""
    for then, count in ((None, 10), (Worth(lower_is_better=True), 13)):
        verifier = OutcomeVerifier(parse_rule(rule), {"worth": Worth()})
        (result,) = hunt(beam(expand=1, keep="3", then=then), REQUESTS[:1], FirstEndsEarly(), verifier)
        assert result.cost.judgements == count
    heard = [len(items) for items in verifier._verifiers["worth"].heard]
    assert heard == ([3, 3, 2, 2] if rule == "worth" else [3, 3, 3, 3])
    assert result.cost.verifier_seconds == 0.25 * (sum(heard) + 3)


def test_what_a_cascade_spares_on_the_way_is_counted():
    """Of three unfinished beams the dear verifier hears the better two, four times."""
    cheap, dear = Worth(), Worth()
    guide = OutcomeVerifier(parse_rule("cascade(2 of cheap, dear)"), {"cheap": cheap, "dear": dear})
    (result,) = hunt(beam(expand=1, keep="3"), REQUESTS[:1], verifier=guide)
    assert [len(items) for items in dear.heard] == [2] * 4
    assert (result.cost.spared_calls, result.cost.spared_seconds) == (4, 4 * 0.25)


def test_budgets_in_flops_and_seconds_hold_too():
    for budget in (Budget(candidates=1, flops=700.0), Budget(candidates=1, seconds=30.0)):
        (result,) = hunt(beam(expand=4, keep="4"), REQUESTS[:1], Planted(flops=10.0), budget=budget)
        assert 0.5 <= budget.share(result.cost) <= 1.6
        assert len(result.chosen.tokens) == 12
    with pytest.raises(ConfigError, match="counts no FLOPs"):
        hunt(beam(), REQUESTS[:1], Planted(), budget=Budget(candidates=1, flops=9.0))


@pytest.mark.parametrize(("fate", "message"), [("raise", "asked to fail"), ("break", "asked to break off")])
def test_a_request_that_the_synthesizer_cannot_say_fails_alone(fate, message):
    bad = Request(id="bad", text="x", metadata={"planted": fate})
    synthesizer, verifier = Planted(), Worth()
    results = hunt(beam(expand=2, keep="2"), [REQUESTS[0], bad, *REQUESTS[1:]], synthesizer, verifier)
    assert [r.request.id for r in results] == ["r0", "bad", "r1", "r2"]
    assert results[1].chosen.finish is FinishReason.FAILED
    assert "bad" in results[1].chosen.failure.message
    assert message in results[1].chosen.failure.message
    assert tokens(results[2]) == beam_by_hand("r1", 2, 2, 3, 12).tolist()
    assert sum(r.cost.tokens for r in results) == sum(generation.spent.tokens for generation in synthesizer.generations)
    assert sum(r.cost.judgements for r in results) == sum(map(len, verifier.heard))
    assert [r.cost.retries for r in results] == [2, 2, 1, 1]


@pytest.mark.parametrize("error", [ConfigError(["chunk=off"]), WeightsError("gone"), StoreError("full")])
@pytest.mark.parametrize("place", ["begin", "score"])
def test_what_is_wrong_with_the_run_is_no_failure_of_a_request(monkeypatch, error, place):
    def refuse(*_):
        raise error

    monkeypatch.setattr({"begin": Planted, "score": Worth}[place], place, refuse)
    with pytest.raises(type(error), match=str(error)):
        hunt(beam(expand=2, keep="2"))


def test_a_synthesis_error_is_a_failure_of_its_request():
    class Refuses(Planted):
        def begin(self, jobs):
            raise SynthesisError("too long")

    assert ["too long" in r.chosen.failure.message for r in hunt(beam(), synthesizer=Refuses())] == [True] * 3


def test_a_synthesizer_without_steps_and_a_verifier_of_whole_clips_are_refused_together():
    class Whole:
        name = "whole"

    verifier = Worth()
    verifier.supports_partial = False
    with pytest.raises(ConfigError) as error:
        hunt(beam(), synthesizer=Whole(), verifier=verifier)
    assert "best-of-n" in error.value.problems[0]
    assert "--then" in error.value.problems[1]


@pytest.mark.parametrize(
    ("kind", "options"),
    [(BeamSearch, {"keep": "0"}), (BeamSearch, {"keep": "a"}), (BeamSearch, {"step": 0}), (BeamSearch, {"expand": 0}),
     (DiverseTrees, {"trees": 0}), (ParticleSearch, {"tau": 0}), (ParticleSearch, {"until": -1}),
     (EarlyRejection, {"share": 1.5})],
)  # fmt: skip
def test_options_out_of_range_are_refused(kind, options):
    with pytest.raises(ConfigError, match=next(iter(options))):
        kind(sampling=SAMPLING, **options)
