"""Takes a suite through search and judging, into a run directory that can always go on.

    requests -> strategy (synthesizer <-> selecting verifiers) -> every candidate past every judge

Synthesizer and verifiers are wrapped so that the run store remembers what they did; running the
same command again on the same folder continues, and a larger N, another rule, temperature or judge
reuses all that fits. One folder has one suite, one synthesizer and one run seed.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from benchmarks.suite import Suite, load_suite, suites
from search.outcome import OutcomeVerifier
from search.rule_text import load_rule, parse_rule
from search.selection import Rule
from search.strategy import Budget, SearchResult, strategies
from tts_eval.config import RunConfig, sampling_of
from tts_eval.errors import ConfigError, StoreError, UnknownNameError
from tts_eval.execution import SerialExecutor, batched
from tts_eval.ground_truth import ground_truth_items
from tts_eval.manifest import Manifest, VerifierRecord, read_manifest, write_manifest, write_requests
from tts_eval.provenance import describe
from tts_eval.records import synthesizer_identity
from tts_eval.registry import Registry, parse_spec
from tts_eval.store import RunStore
from tts_eval.stored import StoredSynthesizer, StoredVerifier
from tts_eval.synthesizers import load_synthesizer, synthesizers
from tts_eval.types import Item, Request, Verifier
from verifiers import load_verifier, verifiers

logger = logging.getLogger(__name__)

BATCH = 16
"""Candidates per stored part: what a kill can cost."""
JUDGED_AT_ONCE = 64


class Progress(Protocol):
    """Hears how far the phases of a run are."""

    def start(self, phase: str, total: int) -> None:
        """A phase has begun."""
        ...

    def advance(self, phase: str, amount: int) -> None:
        """`amount` more items of the phase are done."""
        ...


class Quiet:
    """Progress that nobody watches."""

    def start(self, phase: str, total: int) -> None:
        """Ignore it."""

    def advance(self, phase: str, amount: int) -> None:
        """Ignore it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a run is made of, loaded."""

    suite: Suite
    rule: Rule
    judges: tuple[str, ...]
    verifiers: Mapping[str, Verifier]
    """By spec: the rule's and the judges'."""


def run(config: RunConfig, out: Path, progress: Progress | None = None) -> None:
    """Do what `config` says in the folder `out`, or finish what was begun there.

    Raises:
        ConfigError: settings are wrong, or differ from what `out` was begun with.
        DataError: the suite's data are not as expected.
        StoreError: `out` cannot be written.
    """
    progress = progress or Quiet()
    parts = load_parts(config)
    synthesizer = load_synthesizer(config.synth)
    strategy = strategies.load(config.strategy)(sampling=sampling_of(config), run_seed=config.seed)
    with RunStore.create(out) as store:
        manifest = Manifest(
            suite=parts.suite.name,
            synthesizer=synthesizer_identity(synthesizer),
            config=config,
            judges=parts.judges,
            verifiers={spec: VerifierRecord.of(verifier) for spec, verifier in parts.verifiers.items()},
            scales=parts.rule.scales,
            provenance=describe(),
        )
        manifest = _with_what_came_before(store, manifest)
        parts = _with_added_judges(parts, manifest)
        write_requests(store, parts.suite.requests)
        write_manifest(store, manifest)
        requests = len(parts.suite.requests)
        total = requests * config.n
        truths = sum(request.ground_truth is not None for request in parts.suite.requests)
        progress.start("generate", total)
        stored = StoredSynthesizer(
            synthesizer,
            store,
            SerialExecutor(),
            batch=BATCH,
            advance=partial(progress.advance, "generate"),
        )
        # A judge that a cascade shows only some of the candidates hears them all once more.
        judging = [spec for spec in parts.judges if parts.rule.asked(spec, config.n) < config.n]
        selecting = {}
        for spec in parts.rule.verifiers:
            expected = requests * parts.rule.asked(spec, config.n) + (0 if spec in judging else truths)
            selecting[spec] = _stored_verifier(spec, parts, store, progress, expected, "select")
        judges = {spec: _stored_verifier(spec, parts, store, progress, total + truths, "judge") for spec in judging}
        outcome = OutcomeVerifier(parts.rule, selecting)
        results = strategy.search(parts.suite.requests, stored, outcome, Budget(candidates=config.n))
        _judge(results, list(judges.values()))
        judge_ground_truths(parts.suite.requests, list({**selecting, **judges}.values()))


def load_parts(config: RunConfig) -> Parts:
    """Suite, rule and verifiers of a config; every name is checked before a model is loaded.

    Raises:
        ConfigError: a name is unknown, or the rule asks for what its verifiers do not give.
    """
    _check_names(config)
    suite = load_suite(config.suite, data_dir=Path(config.data_dir) if config.data_dir else None, limit=config.limit)
    rule = load_rule(config.verifier)
    judges = config.judge or suite.judges
    loaded = {spec: load_verifier(spec) for spec in dict.fromkeys([*rule.verifiers, *judges])}
    rule.check(loaded)
    return Parts(suite=suite, rule=rule, judges=judges, verifiers=loaded)


def _check_names(config: RunConfig) -> None:
    named: list[tuple[Registry[Any], str]] = [
        (suites, config.suite),
        (synthesizers, config.synth),
        (strategies, config.strategy),
        *((verifiers, spec) for spec in [*parse_rule(config.verifier).verifiers, *config.judge]),
    ]
    problems = []
    for registry, spec in named:
        try:
            registry.require(parse_spec(spec).name)
        except UnknownNameError as error:
            problems.append(str(error))
    if problems:
        raise ConfigError(list(dict.fromkeys(problems)))


def _judge(results: Iterable[SearchResult], judges: Sequence[Verifier]) -> None:
    """Score every candidate with every judge as results come, so that only a batch of audio is in memory."""
    waiting: list[Item] = []
    for result in results:
        waiting += [Item(request=result.request, candidate=candidate) for candidate in result.candidates]
        if len(waiting) >= JUDGED_AT_ONCE:
            for judge in judges:
                judge.score(waiting)
            waiting = []
    for judge in judges:
        judge.score(waiting)


def judge_ground_truths(requests: Sequence[Request], judges: Sequence[Verifier]) -> None:
    """Score the recordings that the requests bring along, a batch in memory at a time."""
    for batch in batched([request for request in requests if request.ground_truth is not None], JUDGED_AT_ONCE):
        items = ground_truth_items(batch)
        for item in items:
            if failure := item.candidate.failure:
                logger.warning("the recording of '%s' cannot be judged: %s", item.request.id, failure.message)
        for judge in judges:
            judge.score(items)


def _stored_verifier(
    spec: str, parts: Parts, store: RunStore, progress: Progress, total: int, phase: str
) -> StoredVerifier:
    label = f"{phase} {spec}"
    progress.start(label, total)
    return StoredVerifier(parts.verifiers[spec], store, advance=partial(progress.advance, label))


def _with_what_came_before(store: RunStore, manifest: Manifest) -> Manifest:
    """The manifest with what the run has already: judges that `tts-eval score` added, and what made its candidates.

    Raises:
        ConfigError: the folder holds another run.
    """
    if not (store.folder / "run.json").exists():
        return manifest
    try:
        before = read_manifest(store)
    except StoreError as error:  # everything in it is known again now; what was added by `score` is not
        logger.warning("%s is written anew (%s)", store.folder / "run.json", error)
        return manifest
    problems = [
        f"{store.folder} was begun with {name} '{old}', now it is '{new}'. Give another --out."
        for name, old, new in (
            ("suite", before.suite, manifest.suite),
            ("synthesizer", before.synthesizer, manifest.synthesizer),
            ("seed", before.config.seed, manifest.config.seed),
        )
        if old != new
    ]
    if problems:
        raise ConfigError(problems)
    return replace(
        manifest,
        added_judges=before.added_judges,
        verifiers={**before.verifiers, **manifest.verifiers},
        earlier_provenance=before.worked_on_with(manifest.provenance).earlier_provenance,
    )


def _with_added_judges(parts: Parts, manifest: Manifest) -> Parts:
    """The parts with the judges that `tts-eval score` added: they hear what is new as well."""
    judges = tuple(dict.fromkeys([*parts.judges, *manifest.added_judges]))
    added = {spec: load_verifier(spec) for spec in judges if spec not in parts.verifiers}
    return replace(parts, judges=judges, verifiers={**parts.verifiers, **added})
