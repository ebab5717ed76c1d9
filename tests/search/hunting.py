"""Guided searches on planted tokens, and beam search restated by hand."""

import numpy as np
from planted import SAMPLING, STEP, Planted, Worth, drawn

from search.beam import BeamSearch
from search.budget import Budget
from tts_eval import seeds
from tts_eval.types import Request

REQUESTS = [Request(id=f"r{i}", text="one two three") for i in range(3)]


ONE = Budget(candidates=1)


def hunt(strategy, requests=REQUESTS, synthesizer=None, verifier=None, budget=ONE):
    return list(strategy.search(requests, synthesizer or Planted(), verifier or Worth(), budget))


def tokens(result) -> list[float]:
    return result.chosen.tokens.tolist()


def beam(kind=BeamSearch, **options):
    return kind(sampling=SAMPLING, **({"step": 3 * STEP} | options))


def beam_by_hand(request_id: str, expand: int, keep: int, step: int, length: int, guided: int = 10**6) -> np.ndarray:
    """Beam search restated on bare arrays: (seed, tokens) pairs, sorted by their mean so far."""
    pairs = [
        (seed := seeds.candidate_seed(0, request_id, index), drawn(seed, length)) for index in range(keep * expand)
    ]
    for number, said in enumerate(range(step, length + step, step), start=1):
        if number > guided:
            break
        pairs = sorted(pairs, key=lambda pair: -pair[1][:said].mean())[:keep]
        if said < length and number < guided:
            copies = [
                (new := seeds.forked_seed(seed, number, copy), np.r_[said_so_far[:said], drawn(new, length)[said:]])
                for copy in range(1, expand)
                for seed, said_so_far in pairs
            ]
            pairs = pairs + copies
    return max((pair[1] for pair in pairs), key=np.mean)


class FirstEndsEarly(Planted):
    def _length(self, job):
        return 4 if job.index == 0 else 12
