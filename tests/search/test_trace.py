"""The trace tells how a guided search went: nobody is missing, everybody has a parent, the choice has its ancestry."""

import pytest
from hunting import REQUESTS, beam, hunt
from planted import STEP

from search.dvts import DiverseTrees
from search.partial_prm import PartialPrm
from search.particles import ParticleSearch
from search.trace import Fate, trace_from_json, trace_json

SEARCHES = [
    beam(expand=3, keep="2"),
    beam(expand=2, keep="4-2"),
    beam(DiverseTrees, trees=3, expand=2),
    beam(ParticleSearch, particles=5),
    beam(PartialPrm, expand=3, keep="2", until=6 * STEP),
]


@pytest.mark.parametrize("strategy", SEARCHES)
def test_everybody_descends_from_somebody_who_was_kept(strategy):
    for result in hunt(strategy):
        assert result.trace
        for node in result.trace:
            if node.decision == 0:
                assert node.parent is None
            else:
                parent = result.trace[node.parent]
                assert parent.fate is Fate.KEPT and parent.decision < node.decision
                assert parent.seconds < node.seconds


@pytest.mark.parametrize("strategy", SEARCHES)
def test_the_chosen_line_is_one_path_from_the_beginning(strategy):
    for result in hunt(strategy):
        line = [number for number, node in enumerate(result.trace) if node.is_chosen]
        assert line
        assert [result.trace[number].parent for number in line] == [None, *line[:-1]]
        assert all(result.trace[number].fate is not Fate.DROPPED for number in line)


def test_a_beam_search_keeps_as_many_as_it_says_and_the_best_of_them():
    for result in hunt(beam(expand=3, keep="2")):
        decisions = sorted({node.decision for node in result.trace})
        for decision in decisions[:-1]:
            nodes = [node for node in result.trace if node.decision == decision]
            kept = [node.score for node in nodes if node.fate is Fate.KEPT]
            dropped = [node.score for node in nodes if node.fate is Fate.DROPPED]
            assert (len(kept), len(dropped)) == (2, 4)
            assert min(kept) >= max(dropped)  # what the planted verifier says: higher is better


def test_the_guided_part_has_nodes_and_the_free_part_has_none():
    for result in hunt(beam(PartialPrm, expand=3, keep="2", until=6 * STEP)):
        assert {node.decision for node in result.trace} == {0, 1}


def test_a_trace_comes_back_from_text():
    (result, *_) = hunt(beam(expand=3, keep="2"), REQUESTS)
    assert trace_from_json(trace_json(result.trace)) == result.trace
    assert trace_json(()) == "" and trace_from_json("") == ()
