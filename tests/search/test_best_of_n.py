from collections.abc import Sequence

import pytest

from search.best_of_n import BestOfN
from search.budget import Budget
from search.outcome import OutcomeVerifier
from search.rounds import CANDIDATES_AT_ONCE
from search.rule_text import parse_rule
from tts_eval.errors import ConfigError
from tts_eval.synthesizers.fake import FakeSynthesizer
from tts_eval.types import FinishReason, Item, Request, Sampling
from verifiers.fake import FakeVerifier

REQUESTS = [Request(id=f"r{i}", text="one two three four") for i in range(5)]


def outcome(rule: str = "fake") -> OutcomeVerifier:
    return OutcomeVerifier(parse_rule(rule), {"fake": FakeVerifier(), "fake:1": FakeVerifier(1.0)})


def search(requests: Sequence[Request] = REQUESTS, n: int = 6, seed: int = 0, rule: str = "fake", **sampling: float):
    strategy = BestOfN(sampling=Sampling(**sampling), run_seed=seed)  # type: ignore[arg-type]
    return list(strategy.search(requests, FakeSynthesizer(), outcome(rule), Budget(candidates=n)))


def test_the_best_of_the_pool_is_chosen():
    for result in search():
        strays = [
            score.value
            for score in FakeVerifier().score([Item(request=result.request, candidate=c) for c in result.candidates])
        ]
        assert FakeVerifier().score([Item(request=result.request, candidate=result.chosen)])[0].value == min(strays)
        assert len(result.candidates) == 6
        assert [c.index for c in result.candidates] == list(range(6))


def test_results_do_not_depend_on_order_or_company():
    together = {r.request.id: (r.chosen.seed, [c.clip.sha256 for c in r.candidates]) for r in search()}
    alone = {
        r.request.id: (r.chosen.seed, [c.clip.sha256 for c in r.candidates])
        for request in reversed(REQUESTS)
        for r in search([request])
    }
    assert together == alone


def test_a_smaller_n_is_the_beginning_of_a_larger_one():
    small, large = search(n=3), search(n=9)
    for a, b in zip(small, large, strict=True):
        assert [c.clip.sha256 for c in a.candidates] == [c.clip.sha256 for c in b.candidates[:3]]


@pytest.mark.parametrize("change", [{"seed": 1}, {"temperature": 0.3}, {"max_seconds": 0.2}])
def test_every_setting_reaches_the_synthesizer(change):
    before, after = search(), search(**change)
    assert all(a.candidates[0].clip.sha256 != b.candidates[0].clip.sha256 for a, b in zip(before, after, strict=True))


def test_one_call_per_chunk_serves_many_requests():
    class Counting(FakeSynthesizer):
        calls = 0

        def generate(self, jobs):
            self.calls += 1
            assert len(jobs) <= CANDIDATES_AT_ONCE
            return super().generate(jobs)

    many = [Request(id=f"r{i}", text="one") for i in range(32)]
    synthesizer = Counting()
    list(BestOfN(sampling=Sampling()).search(many, synthesizer, outcome(), Budget(candidates=8)))
    assert synthesizer.calls == 4


def test_a_pool_larger_than_a_chunk_stays_whole():
    (result,) = search(REQUESTS[:1], n=CANDIDATES_AT_ONCE + 1)
    assert len(result.candidates) == CANDIDATES_AT_ONCE + 1


def test_a_silent_candidate_is_never_chosen_over_speech_and_a_failed_request_still_gives_a_result():
    silent = Request(id="s", text="one two", metadata={"fake": "silent"})
    good, bad = search([REQUESTS[0], silent])
    assert good.scores[good.ranks.index(0)].failure is None
    assert all(score.failure for score in bad.scores)
    assert bad.chosen.finish is FinishReason.EOS


def test_cost_adds_generator_and_verifiers():
    (result,) = search(REQUESTS[:1])
    assert result.cost.audio_seconds == pytest.approx(6 * 0.4)
    assert result.cost.generator_seconds == pytest.approx(6 * 0.001)
    assert result.cost.verifier_seconds == sum(score.seconds for score in result.scores) > 0


def test_pools_of_one_call_are_ranked_apart():
    """z-scores are taken within a request: its scores are the same whoever is judged beside it."""
    rule = "fake + 0.5*fake:1"
    together = search(rule=rule)
    alone = [search([request], rule=rule)[0] for request in REQUESTS]
    assert [[s.value for s in r.scores] for r in together] == [[s.value for s in r.scores] for r in alone]


def test_an_unknown_metric_is_refused_before_anything_is_made():
    with pytest.raises(ConfigError, match="no metric 'nope'"):
        outcome("fake#nope")
