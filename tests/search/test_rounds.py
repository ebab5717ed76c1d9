import math
from dataclasses import replace

import numpy as np
import pytest
from planted import SAMPLING, Planted, Worth, single

from search.adaptive import AdaptiveBestOfN, expected_gain
from search.best_of_n import BestOfN
from search.budget import Budget
from search.outcome import OutcomeVerifier
from search.particles import ParticleSearch
from search.rejection import Rejection
from search.rule_text import parse_rule
from tts_eval.errors import ConfigError
from tts_eval.scales import Scale
from tts_eval.synthesizers.failed import failed_candidate
from tts_eval.types import FailureKind, Request

REQUESTS = [Request(id=f"r{i}", text="one two three") for i in range(4)]


def hunt(strategy, n=16, requests=REQUESTS, synthesizer=None, verifier=None, **limits):
    budget = Budget(candidates=n, **limits)
    return list(strategy.search(requests, synthesizer or Planted(), verifier or Worth(), budget))


def worths(request_id: str, n: int) -> list[float]:
    return [float(single(request_id, index).mean()) for index in range(n)]


def test_best_of_n_is_brute_force_in_one_call():
    synthesizer, verifier = Planted(), Worth()
    for result in hunt(BestOfN(sampling=SAMPLING), synthesizer=synthesizer, verifier=verifier):
        assert result.ranks.index(0) == int(np.argmax(worths(result.request.id, 16)))
    assert len(synthesizer.begun) == len(verifier.heard) == 1


def test_rejection_stops_at_the_first_that_passes():
    for result in hunt(Rejection(sampling=SAMPLING, threshold=0.55)):
        passing = [index for index, worth in enumerate(worths(result.request.id, 16)) if worth >= 0.55]
        assert len(result.candidates) == (passing[0] + 1 if passing else 16)
        assert result.ranks.index(0) == int(np.argmax(worths(result.request.id, len(result.candidates))))
    assert all(len(r.candidates) == 16 for r in hunt(Rejection(sampling=SAMPLING, threshold=2.0)))


def test_rounds_serve_all_requests_that_are_still_open():
    synthesizer, verifier = Planted(), Worth()
    results = hunt(Rejection(sampling=SAMPLING, threshold=0.55, batch=4), synthesizer=synthesizer, verifier=verifier)
    assert len(synthesizer.begun) == len(verifier.heard) == max(len(r.candidates) for r in results) / 4
    assert sum(synthesizer.begun) == sum(len(r.candidates) for r in results)
    assert all(r.cost.judgements == len(r.candidates) for r in results)
    assert sum(r.cost.verifier_seconds for r in results) == 0.25 * sum(len(items) for items in verifier.heard)


@pytest.mark.parametrize("strategy", [BestOfN(sampling=SAMPLING), Rejection(sampling=SAMPLING, threshold=9.0)])
def test_requests_share_rounds_where_a_budget_decides(strategy):
    """Of 64 candidates 50 tokens pay for four of 12; with so little left, rounds give each request one."""
    synthesizer = Planted()
    results = hunt(strategy, synthesizer=synthesizer, n=64, tokens=50)
    assert len(results) > 1 and all(len(result.candidates) == 4 for result in results)
    assert synthesizer.begun == [len(results)] * 4


@pytest.mark.parametrize("strategy", [BestOfN(sampling=SAMPLING), Rejection(sampling=SAMPLING, threshold=9.0)])
def test_no_more_than_one_candidate_goes_over_a_budget(strategy):
    """The first says 10 tokens, all others ramble to 300, where they are cut."""
    rambling = [Request(id="r", text="x", metadata={"length": "10,300"})]
    for limit, candidates in ((100, 2), (620, 3), (3000, 11)):
        (result,) = hunt(strategy, n=64, tokens=limit, requests=rambling)
        assert len(result.candidates) == candidates
        assert result.cost.tokens - 300 < limit


def test_candidates_that_fit_however_long_they_get_are_made_together():
    """12 tokens are 1.2 s, where they would be cut; the first tells the price, the others share a round."""
    synthesizer, short = Planted(), BestOfN(sampling=replace(SAMPLING, max_seconds=1.2))
    (result,) = hunt(short, n=64, tokens=240, synthesizer=synthesizer, requests=[Request(id="r", text="x")])
    assert len(result.candidates) == 20
    assert synthesizer.begun == [1, 19]


def test_the_expected_gain_is_that_of_the_normal_distribution():
    scores = [0.1, 0.4, 0.35, 0.2]
    spread = np.std(scores, ddof=1) * math.sqrt(5 / 4)
    drawn = np.random.default_rng(0).normal(np.mean(scores), spread, 400_000)
    simulated = np.maximum(drawn - max(scores), 0).mean()
    assert expected_gain(scores) == pytest.approx(simulated, rel=0.02)
    assert expected_gain([*scores, None, None, None, None]) == pytest.approx(simulated / 2, rel=0.02)
    assert expected_gain([0.3, 0.3, 0.3]) == 0.0
    assert expected_gain([0.3, None]) == math.inf


def test_adaptive_stops_where_scores_agree_and_goes_on_where_they_do_not():
    flat = hunt(AdaptiveBestOfN(sampling=SAMPLING, start=3), verifier=Worth(flat=True))
    assert [len(r.candidates) for r in flat] == [3] * 4
    greedy = hunt(AdaptiveBestOfN(sampling=SAMPLING, price=0.0))
    assert [len(r.candidates) for r in greedy] == [16] * 4
    dear, cheap = (hunt(AdaptiveBestOfN(sampling=SAMPLING, price=price), n=64) for price in (0.02, 0.002))
    assert sum(len(r.candidates) for r in dear) < sum(len(r.candidates) for r in cheap) < 4 * 64
    for result in cheap:
        scores = worths(result.request.id, 64)
        stop = next(k for k in range(4, 65) if expected_gain(scores[:k]) <= 0.002)
        assert len(result.candidates) == stop
        assert result.ranks.index(0) == int(np.argmax(scores[:stop]))
    batches = hunt(AdaptiveBestOfN(sampling=SAMPLING, price=0.0, batch=5), synthesizer=(synthesizer := Planted()))
    assert synthesizer.begun == [4 * 4, 4 * 5, 4 * 5, 4 * 2]
    assert [len(r.candidates) for r in batches] == [16] * 4


@pytest.mark.parametrize(
    "strategy", [BestOfN(sampling=SAMPLING), Rejection(sampling=SAMPLING, threshold=9.0),
                 AdaptiveBestOfN(sampling=SAMPLING, price=0.0)],
)  # fmt: skip
@pytest.mark.parametrize("limit", [5, 24, 50, 119])
def test_budgets_are_met_to_the_nearest_candidate(strategy, limit):
    """Candidates of 12 tokens: one at least, then as many as come nearest to the limit."""
    for result in hunt(strategy, n=64, tokens=limit):
        assert len(result.candidates) == max(1, round(limit / 12))
        assert result.cost.tokens == 12 * len(result.candidates)


class Stumbling(Planted):
    """Fails the first candidates of every request, before they cost anything."""

    def __init__(self, failures: int) -> None:
        super().__init__()
        self.failures = failures

    def generate(self, jobs):
        made = iter(super().generate([job for job in jobs if job.index >= self.failures]))
        return [
            next(made) if job.index >= self.failures else failed_candidate(job, FailureKind.SYNTHESIS, "stumbled")
            for job in jobs
        ]


@pytest.mark.parametrize("failures", [1, 3, 64])
def test_candidates_that_fail_for_free_do_not_end_a_budget(failures):
    """Under 50 tokens four candidates of 12 are paid for, beside those that cost nothing."""
    for result in hunt(BestOfN(sampling=SAMPLING), n=64, synthesizer=Stumbling(failures), tokens=50):
        assert len(result.candidates) == min(64, failures + 4)
        assert result.cost.tokens == (48 if failures < 64 else 0)


def test_a_budget_in_seconds_counts_the_verifier():
    (result,) = hunt(BestOfN(sampling=SAMPLING), 64, REQUESTS[:1], seconds=10.0)
    assert 7.0 <= result.cost.generator_seconds + result.cost.verifier_seconds <= 13.0
    assert len(result.candidates) < 64


def test_a_budget_in_what_nobody_counts_is_refused():
    with pytest.raises(ConfigError, match="counts no FLOPs"):
        hunt(BestOfN(sampling=SAMPLING), flops=1e9)


@pytest.mark.parametrize(
    ("kind", "options"), [(Rejection, {"batch": 0}), (Rejection, {"threshold": math.nan}),
                          (AdaptiveBestOfN, {"price": -1.0}), (AdaptiveBestOfN, {"start": 1})],
)  # fmt: skip
def test_options_out_of_range_are_refused(kind, options):
    with pytest.raises(ConfigError, match=next(iter(options))):
        kind(sampling=SAMPLING, **options)


RELATIVE = ("z(worth)", "worth + worth", "rank(worth)", "lex(worth, worth)", "cascade(2 of worth, worth)")


@pytest.mark.parametrize("rule", RELATIVE)
@pytest.mark.parametrize(
    ("name", "strategy"),
    [("rejection", Rejection(sampling=SAMPLING)), ("adaptive", AdaptiveBestOfN(sampling=SAMPLING)),
     ("smc", ParticleSearch(sampling=SAMPLING))],
)  # fmt: skip
def test_strategies_that_reckon_with_scores_refuse_places_among_siblings(rule, name, strategy):
    verifier, synthesizer = OutcomeVerifier(parse_rule(rule), {"worth": Worth()}), Planted()
    with pytest.raises(ConfigError, match=rf"'{name}'.*asr:tiny.en#wer.*z\(\.\.\., FILE\)"):
        hunt(strategy, synthesizer=synthesizer, verifier=verifier)
    assert synthesizer.begun == []


def test_strategies_that_reckon_with_scores_take_one_metric_and_stored_scales():
    scales = {"worth#worth": Scale(judge="worth", protocol="", mean=0.5, deviation=0.1, n=9)}
    for rule in ("worth", "2*worth", "z(worth, scales.json)"):
        bound = parse_rule(rule).with_scales({"scales.json": scales})
        verifier = OutcomeVerifier(bound, {"worth": Worth()})
        for strategy in (
            Rejection(sampling=SAMPLING),
            AdaptiveBestOfN(sampling=SAMPLING),
            ParticleSearch(sampling=SAMPLING),
        ):
            assert len(hunt(strategy, 4, verifier=verifier)) == 4
