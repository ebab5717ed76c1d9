"""Models that workers have: what a run asks of them here is who they are, and a crew does the rest."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from benchmarks.filling import Filling
from benchmarks.lacking import Lacking
from benchmarks.models import Models
from benchmarks.stage import KnownSynthesizer, KnownVerifier
from search.rule_text import load_rule
from tts_eval.config import RunConfig, is_whole_pool, read_yaml
from tts_eval.errors import StoreError
from tts_eval.files import remove_leftovers
from tts_eval.types import Candidate, Failure, Item, Job, Limit, Metric, Request, Score, Synthesizer, Verifier
from tts_eval.workers.cluster import Cluster
from tts_eval.workers.crew import Crew, Group
from tts_eval.workers.resources import group_of, parse_resources, plan, require_stages

logger = logging.getLogger(__name__)

STAGE = "benchmarks.stage:Stage"


class RemoteModels(Models):
    """The crew of some runs that share workers; a context manager that sends it home."""

    def __init__(self, configs: Sequence[RunConfig]) -> None:
        """Find Ray, and see that what was planned fits; nothing is loaded yet.

        Raises:
            ConfigError: the resources file is wrong or has workers for a stage that no run has, or Ray is not where it
                should be, or offers too little.
            MissingDependencyError: Ray is not installed.
        """
        super().__init__()
        config = configs[0]
        shares = (
            parse_resources(read_yaml(Path(config.resources), example="synth: {actors: 2}")) if config.resources else {}
        )
        stages = ["synth", *dict.fromkeys(spec for each in configs for spec in self._specs(each))]
        require_stages(shares, stages)  # before Ray is started, which takes its time
        self._cluster = Cluster(config.address)
        try:
            planned = plan(shares, stages, self._cluster.nodes)
        except BaseException:
            self._cluster.__exit__(None, None, None)
            raise
        self._shares = list(planned)
        self._crew = Crew(self._cluster, STAGE, planned)
        self._seen: set[Path] = set()

    def _specs(self, config: RunConfig) -> list[str]:
        rules = [load_rule(text) for text in (config.verifier, *filter(None, [config.then]))]
        judges = config.judge or self.suite(config).judges
        return [*(spec for rule in rules for spec in rule.verifiers), *judges]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._crew.close()
        self._cluster.__exit__(kind, error, trace)

    def _group(self, stage: str) -> Group:
        groups = self._crew.groups
        # A judge that `tts-eval score` added is in nobody's plan: whoever speaks takes it along.
        return groups.get(group_of(stage, self._shares)) or groups[group_of("synth", self._shares)]

    def synthesizer(self, spec: str) -> Synthesizer:
        """Who the synthesizer of a spec is; raises what loading it raises."""
        if spec not in self._synthesizers:
            (known,) = self._group("synth").prepare("load_synthesizer", [spec])
            self._synthesizers[spec] = RemoteSynthesizer(known)
        return self._synthesizers[spec]

    def verifiers(self, specs: Iterable[str]) -> dict[str, Verifier]:
        """Who the verifiers of some specs are; raises what loading them raises."""
        wanted = list(dict.fromkeys(specs))
        missing: dict[str, list[str]] = {}
        for spec in wanted:
            if spec not in self._verifiers:
                missing.setdefault(self._group(spec).name, []).append(spec)
        for name, together in missing.items():
            group = self._crew.groups[name]
            known = group.prepare("load_verifiers", together)
            for spec, description in zip(together, known, strict=True):
                self._verifiers[spec] = RemoteVerifier(description, spec, group)
        return {spec: self._verifiers[spec] for spec in wanted}

    def complete(self, lacking: Lacking) -> bool:
        """Have the workers make and judge all that is missing."""
        folder = lacking.store.folder.resolve()
        if folder not in self._seen:
            self._cluster.require_shared(folder)
            self._seen.add(folder)
        if not is_whole_pool(lacking.manifest.config):  # a search asks its verifiers itself
            self._group("synth").prepare("load_verifiers", list(lacking.manifest.searching))
        try:
            Filling(lacking, self._crew, self._shares).fill()
        finally:
            try:
                self._crew.timeline.write(folder / "report")
            except StoreError as error:  # what ended the run, if anything did, is what the user has to know
                logger.warning("there is no new timeline: %s", error)
        remove_leftovers(folder / "candidates/audio")  # of workers that died while they wrote
        return True


@dataclass(frozen=True, slots=True)
class RemoteSynthesizer:
    """What a run asks of a synthesizer that workers have."""

    known: KnownSynthesizer

    @property
    def name(self) -> str:
        """Registry name."""
        return self.known.name

    @property
    def revision(self) -> str:
        """Of the workers' model."""
        return self.known.revision

    @property
    def limits(self) -> frozenset[Limit]:
        """What it does not do though a job asks for it."""
        return self.known.limits

    def generate(self, jobs: Sequence[Job]) -> list[Candidate]:
        """Nothing is made here."""
        raise NotImplementedError("workers make the candidates")


@dataclass(frozen=True, slots=True)
class RemoteVerifier:
    """What a run asks of a verifier that workers have."""

    known: KnownVerifier
    spec: str
    group: Group

    @property
    def name(self) -> str:
        """Registry name."""
        return self.known.name

    @property
    def version(self) -> str:
        """Of the verifier."""
        return self.known.version

    @property
    def judge(self) -> str:
        """The workers' checkpoint."""
        return self.known.judge

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """What it reports."""
        return self.known.metrics

    @property
    def supports_partial(self) -> bool:
        """Whether it can judge a candidate that is still being generated."""
        return self.known.supports_partial

    def lacks(self, request: Request) -> Failure | None:
        """Why it can judge nothing that is said for the request; only those are asked that may know."""
        if not self.known.says_what_is_lacking:
            return None
        (failure,) = self.group.ask("lacks", [request], self.spec)
        return failure if isinstance(failure, Failure) else None

    def score(self, items: Sequence[Item]) -> list[Score]:
        """Nothing is judged here."""
        raise NotImplementedError("workers judge the candidates")
