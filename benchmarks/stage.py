"""What a worker of a run holds and does: models, loaded once, behind the same memory as in a serial run.

A batch is made and judged exactly as the run itself would, by `StoredSynthesizer` and `StoredVerifier`; what they
would store goes back as rows. Audio does not travel: who makes it writes it into the run folder, and who judges
it reads it there, unless it is what this worker has just made itself.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from benchmarks.recent import RecentClips
from benchmarks.searches import asked_by, remembering, search_and_store, unheard
from search.budget import parse_budget
from search.remembering import selecting_verifier
from search.selection import Rule
from search.strategy import load_strategy
from tts_eval.config import sampling_of
from tts_eval.errors import AudioError
from tts_eval.ground_truth import ground_truth_items
from tts_eval.manifest import Manifest
from tts_eval.records import candidate_from_row
from tts_eval.store import Memory, Row
from tts_eval.stored import StoredVerifier
from tts_eval.synthesizers import load_synthesizer
from tts_eval.types import (
    Failure,
    Item,
    Job,
    Limit,
    Metric,
    Request,
    Synthesizer,
    Verifier,
    limits_of,
    what_is_lacking,
)
from verifiers.requirements import load_verifiers

logger = logging.getLogger(__name__)


class KnownSynthesizer(NamedTuple):
    """What a synthesizer says of itself."""

    name: str
    revision: str
    limits: frozenset[Limit]


class KnownVerifier(NamedTuple):
    """What a verifier says of itself."""

    name: str
    version: str
    judge: str
    metrics: tuple[Metric, ...]
    supports_partial: bool
    says_what_is_lacking: bool


class Made(NamedTuple):
    """What came of an item, as rows for the run store."""

    candidates: list[Row]
    scores: list[Row]


@dataclass(frozen=True, slots=True)
class SearchOrder:
    """How the requests of a run are searched."""

    folder: str
    manifest: Manifest
    rule: Rule
    then: Rule | None


class ToSearch(NamedTuple):
    """A request, and what is known of its candidates from before."""

    request: Request
    known: Made


class Stage:
    """One worker's models."""

    def __init__(self) -> None:
        self._synthesizers: dict[str, Synthesizer] = {}
        self._verifiers: dict[str, Verifier] = {}
        self._clips = RecentClips()

    def load_synthesizer(self, specs: Sequence[str]) -> list[KnownSynthesizer]:
        """Load what is not there yet; returns what each says of itself."""
        for spec in specs:
            self._synthesizers[spec] = self._synthesizers.get(spec) or load_synthesizer(spec)
        loaded = [self._synthesizers[spec] for spec in specs]
        return [KnownSynthesizer(made.name, made.revision, limits_of(made)) for made in loaded]

    def load_verifiers(self, specs: Sequence[str]) -> list[KnownVerifier]:
        """Load what is not there yet; returns what each says of itself."""
        self._verifiers |= load_verifiers(spec for spec in specs if spec not in self._verifiers)
        return [
            KnownVerifier(
                verifier.name,
                verifier.version,
                verifier.judge,
                verifier.metrics,
                verifier.supports_partial,
                hasattr(verifier, "lacks"),
            )
            for verifier in (self._verifiers[spec] for spec in specs)
        ]

    def lacks(self, requests: Sequence[Request], spec: str) -> list[Failure | None]:
        """Why a verifier can judge nothing that is said for each request."""
        return [what_is_lacking(self._verifiers[spec], request) for request in requests]

    def generate(self, jobs: Sequence[Job], spec: str, folder: str) -> list[Made]:
        """One candidate per job, its audio in the run folder."""
        memory = Memory(Path(folder))
        made = remembering(self._synthesizers[spec], memory, batch=len(jobs)).generate(jobs)
        for candidate, row in zip(made, memory.candidates.values(), strict=True):
            if candidate.clip is not None:
                self._clips.keep(memory.folder / row["audio"], candidate.clip)
        return [Made([row], []) for row in memory.candidates.values()]

    def judge(self, items: Sequence[tuple[Request, Row]], specs: Sequence[str], folder: str) -> list[Made | None]:
        """What each of the verifiers says of each candidate; None for one whose audio is lost."""
        heard: dict[int, Item] = {}
        for position, (request, row) in enumerate(items):
            try:
                candidate = candidate_from_row(row, self._clips.read(Path(folder) / row["audio"]))
            except AudioError as error:
                logger.warning("%s; the candidate is made again", error)
                continue
            heard[position] = Item(request=request, candidate=candidate)
        made = iter(self._heard(list(heard.values()), specs))
        return [next(made) if position in heard else None for position in range(len(items))]

    def judge_recordings(self, requests: Sequence[Request], specs: Sequence[str]) -> list[Made]:
        """What each of the verifiers says of the recording that each request brings along."""
        return self._heard(ground_truth_items(requests), specs)

    def search(self, items: Sequence[ToSearch], order: SearchOrder) -> list[Made]:
        """What the run's strategy chooses for each request, and all that it made and heard on the way."""
        memory, manifest = Memory(Path(order.folder)), order.manifest
        for item in items:
            memory.candidates.update((row["key"], row) for row in item.known.candidates)
            memory.scores.update((row["key"], row) for row in item.known.scores)
        config = manifest.config
        verifiers = {spec: self._verifiers[spec] for spec in manifest.searching}
        then = selecting_verifier(order.then, verifiers) if order.then else None
        strategy = load_strategy(config.strategy, sampling=sampling_of(config), run_seed=config.seed, then=then)
        stored = remembering(self._synthesizers[config.synth], memory)
        guide = selecting_verifier(order.rule, asked_by(config.strategy, strategy, verifiers, memory))
        requests = [item.request for item in items]
        budget = parse_budget(config.budget, config.n)
        for _ in search_and_store(requests, strategy, stored, guide, budget, manifest):
            pass
        made: dict[str, Made] = {request.id: Made([], []) for request in requests}
        for row in memory.candidates.values():
            if row["key"] in memory.fresh:
                made[row["request_id"]].candidates.append(row)
        for row in memory.scores.values():
            if row["key"] in memory.fresh:
                made[row["request_id"]].scores.append(row)
        return [made[request.id] for request in requests]

    def _heard(self, items: Sequence[Item], specs: Sequence[str]) -> list[Made]:
        """What was said of each item: one row per verifier."""
        made: list[Made] = [Made([], []) for _ in items]
        for spec in specs:
            memory = Memory(Path())
            verifier = StoredVerifier(self._verifiers[spec], memory, advance=unheard)
            verifier.score(items)
            for result, item in zip(made, items, strict=True):
                key = verifier.key(item)
                if key is not None:
                    result.scores.append(memory.scores[key])
        return made
