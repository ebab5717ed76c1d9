"""What a search chose, kept in the run directory: one candidate per request, with what the search has cost.

A request whose choice is stored is not searched again, so a killed run goes on with the next one.
What was said on the way is not stored: seeds alone decide it, and the same search says it again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from search.budget import Budget
from search.strategy import Strategy
from tts_eval.manifest import Manifest, RequestRecord
from tts_eval.stored import StoredSynthesizer
from tts_eval.types import Item, Job, Request, Verifier


def search_and_store(
    requests: Sequence[Request],
    strategy: Strategy,
    synthesizer: StoredSynthesizer,
    verifier: Verifier,
    budget: Budget,
    manifest: Manifest,
) -> Iterator[Item]:
    """What was chosen for each request, as stored: first what was there already, then the rest, each in order."""
    keys = {request.id: manifest.search_key(RequestRecord.of(request)) for request in requests}
    missing = []
    for request in requests:
        known = synthesizer.recall(keys[request.id])
        if known is None:
            missing.append(request)
        else:
            yield Item(request=request, candidate=known)
    for result in strategy.search(missing, synthesizer, verifier, budget):
        chosen = replace(result.chosen, index=0, cost=result.cost)
        job = Job(request=result.request, index=0, seed=chosen.seed, sampling=chosen.sampling)
        yield Item(request=result.request, candidate=synthesizer.remember(keys[result.request.id], job, chosen))
