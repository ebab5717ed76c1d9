"""Takes a suite through search and judging, into a run directory that can always go on.

    requests -> strategy (synthesizer <-> selecting verifiers) -> every candidate past every judge

Synthesizer and verifiers are wrapped so that the run store remembers what they did; running the
same command again on the same folder continues, and a larger N, another rule, temperature or judge
reuses all that fits. One folder has one suite, one synthesizer and one run seed.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from benchmarks.checks import check_budget, check_config
from benchmarks.executors import open_models
from benchmarks.lacking import Lacking
from benchmarks.models import Models
from benchmarks.progress import Progress, Quiet
from benchmarks.searches import asked_by, remembering, search_and_store, unheard
from benchmarks.suite import Suite
from search.budget import parse_budget
from search.outcome import OutcomeVerifier
from search.remembering import selecting_verifier
from search.rule_text import load_rule
from search.selection import Rule
from search.strategy import SearchResult, load_strategy
from tts_eval.config import RunConfig, is_whole_pool, sampling_of
from tts_eval.errors import ConfigError, StoreError
from tts_eval.execution import batched_by_seconds
from tts_eval.ground_truth import ground_truth_items
from tts_eval.limits import limit_notes
from tts_eval.manifest import Manifest, VerifierRecord, read_manifest, write_manifest, write_requests
from tts_eval.provenance import describe
from tts_eval.records import synthesizer_identity
from tts_eval.registry import parse_spec
from tts_eval.store import RunStore
from tts_eval.stored import Advance, StoredVerifier
from tts_eval.types import Item, Request, Verifier
from verifiers.requirements import require_judgeable

logger = logging.getLogger(__name__)

JUDGED_AT_ONCE, JUDGED_SECONDS = 64, 640.0
"""Clips and audio that are read and judged together at most; a longer clip comes alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a run is made of, loaded."""

    suite: Suite
    rule: Rule
    judges: tuple[str, ...]
    verifiers: Mapping[str, Verifier]
    """By spec: the rules' and the judges'."""
    then: Rule | None = None
    """Chooses among what a guided search leaves."""

    @property
    def searching(self) -> tuple[str, ...]:
        """Verifiers that take part in the search, by spec."""
        return tuple(dict.fromkeys([*self.rule.verifiers, *(self.then.verifiers if self.then else ())]))


def run(config: RunConfig, out: Path, progress: Progress | None = None, models: Models | None = None) -> Manifest:
    """Do what `config` says in the folder `out`, or finish what was begun there; returns what run.json says of it.

    `models` that have been loaded before are used again.

    Raises:
        ConfigError: settings are wrong, or differ from what `out` was begun with.
        DataError: the suite's data are not as expected.
        StoreError: `out` cannot be written, or another process is at work there.
    """
    check_config(config)  # before a folder is made, and before anybody is hired
    if models is None:
        with open_models([config]) as models:
            return run(config, out, progress, models)
    progress = progress or Quiet()
    check_budget(config, models.suite(config).requests)
    with RunStore.create(out) as store:  # before models are loaded: another process may be at work here
        parts = load_parts(config, models)
        then = selecting_verifier(parts.then, parts.verifiers) if parts.then else None
        strategy = load_strategy(config.strategy, sampling=sampling_of(config), run_seed=config.seed, then=then)
        synthesizer = models.synthesizer(config.synth)
        manifest = Manifest(
            suite=parts.suite.name,
            subset=parts.suite.subset,
            synthesizer=synthesizer_identity(synthesizer),
            limits=limit_notes(synthesizer, parts.suite.requests),
            config=config,
            judges=parts.judges,
            searching=parts.searching,
            verifiers={spec: VerifierRecord.of(verifier) for spec, verifier in parts.verifiers.items()},
            scales={**parts.rule.scales, **(parts.then.scales if parts.then else {})},
            provenance=describe(),
        )
        manifest = _with_what_came_before(store, manifest)
        parts = _with_added_judges(parts, manifest, models)
        write_requests(store, parts.suite.requests)
        write_manifest(store, manifest)
        lacking = Lacking(
            store=store,
            manifest=manifest,
            requests=parts.suite.requests,
            rule=parts.rule,
            then=parts.then,
            synthesizer=synthesizer,
            verifiers=parts.verifiers,
            progress=progress,
        )
        if models.complete(lacking):
            return manifest
        requests, truths = parts.suite.requests, sum(r.ground_truth is not None for r in parts.suite.requests)
        is_whole = is_whole_pool(config)
        pool = config.n if is_whole else 1
        total = len(requests) * pool
        progress.start("generate", total)
        advance = partial(progress.advance, "generate")
        stored = remembering(synthesizer, store, advance=advance if is_whole else unheard)
        # A judge that a cascade shows only some of the candidates hears them all once more.
        asked = {spec: parts.rule.asked(spec, pool) if is_whole else pool for spec in parts.searching}
        judging = [spec for spec in parts.judges if asked.get(spec, 0) < pool]
        selecting = {}
        for spec in parts.searching:
            expected = len(requests) * asked[spec] + (0 if spec in judging else truths)
            selecting[spec] = _stored_verifier(spec, parts, store, progress, expected, "select")
        judges = {spec: _stored_verifier(spec, parts, store, progress, total + truths, "judge") for spec in judging}
        budget = parse_budget(config.budget, config.n)
        if is_whole:
            outcome = OutcomeVerifier(parts.rule, selecting)
            _judge(_items_of(strategy.search(requests, stored, outcome, budget)), list(judges.values()))
        else:
            guide = selecting_verifier(parts.rule, asked_by(config.strategy, strategy, parts.verifiers, store))
            chosen = search_and_store(requests, strategy, stored, guide, budget, manifest)
            _judge(_counted(chosen, advance), [*selecting.values(), *judges.values()])
        judge_ground_truths(requests, list({**selecting, **judges}.values()))
    return manifest


def load_parts(config: RunConfig, models: Models) -> Parts:
    """Suite, rule and verifiers of a config that has been checked.

    Raises:
        ConfigError: the rule asks for what its verifiers do not give, or a verifier for what no request has.
    """
    suite = models.suite(config)
    rule, then = load_rule(config.verifier), load_rule(config.then) if config.then else None
    rules = [rule, then] if then else [rule]
    judges = config.judge or suite.judges
    specs = dict.fromkeys([*(spec for each in rules for spec in each.verifiers), *judges])
    loaded = models.verifiers(specs)
    for each in rules:
        each.check(loaded)
    require_judgeable(loaded, suite.requests)
    return Parts(suite=suite, rule=rule, judges=judges, verifiers=loaded, then=then)


def _items_of(results: Iterable[SearchResult]) -> Iterator[Item]:
    for result in results:
        yield from (Item(request=result.request, candidate=candidate) for candidate in result.candidates)


def _counted(items: Iterable[Item], advance: Advance) -> Iterator[Item]:
    for item in items:
        advance(1)
        yield item


def _judge(items: Iterable[Item], judges: Sequence[Verifier]) -> None:
    """Score every candidate with every judge as results come, so that only a batch of audio is in memory."""
    for batch in judged_together(items):
        for judge in judges:
            judge.score(batch)


def judged_together(items: Iterable[Item]) -> Iterator[list[Item]]:
    """The items in batches that are bounded in clips and in seconds of audio, each taken when it is needed."""
    return batched_by_seconds(items, lambda item: item.seconds, JUDGED_SECONDS, JUDGED_AT_ONCE)


def judge_ground_truths(requests: Sequence[Request], judges: Sequence[Verifier]) -> None:
    """Score the recordings that the requests bring along, a batch in memory at a time."""
    _judge(_recordings(requests), judges)


def _recordings(requests: Sequence[Request]) -> Iterator[Item]:
    for item in (item for request in requests for item in ground_truth_items([request])):
        if failure := item.candidate.failure:
            logger.warning("the recording of '%s' cannot be judged: %s", item.request.id, failure.message)
        yield item


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
    if not problems and manifest.synthesizer.endswith(":"):  # nothing but the folder tells one from another
        was, now = before.config.synth, manifest.config.synth
        if _resolved(was) != _resolved(now):
            problems.append(f"{store.folder} was begun with {was}, now it is {now}. Give another --out.")
    if problems:
        raise ConfigError(problems)
    return replace(
        manifest,
        added_judges=before.added_judges,
        resynthesis=before.resynthesis,
        verifiers={**before.verifiers, **manifest.verifiers},
        earlier_provenance=before.worked_on_with(manifest.provenance).earlier_provenance,
    )


def _resolved(synth: str) -> tuple[str, Path]:
    """A synthesizer's name and the folder it reads, however it is written."""
    name, folder = parse_spec(synth)
    return name, Path(folder).expanduser().resolve()


def _with_added_judges(parts: Parts, manifest: Manifest, models: Models) -> Parts:
    """The parts with the judges that `tts-eval score` added: they hear what is new as well."""
    judges = tuple(dict.fromkeys([*parts.judges, *manifest.added_judges]))
    added = models.verifiers(spec for spec in judges if spec not in parts.verifiers)
    return replace(parts, judges=judges, verifiers={**parts.verifiers, **added})
