from dataclasses import replace

import numpy as np
import pytest
from hunting import REQUESTS, FirstEndsEarly, beam, beam_by_hand, hunt, tokens
from planted import SAMPLING, STEP, Planted, Worth, single

from search.beam import BeamSearch
from search.beams import Beam
from search.budget import Budget
from search.dvts import DiverseTrees
from search.early_rejection import EarlyRejection
from search.partial_prm import PartialPrm
from search.particles import ParticleSearch, resample
from tts_eval.types import Candidate, Failure, FailureKind, FinishReason, Request, Score
from verifiers.speaker import PARTIAL_SECONDS


@pytest.mark.parametrize(("expand", "keep"), [(4, 1), (3, 2), (1, 5), (2, 4)])
def test_beam_search_finds_what_it_finds_by_hand(expand, keep):
    for result in hunt(beam(expand=expand, keep=str(keep))):
        assert tokens(result) == beam_by_hand(result.request.id, expand, keep, 3, 12).tolist()


def test_guided_for_a_while_then_free():
    results = hunt(beam(PartialPrm, expand=3, keep="2", until=6 * STEP))
    for result in results:
        assert tokens(result) == beam_by_hand(result.request.id, 3, 2, 3, 12, guided=2).tolist()
    assert [tokens(r) for r in results] != [tokens(r) for r in hunt(beam(expand=3, keep="2"))]


def test_the_papers_numbers_are_the_defaults():
    search = PartialPrm(sampling=SAMPLING)
    assert (search.step, search.expand, search.keep, search.until) == (0.5, 16, "16", 2.0)
    assert BeamSearch(sampling=SAMPLING).until == 0


def test_one_beam_with_one_expansion_is_a_single_sample():
    for result in hunt(beam(expand=1, keep="1")):
        assert tokens(result) == single(result.request.id).tolist()


@pytest.mark.parametrize(
    "strategy", [beam(expand=4, keep="5"), beam(ParticleSearch, particles=5), beam(DiverseTrees, trees=5, expand=4)]
)
def test_without_a_signal_every_search_is_free_sampling_seed_for_seed(strategy):
    requests = [Request(id="a", text="x"), Request(id="b", text="x", metadata={"length": "7"})]
    for result, length in zip(hunt(strategy, requests, verifier=Worth(flat=True)), (12, 7), strict=True):
        assert [c.tokens.tolist() for c in result.candidates] == [
            single(result.request.id, index, length).tolist() for index in range(5)
        ]
        assert tokens(result) == single(result.request.id, 0, length).tolist()


def test_one_tree_is_beam_search_that_keeps_one():
    trees = hunt(beam(DiverseTrees, trees=1, expand=4))
    assert [tokens(r) for r in trees] == [tokens(r) for r in hunt(beam(expand=4, keep="1"))]


def test_trees_do_not_compete():
    """Every tree has its descendant in the pool, and it is the one that the tree alone would have found."""
    (result,) = hunt(beam(DiverseTrees, trees=3, expand=2), REQUESTS[:1])
    assert len(result.candidates) == 3
    starts = [single("r0", index)[:3] for index in range(6)]
    for tree in range(3):
        best = max((starts[tree], starts[tree + 3]), key=np.mean)
        assert any(np.array_equal(c.tokens[:3], best) for c in result.candidates)


def test_calls_grow_with_steps_not_with_beams_or_requests():
    for requests, keep in ((REQUESTS[:1], "1"), (REQUESTS, "4")):
        synthesizer, verifier = Planted(), Worth()
        hunt(beam(expand=4, keep=keep), requests, synthesizer, verifier)
        (generation,) = synthesizer.generations
        assert len(generation.advances) == len(verifier.heard) == 4
        assert synthesizer.begun == [len(requests) * 4 * int(keep)]


@pytest.mark.parametrize(("most", "begun"), [(256, [24]), (20, [16, 8]), (8, [8, 8, 8]), (1, [8, 8, 8])])
def test_requests_share_a_generation_as_far_as_the_synthesizer_has_rows(most, begun):
    synthesizer = Planted()
    synthesizer.most_rows = most
    found = hunt(beam(expand=4, keep="2"), synthesizer=synthesizer)
    assert synthesizer.begun == begun
    assert [tokens(r) for r in found] == [tokens(r) for r in hunt(beam(expand=4, keep="2"))]


def test_dropped_rows_leave_at_once():
    synthesizer = Planted()
    hunt(beam(PartialPrm, expand=8, keep="2", until=3 * STEP), synthesizer=synthesizer)
    (generation,) = synthesizer.generations
    assert generation.rows == [3 * 16, 3 * 2]
    assert generation.advances == [3 * 16, 3 * 2]


def test_company_order_and_repetition_change_nothing():
    strategy = beam(ParticleSearch, particles=6, tau=0.05)
    requests = [Request(id=f"r{i}", text="x", metadata={"length": str(5 + 4 * i)}) for i in range(4)]
    together = {r.request.id: [c.tokens.tolist() for c in r.candidates] for r in hunt(strategy, requests)}
    alone = {
        r.request.id: [c.tokens.tolist() for c in r.candidates]
        for request in reversed(requests)
        for r in hunt(strategy, [request])
    }
    assert together == alone
    other = beam(ParticleSearch, particles=6, tau=0.05, run_seed=1)
    assert [c.tokens.tolist() for c in hunt(other, requests[:1])[0].candidates] != together["r0"]


def test_undecided_beams_are_not_dropped_for_it():
    """r0's first beam is undecided while it is guided; of r1 all are: then every beam that was begun goes on."""

    class Shy(Worth):
        def _one(self, item):
            self.undecided = item.candidate.index == 0 or item.request.id == "r1"
            return super()._one(item)

    undecided, shy = hunt(beam(expand=2, keep="3", until=9 * STEP), REQUESTS[:2], verifier=Shy())
    assert any(np.array_equal(c.tokens, single("r0", 0)) for c in undecided.candidates)
    assert [c.tokens.tolist() for c in shy.candidates] == [single("r1", i).tolist() for i in range(6)]


@pytest.mark.parametrize("strategy", [beam(expand=3, keep="2"), beam(DiverseTrees, trees=2, expand=3)])
def test_a_search_waits_until_something_is_decided(strategy):
    """Undecided below 6 tokens, at the first decision: the 6 beams go on as they are, and compete at the second."""

    class Late(Worth):
        def _one(self, item):
            self.undecided = len(item.candidate.tokens) < 6
            return super()._one(item)

    synthesizer = Planted()
    (late,) = hunt(strategy, REQUESTS[:1], synthesizer, Late())
    assert synthesizer.generations[0].rows == [6, 6, 6, 6]
    said = [single("r0", index) for index in range(6)]
    trees = [[0, 2, 4], [1, 3, 5]] if isinstance(strategy, DiverseTrees) else [range(6)]
    kept = [i for tree in trees for i in sorted(tree, key=lambda i: -said[i][:6].mean())[: 2 // len(trees)]]
    assert {tuple(c.tokens[:6]) for c in late.candidates} <= {tuple(said[i][:6]) for i in kept}


def test_early_rejection_drops_nothing_that_could_not_be_judged():
    strategy = EarlyRejection(sampling=SAMPLING, after=3 * STEP, share=0.25)
    (result,) = hunt(strategy, REQUESTS[:1], verifier=Worth(undecided=True), budget=Budget(candidates=8))
    assert len(result.candidates) == 8
    assert EarlyRejection(sampling=SAMPLING).after > PARTIAL_SECONDS


def test_a_finished_beam_stays_in_competition_and_is_not_said_again():
    class LikesShort(Worth):
        def _one(self, item):
            score = super()._one(item)
            return type(score)(verifier="w", judge="w", value=-float(len(item.candidate.tokens)))

    synthesizer = FirstEndsEarly()
    (result,) = hunt(beam(expand=1, keep="2"), REQUESTS[:1], synthesizer, LikesShort())
    assert len(result.chosen.tokens) == 4
    assert result.chosen.finish is FinishReason.EOS
    assert synthesizer.generations[0].advances == [2, 2, 1, 1]


def test_widths_grow_and_shrink():
    synthesizer = Planted()
    hunt(beam(expand=2, keep="1-4-2"), REQUESTS[:1], synthesizer)
    assert synthesizer.generations[0].rows == [2, 2, 4, 4]
    synthesizer = Planted()
    hunt(beam(expand=4, keep="1-4-2"), REQUESTS[:1], synthesizer)
    assert synthesizer.generations[0].rows == [4, 4, 16, 8]


def test_lookahead_judges_the_future_and_keeps_the_past():
    """With enough of it, a single decision is best-of-N; without, it is not."""
    ahead = beam(expand=8, keep="1", until=3 * STEP, lookahead=9 * STEP)
    blind = beam(expand=8, keep="1", until=3 * STEP)
    synthesizer = Planted()
    best = [max((single(r.id, index) for index in range(8)), key=np.mean).tolist() for r in REQUESTS]
    assert [tokens(r) for r in hunt(ahead, synthesizer=synthesizer)] == best
    assert [tokens(r) for r in hunt(blind)] != best
    assert [len(branch.advances) for branch in synthesizer.generations[0].branches] == [1]


@pytest.mark.parametrize(
    "strategy", [beam(DiverseTrees, trees=1, expand=8), beam(ParticleSearch, particles=8, tau=1e-3)]
)
def test_every_guided_search_looks_ahead_and_lets_go(strategy):
    """One decision that sees to the end goes on with the best of N, and without a look ahead it does not."""
    best = [max((single(r.id, index) for index in range(8)), key=np.mean)[:3].tolist() for r in REQUESTS]
    once = replace(strategy, until=3 * STEP)
    synthesizer = Planted()
    assert [tokens(r)[:3] for r in hunt(replace(once, lookahead=9 * STEP), synthesizer=synthesizer)] == best
    assert [tokens(r)[:3] for r in hunt(once)] != best
    rows = synthesizer.generations[0].rows
    assert len(rows) == 2 and rows[1] in (3, 24)  # one tree's beam, or as many particles
    assert [tokens(r) for r in hunt(strategy)] != [tokens(r) for r in hunt(once)]


def test_early_rejection_ends_what_began_well():
    strategy = EarlyRejection(sampling=SAMPLING, after=3 * STEP, share=0.25)
    synthesizer = Planted()
    for result in hunt(strategy, synthesizer=synthesizer, budget=Budget(candidates=8)):
        starts = sorted((single(result.request.id, i) for i in range(8)), key=lambda said: -said[:3].mean())
        assert tokens(result) == max(starts[:2], key=np.mean).tolist()
        assert result.cost.tokens == 8 * 3 + 2 * 9


def test_a_particle_that_failed_has_no_place_while_the_others_wait():
    """Of four, one has ended in silence before anything can be said of the others."""
    waiting = Score(verifier="v", judge="v", value=None, failure=Failure(FailureKind.UNDECIDED, "too early"))
    silent = replace(waiting, failure=Failure(FailureKind.SILENT, "nothing"))
    candidate = Candidate(index=0, seed=0, sampling=SAMPLING, finish=FinishReason.LENGTH)
    going = [Beam(tree=0, candidate=candidate, score=waiting) for _ in range(3)]
    failed = Beam(tree=0, candidate=candidate, score=silent, is_over=True, is_final=True)
    places = resample([*going, failed], 0.1, np.random.default_rng(0))
    assert len(places) == 4 and set(places) == {0, 1, 2}
    assert resample([failed, failed], 0.1, np.random.default_rng(0)) == [0, 1]


def test_particles_multiply_in_proportion_to_their_weights():
    """A two-valued score: the share of good particles after one resampling is that of exp(score / tau)."""

    class TwoValued(Worth):
        def _one(self, item):
            score = super()._one(item)
            return type(score)(verifier="w", judge="w", value=float(item.candidate.tokens[0] > 0.5))

    many = beam(ParticleSearch, particles=200, tau=1.0, until=3 * STEP)
    (result,) = hunt(many, REQUESTS[:1], verifier=TwoValued())
    good = np.mean([single("r0", index)[0] > 0.5 for index in range(200)])
    expected = good * np.e / (good * np.e + 1 - good)
    after = np.mean([c.tokens[0] > 0.5 for c in result.candidates])
    assert after == pytest.approx(expected, abs=0.03)
    assert abs(after - good) > 0.1
    (pulled,) = hunt(beam(ParticleSearch, particles=200, tau=0.1, until=3 * STEP), REQUESTS[:1], verifier=TwoValued())
    assert np.mean([c.tokens[0] > 0.5 for c in pulled.candidates]) > 0.99


@pytest.mark.parametrize(
    "strategy",
    [beam(expand=3, keep="4"), beam(DiverseTrees, trees=4, expand=2), beam(ParticleSearch, particles=6),
     EarlyRejection(sampling=SAMPLING, after=3 * STEP)],
)  # fmt: skip
def test_then_chooses_among_what_is_left(strategy):
    budget = Budget(candidates=8)
    guided = hunt(strategy, budget=budget)
    judge = Opposite()
    other = hunt(replace(strategy, then=judge), budget=budget)
    assert [tokens(r) for r in guided] != [tokens(r) for r in other]
    for a, b in zip(guided, other, strict=True):
        assert [c.tokens.tolist() for c in a.candidates] == [c.tokens.tolist() for c in b.candidates]
        assert b.chosen.tokens.mean() == min(c.tokens.mean() for c in b.candidates)
    assert len(judge.heard) == 1
    assert not any(item.partial for item in judge.heard[0])


class Opposite(Worth):
    """Likes what `Worth` does not."""

    def _one(self, item):
        score = super()._one(item)
        return replace(score, value=-score.value)
