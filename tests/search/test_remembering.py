from dataclasses import replace

from planted import SAMPLING, Planted, Worth

from search.beam import BeamSearch
from search.budget import Budget
from search.remembering import RememberingVerifier, selecting_verifier
from search.rule_text import parse_rule
from tts_eval.types import Item, Request


def test_finished_clips_are_judged_once_and_unfinished_ones_every_time(make_jobs):
    request = Request(id="r", text="x")
    made = Planted().generate(make_jobs([request], 3))
    worth = Worth()
    verifier = RememberingVerifier(worth)
    whole = [Item(request=request, candidate=candidate) for candidate in made]
    parts = [replace(item, partial=True) for item in whole]
    first = verifier.score([whole[0], parts[0], whole[0], whole[1]])
    second = verifier.score([parts[0], whole[2], whole[1], whole[0]])
    assert [len(items) for items in worth.heard] == [3, 2]
    assert [score.value for score in first + second] == [
        score.value for score in Worth().score([whole[p] for p in (0, 0, 0, 1, 0, 2, 1, 0)])
    ]
    assert [score.seconds for score in second] == [0.25, 0.25, 0.0, 0.0]
    verifier.score(whole)
    assert len(worth.heard) == 2


def test_only_the_latest_clips_are_remembered(make_jobs, monkeypatch):
    """A long run would fill the memory with what nobody asks about again."""
    monkeypatch.setattr("search.remembering.REMEMBERED", 2)
    request = Request(id="r", text="x")
    whole = [Item(request=request, candidate=each) for each in Planted().generate(make_jobs([request], 3))]
    worth = Worth()
    verifier = RememberingVerifier(worth)
    assert len(verifier.score(whole)) == 3
    verifier.score(whole[1:])
    verifier.score(whole[:1])
    assert [len(items) for items in worth.heard] == [3, 1]


def test_a_rule_is_guided_by_as_many_judgements_as_there_are_new_clips():
    """Beams that ended long ago are compared again at every step, and heard once."""
    worth = Worth()
    guide = selecting_verifier(parse_rule("worth"), {"worth": worth})
    strategy = BeamSearch(sampling=SAMPLING, step=0.1, expand=2, keep="2")
    requests = [Request(id="r", text="x", metadata={"length": "3"})]
    (result,) = strategy.search(requests, Planted(), guide, Budget(candidates=1))
    heard = [len(items) for items in worth.heard]
    assert heard == [4, 4, 4]
    assert result.cost.verifier_seconds == 0.25 * 12
