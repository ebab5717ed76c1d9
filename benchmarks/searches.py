"""What a search chose, kept in the run directory: one candidate per request, with what the search has cost.

A request whose choice is stored is not searched again, so a killed run goes on with the next one.
What was said on the way is not stored, only who was kept and dropped: seeds bring the sound back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from search.budget import Budget
from search.strategy import Strategy, guides
from search.trace import trace_json
from tts_eval.execution import SerialExecutor
from tts_eval.manifest import Manifest, RequestRecord
from tts_eval.store import Memory
from tts_eval.stored import Advance, StoredStepSynthesizer, StoredSynthesizer, StoredVerifier
from tts_eval.types import Item, Job, Request, Synthesizer, Verifier, as_step_synthesizer

BATCH = 16
"""Candidates per stored part, what a kill can cost; more of a synthesizer that makes more `at_once`."""


def unheard(_: int) -> None:
    """Progress that nobody watches."""


def remembering(
    synthesizer: Synthesizer, store: Memory, *, batch: int | None = None, advance: Advance = unheard
) -> StoredSynthesizer:
    """The synthesizer with `store` as its memory, and with its steps if it has any."""
    batch = batch or max(BATCH, getattr(synthesizer, "at_once", BATCH))
    if steps := as_step_synthesizer(synthesizer):
        return StoredStepSynthesizer(steps, store, SerialExecutor(), batch=batch, advance=advance)
    return StoredSynthesizer(synthesizer, store, SerialExecutor(), batch=batch, advance=advance)


def asked_by(spec: str, strategy: Strategy, verifiers: Mapping[str, Verifier], store: Memory) -> Mapping[str, Verifier]:
    """Whom a search asks: whole candidates are stored, and so is what was said of them, but for embeddings."""
    if guides(spec) or getattr(strategy, "compares", "") == "embedding":
        return verifiers
    return {name: StoredVerifier(verifier, store, advance=unheard) for name, verifier in verifiers.items()}


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
        yield Item(
            request=result.request,
            candidate=synthesizer.remember(keys[result.request.id], job, chosen, trace_json(result.trace)),
        )
